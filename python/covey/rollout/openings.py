"""What of the calendar the next phase waits for, and who may override it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from covey.rollout.model import RolloutState, State
from covey.rollout.standing import Signatures


@dataclass(frozen=True)
class Wait:
    """A phase that may not begin yet.

    Attributes:
        reason: one sentence that changes only when the reason does.
        opens_at: when it may; None: not within ten years.
        missing_roles: whose signatures would override it; empty where nobody may.
    """

    reason: str
    opens_at: datetime | None
    missing_roles: tuple[str, ...] = ()


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
    roles = state.spec.calendar.emergency.roles if opening.reason else ()
    missing = Signatures(state, following.name, at, emergency=True).missing(roles)
    return Wait(f"phase '{following.name}' waits for the calendar {until}: {reason}", opening.at, tuple(missing))


def only_wait(state: RolloutState) -> Wait | None:
    """The wait for the calendar where it is all that keeps the next phase from beginning."""
    alone = {
        State.STATE_SCHEDULED: True,
        State.STATE_AWAITING_APPROVAL: not state.missing_roles,
        State.STATE_HOLDING: state.waits_for_calendar,
    }
    return wait_for_calendar(state) if alone.get(state.state, False) else None


def wait_sentence(state: RolloutState, wait: Wait) -> str:
    """What is waited for, until when, who may override it and who has signed that."""
    following = state.next_phase
    if following is None or not wait.missing_roles:
        return wait.reason
    signatures = Signatures(state, following.name, state.last_tick_at, emergency=True)
    remarks = signatures.sentences(state.spec.calendar.emergency.roles)
    return "; ".join([wait.reason, f"{' and '.join(wait.missing_roles)} may override it in an emergency", *remarks])


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
