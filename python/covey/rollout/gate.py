"""The end of a phase: what holds it, who must still sign, and when the next begins."""

from __future__ import annotations

from collections.abc import Sequence

from covey.rollout.draft import Draft
from covey.rollout.model import LONGEST_GAP_INTERVALS, RolloutState, State
from covey.rollout.openings import overridden_calendar, wait_for_calendar
from covey.rollout.questions import Question, criterion_questions, literal_rolls_back, literal_rule_holds
from covey.rollout.rollback import roll_back
from covey.rollout.signatures import has_accepted, missing_roles
from covey.rollout.statement import Kind
from covey.rollout.units import format_duration, seconds_of, timestamp_of
from covey.rollout.validity import hold_reason, start_problem
from covey.rollout.verdicts import current_verdicts, judge, results_of
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import (
    ApprovalAwaited,
    PhaseEntered,
    PhaseHeld,
    PhaseReleased,
    RollbackStarted,
    RolloutFinished,
)


def advance_or_hold(draft: Draft) -> None:
    """Moves on where everything allows it; else says what does not, once."""
    state = draft.state
    if not state.in_phase:
        if not start_problem(state):
            _enter_next(draft, every_criterion_passes=False)
        return
    reason = hold_reason(state) or _literal_hold(state)
    if reason:
        _hold(draft, reason)
        return
    if not state.weight_confirmed:
        return  # the first looks of a phase, while the change of weight arrives
    if state.dwell_left_seconds > 0:
        if _out_of_time(state):
            _roll_back_for_time(draft, "its dwell was never complete")
        elif state.state == State.STATE_HOLDING:
            draft.add(released=PhaseReleased(phase=state.phase))
        return
    questions = criterion_questions(state)
    results = results_of(state, questions)
    if not state.promoted:
        refuted = _refuted(questions, results)
        if refuted is not None:
            (full,) = judge(state, [refuted])
            roll_back(draft, RollbackStarted.CAUSE_CRITERION, full.sentence, full.statement)
            return
        if reason := _unanswered_criteria(state, results):
            _hold(draft, reason)
            return
    deciding = [result for question, result in zip(questions, results, strict=True) if not question.report_only]
    _enter_next(draft, every_criterion_passes=all(result == Verdict.RESULT_PASS for result in deciding))


def _literal_hold(state: RolloutState) -> str:
    """The literal rules that hold now and may only hold, in words; empty where none does."""
    if not any(run.seconds for run in state.literal_runs):
        return ""
    standing = [
        statement.text
        for index, (trigger, statement) in enumerate(zip(state.spec.triggers, state.plan.triggers, strict=True))
        if not literal_rolls_back(trigger) and literal_rule_holds(state, index)
    ]
    return f"the literal rule holds for {', '.join(standing)}" if standing else ""


def _refuted(questions: Sequence[Question], results: Sequence[Verdict.Result.ValueType]) -> Question | None:
    """The first criterion that is refuted. Open incidents are no refutation: they may be resolved in time."""
    for question, result in zip(questions, results, strict=True):
        decides = not question.report_only and question.statement.kind is not Kind.INCIDENTS
        if decides and result == Verdict.RESULT_FAIL:
            return question
    return None


def _unanswered_criteria(state: RolloutState, results: Sequence[Verdict.Result.ValueType]) -> str:
    """Which criteria keep the phase from ending, and whose signature would do; empty where none does."""
    waiting: list[str] = []
    signers: list[str] = []
    for (criterion, statement), result in zip(state.phase_criteria(), results, strict=True):
        if criterion.report_only or result == Verdict.RESULT_PASS:
            continue
        if result == Verdict.RESULT_INSUFFICIENT:
            if criterion.defer:
                continue
            if criterion.accept_by:
                if not has_accepted(state, statement.text, criterion.accept_by):
                    signers.append(f"{statement.text} (or {criterion.accept_by} accepts it)")
                continue
        waiting.append(statement.text)
    return f"not shown yet: {', '.join(waiting + signers)}" if waiting or signers else ""


def _hold(draft: Draft, reason: str) -> None:
    """Holds for a reason of evidence, which max_hold bounds; an entry only where the reason changes."""
    state = draft.state
    if _out_of_time(state):
        _roll_back_for_time(draft, reason)
    elif state.state != State.STATE_HOLDING or state.explanation != reason:
        draft.add(held=PhaseHeld(phase=state.phase, explanation=reason, verdicts=current_verdicts(state)))


def _out_of_time(state: RolloutState) -> bool:
    """Whether max_hold is over. The looks that confirm the weight come on top."""
    phase = state.phase_spec
    if phase is None:
        return False
    allowance = LONGEST_GAP_INTERVALS * state.tick_interval_seconds
    return state.phase_open_seconds >= seconds_of(phase.max_hold) + allowance


def _roll_back_for_time(draft: Draft, reason: str) -> None:
    phase = draft.state.phase_spec
    limit = format_duration(seconds_of(phase.max_hold)) if phase else ""
    text = f"phase '{draft.state.phase}' could not advance within its max_hold of {limit}: {reason}"
    roll_back(draft, RollbackStarted.CAUSE_MAX_HOLD, text)


def _enter_next(draft: Draft, *, every_criterion_passes: bool) -> None:
    """Ends the rollout, asks for approval, waits for the date, or begins the next phase."""
    state = draft.state
    following = state.next_phase
    if following is None:
        _succeed(draft)
        return
    rule = following.approvals
    asked = bool(rule.roles) and not (rule.unless_every_criterion_passes and every_criterion_passes)
    missing = missing_roles(state, following.name, asked=asked)
    if missing:
        if state.state != State.STATE_AWAITING_APPROVAL or state.missing_roles != missing:
            draft.add(approval_awaited=ApprovalAwaited(phase=following.name, missing_roles=missing))
        return
    if wait := wait_for_calendar(state):
        if state.in_phase and (state.state != State.STATE_HOLDING or state.explanation != wait.reason):
            held = PhaseHeld(phase=state.phase, explanation=wait.reason, verdicts=current_verdicts(state))
            if wait.opens_at is not None and state.spec.HasField("calendar"):
                held.calendar_open_time.CopyFrom(timestamp_of(wait.opens_at))
            draft.add(held=held)
        return
    draft.add(
        phase_entered=PhaseEntered(
            phase=following.name,
            candidate_weight_bp=state.plan.weight_bp(state.phase_index + 1),
            verdicts=current_verdicts(state),
            overridden_calendar=overridden_calendar(state),
        )
    )


def _succeed(draft: Draft) -> None:
    draft.add(
        finished=RolloutFinished(
            outcome=RolloutFinished.OUTCOME_SUCCEEDED,
            verdicts=current_verdicts(draft.state),
            read_back=[draft.state.last_readings[name] for name in sorted(draft.state.last_tick_weights)],
        )
    )
