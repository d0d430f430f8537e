"""The state as the Rollout message that callers see."""

from __future__ import annotations

from covey.rollout.model import RolloutState, State
from covey.rollout.openings import only_wait, wait_sentence
from covey.rollout.standing import approvals_now, evidence_digest
from covey.rollout.units import duration_of, timestamp_of
from covey.rollout.verdicts import current_verdicts
from covey.v1.rollouts_pb2 import Rollout


def to_resource(state: RolloutState, verdicts: bool = True) -> Rollout:
    """The rollout now.

    Args:
        state: the fold of its journal.
        verdicts: whether to judge the last evidence too, which costs some milliseconds; lists leave it out.
    """
    rollout = Rollout(
        name=state.name,
        uid=state.uid,
        spec=state.spec,
        spec_digest=state.spec_digest,
        state=state.state,
        phase=state.phase,
        explanation=_explanation(state),
        paused=state.paused,
        candidate_weight_bp=state.candidate_weight_bp,
        approvals=approvals_now(state) if verdicts else state.approvals,
        missing_roles=state.missing_roles,
        open_incidents=state.open_incidents,
        last_sequence=state.last_sequence,
        epoch=state.epoch,
        excluded_segments=state.excluded_segments,
        hold_acknowledged_by=state.acknowledged_by if state.state == State.STATE_HOLDING else "",
    )
    if wait := only_wait(state):
        rollout.calendar_wait = wait.reason
        rollout.calendar_override_roles.extend(wait.missing_roles)
    if state.effective_at is not None:
        rollout.weight_effective_at.CopyFrom(timestamp_of(state.effective_at))
    if state.phase_spec is not None:
        rollout.phase_elapsed.CopyFrom(duration_of(state.phase_elapsed_seconds))
        rollout.phase_hold.CopyFrom(state.phase_spec.hold)
    if state.create_time is not None:
        rollout.create_time.CopyFrom(timestamp_of(state.create_time))
    if state.started_at is not None:
        rollout.start_time.CopyFrom(timestamp_of(state.started_at))
    if state.last_tick_at is not None:
        rollout.last_tick_time.CopyFrom(timestamp_of(state.last_tick_at))
    if verdicts:
        rollout.verdicts.extend(current_verdicts(state))
        rollout.evidence_digest = evidence_digest(state, rollout.verdicts if state.in_phase else ())
    return rollout


def _explanation(state: RolloutState) -> str:
    text = state.explanation
    if state.state == State.STATE_SCHEDULED and state.plan.hours.is_always_open:
        if (opens_at := state.calendar_opens_at) is not None:
            text += f", no earlier than {opens_at.isoformat(timespec='seconds')}"
    elif wait := only_wait(state):
        text = wait_sentence(state, wait)
    return f"paused; {text}" if state.paused else text
