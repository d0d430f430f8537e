"""What each journal entry does to the state, and when it is legal. Everything else is an IllegalEntry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from covey.rollout.accumulate import accumulate
from covey.rollout.counts import Counts
from covey.rollout.holds import acknowledged, escalated, held_changes
from covey.rollout.model import IN_PHASE, IllegalEntry, RolloutState, State
from covey.rollout.signatures import approved, awaiting_explanation, denied, revoked
from covey.rollout.units import format_share, seconds_of, time_of
from covey.rollout.windows import LiteralRun, Window
from covey.rollout.words import state_word
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import Entry, RollbackStarted, RolloutFinished
from covey.v1.rollouts_pb2 import Incident

Handler: TypeAlias = Callable[[RolloutState, Entry, Any], RolloutState]

STARTED = IN_PHASE | {State.STATE_SCHEDULED}
TICKING = STARTED | {State.STATE_ROLLING_BACK}


def require(state: RolloutState, legal: frozenset[Any], what: str) -> None:
    """Refuses an entry in every state but the legal ones."""
    if state.state not in legal:
        raise IllegalEntry(f"{what} is not possible while the rollout is {state_word(state.state)}")


def _require_phase(state: RolloutState, phase: str, what: str) -> None:
    if not state.in_phase:
        raise IllegalEntry(f"{what} needs a phase in force; the rollout is {state_word(state.state)}")
    if phase != state.phase:
        raise IllegalEntry(f"{what} names phase '{phase}', but '{state.phase}' is in force", "WRONG_PHASE")


def _started(state: RolloutState, entry: Entry, _payload: Any) -> RolloutState:
    require(state, frozenset({State.STATE_DRAFT}), "a start")
    explanation = "it waits for its first phase"
    by, at = entry.actor, time_of(entry.time)
    return replace(state, state=State.STATE_SCHEDULED, started_by=by, started_at=at, explanation=explanation)


def _approval_awaited(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    require(state, STARTED, "waiting for approval")
    if state.paused:
        raise IllegalEntry("a paused rollout does not move", "PAUSED")
    if state.next_phase is None or payload.phase != state.next_phase.name:
        raise IllegalEntry(f"'{payload.phase}' is not the next phase", "WRONG_PHASE")
    waiting = replace(
        state,
        state=State.STATE_AWAITING_APPROVAL,
        awaited_phase=payload.phase,
        missing_roles=tuple(payload.missing_roles),
        waits_for_calendar=False,
    )
    return replace(waiting, explanation=awaiting_explanation(waiting))


def _phase_entered(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    require(state, STARTED, "entering a phase")
    if state.paused:
        raise IllegalEntry("a paused rollout does not move", "PAUSED")
    if state.next_phase is None or payload.phase != state.next_phase.name:
        raise IllegalEntry(f"'{payload.phase}' is not the next phase", "WRONG_PHASE")
    index = state.phase_index + 1
    if payload.candidate_weight_bp != state.plan.weight_bp(index):
        raise IllegalEntry(
            f"phase '{payload.phase}' gives the candidate {state.plan.weight_bp(index)} basis points, "
            f"not {payload.candidate_weight_bp}",
            "WRONG_WEIGHT",
        )
    phase = state.spec.phases[index]
    share = format_share(payload.candidate_weight_bp / 10_000)
    zero = Counts(over=(0,) * len(state.plan.limits_seconds))
    entered = replace(
        state,
        state=State.STATE_SOAKING if phase.soak else State.STATE_RUNNING,
        explanation=f"phase '{phase.name}' gathers evidence at {share} of the learners",
        phase_index=index,
        awaited_phase="",
        missing_roles=(),
        waits_for_calendar=False,
        candidate_weight_bp=payload.candidate_weight_bp,
        effective_at=time_of(entry.effective_at if entry.HasField("effective_at") else entry.time),
        phase_entered_sequence=entry.sequence,
        phase_elapsed_seconds=0.0,
        phase_open_seconds=0.0,
        phase_ticks=0,
        weight_confirmed=False,
        misrouted_seconds=0.0,
        confirmed_replicas=frozenset(),
        checkpoints_reached=0,
        promoted=False,
        deferred=state.deferred + _newly_deferred(state, payload.verdicts),
        phase_counts=zero,
        phase_rivals=zero,
        phase_window=Window(),
        literal_runs=(LiteralRun(),) * len(state.plan.triggers),
    )
    return replace(entered, gates=state.gates.entering(state.plan.gates, index, entered.criterion_rows()))


def _newly_deferred(state: RolloutState, verdicts: Any) -> tuple[tuple[str, str], ...]:
    """Criteria of the phase left that could not be answered there and are asked again later."""
    unanswered = {verdict.statement for verdict in verdicts if verdict.result == Verdict.RESULT_INSUFFICIENT}
    return tuple(
        (criterion.defer, statement.text)
        for criterion, statement in state.phase_criteria()
        if criterion.defer and statement.text in unanswered
    )


def _tick(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    require(state, TICKING, "a tick")
    return accumulate(state, payload, last_sequence=entry.sequence, epoch=max(state.epoch, entry.epoch))


def _checkpoint(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    _require_phase(state, payload.phase, "a checkpoint")
    offsets = state.spec.phases[state.phase_index].checkpoints
    offset = seconds_of(payload.offset)
    if state.checkpoints_reached >= len(offsets) or seconds_of(offsets[state.checkpoints_reached]) != offset:
        raise IllegalEntry(f"phase '{state.phase}' has no checkpoint due at {offset:g} s", "WRONG_CHECKPOINT")
    if state.phase_elapsed_seconds < offset:
        raise IllegalEntry(f"the checkpoint at {offset:g} s has not come yet", "WRONG_CHECKPOINT")
    return replace(state, checkpoints_reached=state.checkpoints_reached + 1)


def _held(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    _require_phase(state, payload.phase, "a hold")
    return replace(
        state,
        state=State.STATE_HOLDING,
        explanation=payload.explanation,
        awaited_phase="",
        missing_roles=(),
        **held_changes(state, payload),
    )


def _released(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    require(state, frozenset({State.STATE_HOLDING}), "a release")
    _require_phase(state, payload.phase, "a release")
    soaking = state.spec.phases[state.phase_index].soak
    share = format_share(state.candidate_weight_bp / 10_000)
    return replace(
        state,
        state=State.STATE_SOAKING if soaking else State.STATE_RUNNING,
        waits_for_calendar=False,
        explanation=f"phase '{state.phase}' gathers evidence at {share} of the learners",
    )


def _paused(state: RolloutState, _entry: Entry, _payload: Any) -> RolloutState:
    require(state, STARTED, "a pause")
    if state.paused:
        raise IllegalEntry("it is paused already", "PAUSED")
    return replace(state, paused=True)


def _resumed(state: RolloutState, _entry: Entry, _payload: Any) -> RolloutState:
    require(state, STARTED, "a resume")
    if not state.paused:
        raise IllegalEntry("it is not paused", "NOT_PAUSED")
    return replace(state, paused=False)


def _promoted(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    _require_phase(state, payload.phase, "a promotion")
    if state.paused:
        raise IllegalEntry("a paused rollout does not move; resume it first", "PAUSED")
    if state.promoted:
        raise IllegalEntry(f"phase '{state.phase}' is promoted already", "PROMOTED")
    return replace(state, promoted=True)


def _postponed(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    require(state, STARTED | {State.STATE_DRAFT}, "postponing")
    if not payload.HasField("not_before"):
        raise IllegalEntry("a postponement needs the time before which the phase does not begin", "NO_TIME")
    if state.phase_index_of(payload.phase) <= state.phase_index:
        raise IllegalEntry(f"phase '{payload.phase}' has begun already", "PHASE_BEGUN")
    return replace(state, not_before={**state.not_before, payload.phase: time_of(payload.not_before)})


def _rollback_started(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    require(state, STARTED | {State.STATE_DRAFT}, "a rollback")
    if payload.cause == RollbackStarted.CAUSE_UNSPECIFIED:
        raise IllegalEntry("a rollback needs its cause", "NO_CAUSE")
    if payload.cause != RollbackStarted.CAUSE_ABORT and not state.in_phase:
        raise IllegalEntry("there is nothing to roll back: no phase is in force")
    return replace(
        state,
        state=State.STATE_ROLLING_BACK,
        explanation=payload.explanation,
        rollback_cause=payload.cause,
        candidate_weight_bp=0,
        effective_at=time_of(entry.effective_at if entry.HasField("effective_at") else entry.time),
        paused=False,
        awaited_phase="",
        missing_roles=(),
        waits_for_calendar=False,
        weight_confirmed=False,
        confirmed_replicas=frozenset(),
    )


def _finished(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    if payload.outcome == RolloutFinished.OUTCOME_SUCCEEDED:
        require(state, frozenset({State.STATE_RUNNING, State.STATE_HOLDING, State.STATE_SOAKING}), "success")
        if state.next_phase is not None:
            raise IllegalEntry(f"phase '{state.next_phase.name}' is still to come", "WRONG_PHASE")
        if state.paused:
            raise IllegalEntry("a paused rollout does not move", "PAUSED")
        return replace(state, state=State.STATE_SUCCEEDED, explanation=f"{state.spec.candidate} passed every phase")
    require(state, frozenset({State.STATE_ROLLING_BACK}), "the end of a rollback")
    aborted = state.rollback_cause == RollbackStarted.CAUSE_ABORT
    expected = RolloutFinished.OUTCOME_ABORTED if aborted else RolloutFinished.OUTCOME_ROLLED_BACK
    if payload.outcome != expected:
        raise IllegalEntry("the outcome does not fit the cause of the rollback", "WRONG_OUTCOME")
    serving = [reading.replica for reading in payload.read_back if reading.candidate_weight_bp != 0]
    if serving:
        raise IllegalEntry(f"replica {serving[0]} still gives the candidate traffic", "WEIGHT_NOT_ZERO")
    return replace(state, state=State.STATE_ABORTED if aborted else State.STATE_ROLLED_BACK)


def _segment_excluded(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    if not state.in_phase:
        raise IllegalEntry("a segment is excluded while a phase is in force")
    if not payload.segment:
        raise IllegalEntry("learners without a segment cannot be excluded together", "NO_SEGMENT")
    if payload.segment in state.excluded_segments:
        raise IllegalEntry(f"segment '{payload.segment}' is excluded already", "EXCLUDED")
    return replace(state, excluded_segments=(*state.excluded_segments, payload.segment))


def _incident_reported(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    require(state, STARTED | {State.STATE_DRAFT, State.STATE_ROLLING_BACK}, "reporting an incident")
    if any(incident.incident_id == payload.incident_id for incident in state.open_incidents):
        raise IllegalEntry(f"incident '{payload.incident_id}' is open already", "INCIDENT_OPEN")
    incident = Incident(
        incident_id=payload.incident_id, critical=payload.critical, description=payload.description, time=entry.time
    )
    return replace(state, open_incidents=(*state.open_incidents, incident))


def _incident_resolved(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    require(state, STARTED | {State.STATE_DRAFT, State.STATE_ROLLING_BACK}, "resolving an incident")
    left = tuple(incident for incident in state.open_incidents if incident.incident_id != payload.incident_id)
    if len(left) == len(state.open_incidents):
        raise IllegalEntry(f"no incident '{payload.incident_id}' is open", "UNKNOWN_INCIDENT")
    return replace(state, open_incidents=left)


HANDLERS: dict[str, Handler] = {
    "started": _started,
    "approval_awaited": _approval_awaited,
    "phase_entered": _phase_entered,
    "tick": _tick,
    "checkpoint": _checkpoint,
    "held": _held,
    "released": _released,
    "paused": _paused,
    "resumed": _resumed,
    "promoted": _promoted,
    "postponed": _postponed,
    "approved": approved,
    "denied": denied,
    "revoked": revoked,
    "rollback_started": _rollback_started,
    "finished": _finished,
    "incident_reported": _incident_reported,
    "incident_resolved": _incident_resolved,
    "segment_excluded": _segment_excluded,
    "acknowledged": acknowledged,
    "escalated": escalated,
}

__all__ = ["HANDLERS", "require"]
