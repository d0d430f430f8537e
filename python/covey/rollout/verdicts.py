"""What the gates say now: PASS, FAIL, INSUFFICIENT with what is missing, or INVALID."""

from __future__ import annotations

from collections.abc import Sequence

from covey.rollout.model import RolloutState
from covey.rollout.outcome_verdicts import outcome_verdict, segments_verdict
from covey.rollout.questions import (
    Answer,
    Question,
    answer_counts,
    criterion_questions,
    literal_rule_holds,
    log_threshold,
    trigger_questions,
)
from covey.rollout.sentences import counts_sentence, incidents_sentence, literal_sentence
from covey.rollout.statement import Kind
from covey.rollout.units import duration_of, rounded, seconds_of
from covey.rollout.validity import invalid_reason
from covey.stats import bernoulli_interval, needed_n
from covey.v1.evidence_pb2 import Verdict

COUNTS_TEST = "bernoulli_level: e-process on counts, always valid"
INCIDENTS_TEST = "open critical incidents"


def current_verdicts(state: RolloutState) -> list[Verdict]:
    """Criteria of the phase in force, then triggers, in full; empty before the first phase."""
    if state.phase_index < 0:
        return []
    return judge(state, criterion_questions(state)) + judge(state, trigger_questions(state))


def judge(state: RolloutState, questions: Sequence[Question], *, full: bool = True) -> list[Verdict]:
    """One verdict per question.

    Args:
        state: the evidence.
        questions: from `criterion_questions` or `trigger_questions`.
        full: with interval, needed count and sentence, which cost more than the result.
    """
    counted = [question for question in questions if question.statement.counts_events]
    answers = iter(answer_counts(counted, full=full))
    intervals = iter(_intervals(counted) if full else ())
    verdicts = []
    for question in questions:
        kind = question.statement.kind
        if question.statement.counts_events:
            verdict = _counts_verdict(state, question, next(answers), next(intervals, None))
        elif kind is Kind.INCIDENTS:
            verdict = _incidents_verdict(state, question)
        elif kind is Kind.OUTCOME:
            verdict = outcome_verdict(state, question)
        else:
            verdict = segments_verdict(state, question)
        _add_validity(state, question, verdict)
        _add_literal(state, question, verdict)
        verdicts.append(verdict)
    return verdicts


def _intervals(questions: Sequence[Question]) -> list[tuple[float, float]]:
    if not questions:
        return []
    pairs = []
    for alpha in sorted({question.alpha for question in questions}):
        group = [question for question in questions if question.alpha == alpha]
        events, trials = [question.events for question in group], [question.trials for question in group]
        lower, upper = bernoulli_interval(events, trials, alpha)
        pairs += [
            (id(question), (float(low), float(high))) for question, low, high in zip(group, lower, upper, strict=True)
        ]
    found = dict(pairs)
    return [found[id(question)] for question in questions]


def _counts_verdict(
    state: RolloutState, question: Question, answer: Answer, interval: tuple[float, float] | None
) -> Verdict:
    statement = question.statement
    verdict = Verdict(
        role=question.role,
        statement=statement.text,
        result=answer.result,
        test=COUNTS_TEST,
        limit=statement.event_limit if statement.kind is Kind.LATENCY else statement.limit,
        log_e_value=answer.log_e_above if question.is_trigger else answer.log_e_below,
        log_threshold=log_threshold(question.alpha),
        alpha=question.alpha,
        event_count=question.events,
        trial_count=question.trials,
        design_effect=1.0,
        report_only=question.report_only,
    )
    if question.trials:
        verdict.estimate = rounded(_in_unit(question, question.events / question.trials))
    if interval is None:
        return verdict
    if question.trials:
        ends = sorted(rounded(_in_unit(question, end)) for end in interval)
        verdict.lower, verdict.upper = ends[0], ends[1]
    needed = None
    if not question.is_trigger and answer.result == Verdict.RESULT_INSUFFICIENT:
        needed = needed_n(
            question.events, question.trials, statement.event_limit, alternative="less", alpha=question.alpha
        )
        _add_needed(state, question, needed, verdict)
    verdict.sentence = counts_sentence(question, verdict, needed)
    return verdict


def _in_unit(question: Question, share_of_bad: float) -> float:
    """The share of bad events in the statement's own unit: availability is the share of good ones."""
    return 1 - share_of_bad if question.statement.kind is Kind.AVAILABILITY else share_of_bad


def _add_needed(state: RolloutState, question: Question, needed: int | None, verdict: Verdict) -> None:
    """Needed count and ETA at the phase's rate; left out where max_hold ends the phase before."""
    elapsed = state.phase_elapsed_seconds
    if needed is None or not question.trials or elapsed <= 0:
        return
    eta_seconds = needed * elapsed / question.trials
    phase = state.phase_spec
    if phase is None or state.phase_open_seconds + eta_seconds > seconds_of(phase.max_hold):
        return
    verdict.needed_count = needed
    verdict.eta.CopyFrom(duration_of(round(eta_seconds)))


def _incidents_verdict(state: RolloutState, question: Question) -> Verdict:
    critical = [incident for incident in state.open_incidents if incident.critical]
    verdict = Verdict(
        role=question.role,
        statement=question.statement.text,
        result=Verdict.RESULT_FAIL if critical else Verdict.RESULT_PASS,
        test=INCIDENTS_TEST,
        estimate=len(critical),
        limit=0.0,
        alpha=question.alpha,
        event_count=len(critical),
        report_only=question.report_only,
    )
    verdict.sentence = incidents_sentence(question.statement, critical)
    return verdict


def _add_validity(state: RolloutState, question: Question, verdict: Verdict) -> None:
    """A criterion is not judged on data that cannot be believed; triggers see believed data only, and go on."""
    if question.is_trigger or question.statement.kind is Kind.INCIDENTS:
        return
    if reason := invalid_reason(state):
        verdict.result = Verdict.RESULT_INVALID
        verdict.ClearField("needed_count")
        verdict.ClearField("eta")
        verdict.sentence = f"{question.statement.text}: cannot be judged: {reason}"


def _add_literal(state: RolloutState, question: Question, verdict: Verdict) -> None:
    if question.trigger_index < 0 or not state.literal_runs:
        return
    run = state.literal_runs[question.trigger_index]
    verdict.literal_duration.CopyFrom(duration_of(run.seconds))
    verdict.literal_rule_holds = literal_rule_holds(state, question.trigger_index)
    if verdict.literal_rule_holds:
        verdict.sentence += literal_sentence(run.seconds)
