"""What holds, acknowledgements and escalations do to the state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from covey.rollout.model import IllegalEntry, RolloutState, State
from covey.rollout.words import state_word
from covey.v1.journal_pb2 import Entry


def held_changes(state: RolloutState, payload: Any) -> dict[str, Any]:
    """What a hold changes for those on call: a new one begins their wait, another reason for the same one does not."""
    by_calendar = payload.HasField("calendar_open_time")
    was_held = state.state == State.STATE_HOLDING and not state.waits_for_calendar
    if was_held and not by_calendar:
        return {}
    held_since = None if by_calendar else state.last_tick_at
    return {
        "waits_for_calendar": by_calendar,
        "held_since": held_since,
        "held_seconds": 0.0,
        "acknowledged_by": "",
        "escalation_count": 0,
    }


def acknowledged(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    """Somebody looks after the hold."""
    _require_hold(state, payload.phase, "an acknowledgement")
    if state.acknowledged_by:
        raise IllegalEntry(f"{state.acknowledged_by} has acknowledged it already", "ACKNOWLEDGED")
    return replace(state, acknowledged_by=entry.actor or "somebody")


def escalated(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    """The next on call is told."""
    _require_hold(state, payload.phase, "an escalation")
    if state.acknowledged_by:
        raise IllegalEntry(f"{state.acknowledged_by} has acknowledged the hold", "ACKNOWLEDGED")
    return replace(state, escalation_count=state.escalation_count + 1)


def _require_hold(state: RolloutState, phase: str, what: str) -> None:
    if state.state != State.STATE_HOLDING:
        raise IllegalEntry(f"{what} needs a hold; the rollout is {state_word(state.state)}")
    if phase != state.phase:
        raise IllegalEntry(f"{what} names phase '{phase}', but '{state.phase}' is in force", "WRONG_PHASE")
