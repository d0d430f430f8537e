"""What of the calendar the next phase waits for, and who may override it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from covey.rollout.model import RolloutState
from covey.rollout.standing import Signatures


@dataclass(frozen=True)
class Wait:
    """A phase that may not begin yet.

    Attributes:
        reason: one sentence that changes only when the reason does.
        opens_at: when it may; None: not within ten years.
    """

    reason: str
    opens_at: datetime | None


def wait_for_calendar(state: RolloutState) -> Wait | None:
    """What keeps the next phase from beginning at the last look; None where nothing of the calendar does."""
    following, at, not_before = state.next_phase, state.last_tick_at, state.calendar_opens_at
    if following is None:
        return None
    waits_for_date = not_before is not None and (at is None or at < not_before)
    earliest = not_before if waits_for_date else at
    hours, zone = state.plan.hours, state.plan.zone
    if earliest is None or hours.is_always_open or _signed_emergency(state, following.name):
        if not waits_for_date or not_before is None:
            return None
        begin = not_before.isoformat(timespec="seconds")
        return Wait(f"phase '{following.name}' begins no earlier than {begin}", not_before)
    opening = hours.opening(earliest)
    if not waits_for_date and not opening.reason:
        return None
    until = f"until {zone.local_text(opening.at)}" if opening.at else "for ten years and more"
    reason = opening.reason or "it was not to begin earlier"
    return Wait(f"phase '{following.name}' waits for the calendar {until}: {reason}", opening.at)


def overridden_calendar(state: RolloutState) -> str:
    """What of the calendar does not stop the next phase at the last look because people override it, and who does."""
    following, at = state.next_phase, state.last_tick_at
    if following is None or at is None or not _signed_emergency(state, following.name):
        return ""
    closed_by = state.plan.hours.closed_by(at)
    signatures = Signatures(state, following.name, at, emergency=True)
    people = [f"{person} ({role})" for role in signatures.rule.roles for person in signatures.people(role)]
    return f"{closed_by} at {state.plan.zone.local_text(at)}, by {', '.join(people)}" if closed_by else ""


def _signed_emergency(state: RolloutState, phase: str) -> bool:
    roles = state.spec.calendar.emergency.roles
    return bool(roles) and not Signatures(state, phase, state.last_tick_at, emergency=True).missing(roles)
