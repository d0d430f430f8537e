"""One tick: evidence in, journal entries out. Pure, so that every decision can be made again from the journal.

The order is that of the design: evidence and its hygiene, triggers on believed metrics, checkpoints, criteria,
calendar and approvals, timer. Commands of operators are entries of their own and come before, in the state.
"""

from __future__ import annotations

from datetime import datetime

from covey.rollout.draft import Draft
from covey.rollout.escalation import escalate
from covey.rollout.evidence import Evidence
from covey.rollout.gate import advance_or_hold
from covey.rollout.model import RolloutState, State
from covey.rollout.questions import criterion_questions, literal_rolls_back, literal_rule_holds, trigger_questions
from covey.rollout.rollback import roll_back
from covey.rollout.segments import FOLDED_SEGMENT, harmed_segments, segment_effects
from covey.rollout.sentences import percent
from covey.rollout.spec import as_created, with_defaults
from covey.rollout.statement import Kind
from covey.rollout.traffic import is_foreign
from covey.rollout.units import format_duration, format_share, seconds_of
from covey.rollout.validity import invalid_reason
from covey.rollout.verdicts import current_verdicts, judge, results_of
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import CheckpointReached, Entry, RollbackStarted, RolloutFinished, SegmentExcluded
from covey.v1.rollout_spec_pb2 import ON_SEGMENT_HARM_EXCLUDE, RolloutSpec


def decide(spec: RolloutSpec, state: RolloutState, evidence: Evidence, now: datetime) -> list[Entry]:
    """What the journal should say after this look.

    Args:
        spec: the rollout's, with or without defaults; it is checked against the state's.
        state: the fold of the journal so far.
        evidence: what was just read. Calendar rules compare with its `observed_at`, which the journal keeps.
        now: time of the decision; stamps entries while they are tried, and decides nothing.

    Returns:
        The tick, then what follows from it, without sequence, time and epoch; nothing for a draft or an ended rollout.
        Applied in order to the state they are always legal.

    Raises:
        ValueError: the spec is not the one that the rollout was created with.
    """
    return draft_decision(spec, state, evidence, now).entries


def draft_decision(spec: RolloutSpec, state: RolloutState, evidence: Evidence, now: datetime) -> Draft:
    """As `decide`, with the state that its entries lead to but for the stamps that the server gives them."""
    if spec is not state.spec and state.spec not in (spec, with_defaults(spec), as_created(spec)):
        raise ValueError(f"the spec is not that of {state.name}: decide() needs the spec of the journal")
    if state.is_terminal or state.state == State.STATE_DRAFT:
        return Draft(state, now)
    draft = Draft(state, now)
    draft.add_tick(evidence)
    if draft.state.state == State.STATE_ROLLING_BACK:
        _finish_rollback(draft, evidence)
    elif not (draft.state.in_phase and _harm_shown(draft)):
        _record_checkpoints(draft)
        if not draft.state.paused:
            advance_or_hold(draft)
            escalate(draft)
    return draft


def _finish_rollback(draft: Draft, evidence: Evidence) -> None:
    """Ends the rollback once every replica or router that answers shows that the candidate has no traffic."""
    splitting = [reading for reading in evidence.readings if not reading.behind_router]
    readings = sorted(splitting, key=lambda reading: reading.replica)
    if not readings or any(reading.candidate_weight_bp != 0 for reading in readings):
        return
    aborted = draft.state.rollback_cause == RollbackStarted.CAUSE_ABORT
    outcome = RolloutFinished.OUTCOME_ABORTED if aborted else RolloutFinished.OUTCOME_ROLLED_BACK
    verdicts = current_verdicts(draft.state)
    draft.add(finished=RolloutFinished(outcome=outcome, verdicts=verdicts, read_back=readings))


def _harm_shown(draft: Draft) -> bool:
    """Rolls back where a trigger is shown, a literal rule that may do so holds, or the candidate answers no probe."""
    state = draft.state
    questions = trigger_questions(state)
    for index, result in enumerate(results_of(state, questions)):
        incident = questions[index].statement.kind is Kind.INCIDENTS
        shown = result == Verdict.RESULT_FAIL
        by_literal_rule = literal_rolls_back(state.spec.triggers[index]) and literal_rule_holds(state, index)
        if shown or by_literal_rule:
            cause = RollbackStarted.CAUSE_INCIDENT if incident else RollbackStarted.CAUSE_TRIGGER
            (full,) = judge(state, questions[index : index + 1])
            roll_back(draft, cause, full.sentence, "" if incident else full.statement)
            return True
    if _segment_harm(draft):
        return True
    if state.candidate_is_gone:
        text = f"unavailable: no router reaches {state.spec.candidate} and it answers no probe; the baseline does"
        roll_back(draft, RollbackStarted.CAUSE_UNAVAILABLE, text)
        return True
    grace = seconds_of(state.spec.metrics_grace)
    if state.unanswered_seconds >= grace:
        silence = format_duration(state.unanswered_seconds)
        text = f"unavailable: no probe of {state.spec.candidate} was answered for {silence}"
        roll_back(draft, RollbackStarted.CAUSE_UNAVAILABLE, text)
        return True
    if is_foreign(state.spec) and state.misrouted_seconds >= grace:
        roll_back(draft, RollbackStarted.CAUSE_ROUTER, _misrouted(state))
        return True
    return False


def _misrouted(state: RolloutState) -> str:
    """How long which router has not done what the journal says; a router may be alone in what it does."""
    read = [f"{router} shows {format_share(bp / 10_000)}" for router, bp in sorted(state.last_tick_weights.items())]
    for_long = format_duration(state.misrouted_seconds)
    share = format_share(state.candidate_weight_bp / 10_000)
    return f"for {for_long} the traffic was not split as the journal says, {share}: {', '.join(read) or 'none answers'}"


def _segment_harm(draft: Draft) -> bool:
    """Rolls back for a harmed segment, or routes it back to the baseline where the spec says so; whether it rolled."""
    state = draft.state
    questions = criterion_questions(state, only=Kind.SEGMENTS) if state.outcomes else []
    for question in questions:
        harmed = [] if question.report_only else harmed_segments(state, question.statement, question.refutation_alpha)
        if harmed and invalid_reason(state):
            return False
        for harm in harmed:
            text = f"{question.statement.text}: segment '{harm.segment}' changes by {percent(harm.effect.estimate)}"
            others = {name for name, _ in segment_effects(draft.state, question.statement)} - {harm.segment}
            excludes = state.spec.on_segment_harm == ON_SEGMENT_HARM_EXCLUDE and harm.segment != FOLDED_SEGMENT
            if excludes and others:
                verdicts = judge(draft.state, [question])
                draft.add(
                    segment_excluded=SegmentExcluded(
                        segment=harm.segment, statement=question.statement.text, explanation=text, verdicts=verdicts
                    )
                )
            else:
                roll_back(draft, RollbackStarted.CAUSE_TRIGGER, text, question.statement.text)
                return True
    return False


def _record_checkpoints(draft: Draft) -> None:
    """Every checkpoint whose phase time has come, once."""
    while (phase := draft.state.phase_spec) is not None and draft.state.in_phase:
        reached = draft.state.checkpoints_reached
        if reached >= len(phase.checkpoints):
            return
        offset = phase.checkpoints[reached]
        if draft.state.phase_elapsed_seconds < seconds_of(offset):
            return
        verdicts = current_verdicts(draft.state)
        draft.add(checkpoint=CheckpointReached(phase=phase.name, offset=offset, verdicts=verdicts))
