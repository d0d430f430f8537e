"""What the gates say now: PASS, FAIL, INSUFFICIENT with what is missing, or INVALID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from covey.rollout.answers import Answer, Test, answer_criteria, answer_triggers
from covey.rollout.missing import needed_count
from covey.rollout.model import RolloutState
from covey.rollout.outcome_verdicts import outcome_result, outcome_verdict, segments_result, segments_verdict
from covey.rollout.questions import Question, criterion_questions, literal_rule_holds, trigger_questions
from covey.rollout.sentences import counts_sentence, incidents_sentence, literal_sentence
from covey.rollout.statement import Kind
from covey.rollout.units import duration_of, rounded, seconds_of
from covey.rollout.validity import invalid_reason
from covey.rollout.weighing import harms, relative_counts, weigh_criteria
from covey.stats import bernoulli_interval, rate_ratio_interval
from covey.v1.evidence_pb2 import TestResult, Verdict
from covey.v1.rollouts_pb2 import Incident

INCIDENTS_TEST = "open critical incidents"


def current_verdicts(state: RolloutState) -> list[Verdict]:
    """Criteria of the phase in force, then triggers, in full; empty before the first phase."""
    if state.phase_index < 0:
        return []
    return judge(state, criterion_questions(state)) + judge(state, trigger_questions(state))


def results_of(state: RolloutState, questions: Sequence[Question]) -> list[Verdict.Result.ValueType]:
    """The results of `judge`, one per question, for decisions that need no more; triggers are not excluded here."""
    criteria = [question for question in questions if _is_counted(question) and not question.is_trigger]
    triggers = [question for question in questions if _is_counted(question) and question.is_trigger]
    counted = iter(weigh_criteria(state, criteria).results if criteria else [])
    harmful = iter(harms(state, triggers) if triggers else [])
    invalid = bool(criteria or len(triggers) < len(questions)) and bool(invalid_reason(state))
    results = []
    for question in questions:
        if _is_counted(question):
            result = next(harmful if question.is_trigger else counted)
        else:
            result = _uncounted_result(state, question)
        if invalid and _needs_validity(question):
            result = Verdict.RESULT_INVALID
        results.append(result)
    return results


def judge(state: RolloutState, questions: Sequence[Question], *, full: bool = True) -> list[Verdict]:
    """One verdict per question.

    Args:
        state: the evidence.
        questions: from `criterion_questions` or `trigger_questions`.
        full: with interval, needed count and sentence, which cost more than the result.
    """
    counted = [question for question in questions if _is_counted(question)]
    criteria = [question for question in counted if not question.is_trigger]
    triggers = [question for question in counted if question.is_trigger]
    answers = {id(q): a for q, a in zip(criteria, answer_criteria(state, criteria), strict=True)}
    answers |= {id(q): a for q, a in zip(triggers, answer_triggers(state, triggers, full=full), strict=True)}
    intervals = _intervals(state, [q for q in counted if q.statement.counts_events], answers) if full else {}
    reason = invalid_reason(state)
    verdicts = []
    for question in questions:
        if _is_counted(question):
            verdict = _counts_verdict(state, question, answers[id(question)], intervals.get(id(question)), full=full)
        else:
            verdict = _uncounted_verdict(state, question)
        _add_validity(question, verdict, reason)
        _add_literal(state, question, verdict)
        verdicts.append(verdict)
    return verdicts


def _is_counted(question: Question) -> bool:
    """Whether counters answer it: of the candidate's events, or of both arms'."""
    return question.statement.counts_events or question.statement.kind is Kind.RELATIVE_LATENCY


def _uncounted_verdict(state: RolloutState, question: Question) -> Verdict:
    kind = question.statement.kind
    if kind is Kind.INCIDENTS:
        return _incidents_verdict(state, question)
    return outcome_verdict(state, question) if kind is Kind.OUTCOME else segments_verdict(state, question)


def _uncounted_result(state: RolloutState, question: Question) -> Verdict.Result.ValueType:
    """The result of `_uncounted_verdict`, which costs less than its words."""
    kind = question.statement.kind
    if kind is Kind.INCIDENTS:
        return Verdict.RESULT_FAIL if _critical_incidents(state) else Verdict.RESULT_PASS
    return outcome_result(state, question) if kind is Kind.OUTCOME else segments_result(state, question)


def _critical_incidents(state: RolloutState) -> list[Incident]:
    return [incident for incident in state.open_incidents if incident.critical]


def _needs_validity(question: Question) -> bool:
    """A criterion is not judged on data that cannot be believed; triggers see believed data only, and go on."""
    return not question.is_trigger and question.statement.kind is not Kind.INCIDENTS


def _intervals(
    state: RolloutState, questions: Sequence[Question], answers: Mapping[int, Answer]
) -> dict[int, tuple[float, float]]:
    """Always-valid intervals of the rate, by question; all of one alpha in one evaluation."""
    found: dict[int, tuple[float, float]] = {}
    for alpha in sorted({question.alpha for question in questions}):
        group = [question for question in questions if question.alpha == alpha]
        effects = [answers[id(question)].design_effect for question in group]
        events = [question.events / effect for question, effect in zip(group, effects, strict=True)]
        trials = [question.trials / effect for question, effect in zip(group, effects, strict=True)]
        lower, upper = bernoulli_interval(events, trials, alpha)
        found |= {
            id(question): (float(low), float(high)) for question, low, high in zip(group, lower, upper, strict=True)
        }
    return found


def _counts_verdict(
    state: RolloutState, question: Question, answer: Answer, interval: tuple[float, float] | None, *, full: bool
) -> Verdict:
    statement = question.statement
    verdict = Verdict(
        role=question.role,
        statement=statement.text,
        result=answer.result,
        test=" and ".join(test.name for test in answer.tests),
        limit=statement.limit if statement.kind is not Kind.LATENCY else statement.event_limit,
        log_e_value=answer.log_e,
        log_threshold=answer.log_threshold,
        alpha=question.alpha,
        event_count=question.events,
        trial_count=question.trials,
        design_effect=answer.design_effect,
        report_only=question.report_only,
        tests=[_test_result(test, answer.log_threshold) for test in answer.tests],
        alpha_spent=question.alpha / question.sharers,
        baseline_event_count=answer.baseline_events,
        baseline_trial_count=answer.baseline_trials,
        affected_learner_count=answer.affected_learners,
        shed_count=answer.shed,
    )
    if statement.kind is Kind.RELATIVE_LATENCY:
        _add_relative_counts(state, question, answer, verdict)
    elif question.trials:
        verdict.estimate = rounded(_in_unit(question, question.events / question.trials))
    if not full:
        return verdict
    if interval is not None and question.trials:
        ends = sorted(rounded(_in_unit(question, end)) for end in interval)
        verdict.lower, verdict.upper = ends[0], ends[1]
        _set_interval(verdict, "bernoulli_level", *(rounded(end) for end in interval))
    _add_ratio_interval(state, question, verdict)
    needed = None
    if not question.is_trigger and answer.result == Verdict.RESULT_INSUFFICIENT:
        needed = needed_count(state, question, answer)
        _add_needed(state, question, needed, verdict)
    verdict.sentence = counts_sentence(state, question, verdict, needed)
    return verdict


def _test_result(test: Test, threshold: float) -> TestResult:
    result = TestResult(
        name=test.name,
        guarantee=test.guarantee,
        log_e_value=test.log_e,
        log_threshold=threshold,
        shown=test.log_e >= threshold,
        null_value=test.null_value,
    )
    if test.estimate is not None:
        result.estimate = rounded(test.estimate)
    return result


def _add_relative_counts(state: RolloutState, question: Question, answer: Answer, verdict: Verdict) -> None:
    """Exceedances of the baseline's own quantile, and by what factor the candidate has more of them."""
    number = state.plan.gates.metrics.slower_shares.index(question.statement.event_limit)
    verdict.event_count = int(state.gates.exceedances[0, number])
    verdict.trial_count = state.phase_counts.requests
    verdict.limit = answer.tests[0].null_value if answer.tests else 1.0
    if answer.tests and answer.tests[0].estimate is not None:
        verdict.estimate = answer.tests[0].estimate


def _add_ratio_interval(state: RolloutState, question: Question, verdict: Verdict) -> None:
    """The ratio's interval from the totals so far, for the eye: the decision is that of the e-value beside it."""
    (mine, candidate), (rival, baseline) = relative_counts(state, question)
    if not verdict.baseline_trial_count or not candidate or not mine + rival:
        return
    effect = verdict.design_effect
    share = candidate / (candidate + baseline)
    lower, upper = rate_ratio_interval(mine / effect, rival / effect, share, alpha=question.alpha)
    low, high = rounded(float(lower)), rounded(float(upper))
    _set_interval(verdict, "rate_ratio", low, high)
    if question.statement.kind is Kind.RELATIVE_LATENCY:
        verdict.lower, verdict.upper = low, high


def _set_interval(verdict: Verdict, name: str, lower: float, upper: float) -> None:
    for test in verdict.tests:
        if test.name.startswith(name) or (name == "bernoulli_level" and test.name.startswith("level_increments")):
            test.lower, test.upper = lower, upper
            return


def _in_unit(question: Question, share_of_bad: float) -> float:
    """The share of bad events in the statement's own unit: availability is the share of good ones."""
    return 1 - share_of_bad if question.statement.kind is Kind.AVAILABILITY else share_of_bad


def _add_needed(state: RolloutState, question: Question, needed: int | None, verdict: Verdict) -> None:
    """Needed count and ETA at the phase's rate; left out where max_hold ends the phase before."""
    elapsed = state.phase_elapsed_seconds
    if needed is None or not verdict.trial_count or elapsed <= 0:
        return
    eta_seconds = needed * elapsed / verdict.trial_count
    phase = state.phase_spec
    if phase is None or state.phase_open_seconds + eta_seconds > seconds_of(phase.max_hold):
        return
    verdict.needed_count = needed
    verdict.eta.CopyFrom(duration_of(round(eta_seconds)))


def _incidents_verdict(state: RolloutState, question: Question) -> Verdict:
    critical = _critical_incidents(state)
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


def _add_validity(question: Question, verdict: Verdict, reason: str) -> None:
    if reason and _needs_validity(question):
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
