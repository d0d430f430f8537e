"""Where a region stands, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from covey.rollout.model import State
from covey.rollout.words import state_word

if TYPE_CHECKING:
    from covey.fleet.model import RegionView

STRANGER = "a rollout of this name is there, made from another fleet or another version of this one"


def instant(time: datetime) -> str:
    """To the second, UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def standing(view: RegionView) -> str:
    """What a region waits for, or how it ended."""
    if not view.reachable:
        known = f"; last known {state_word(view.state)}" if view.exists else ""
        since = f"out of reach since {instant(view.lost_at)}" if view.lost_at else "did not answer"
        return f"{since} ({view.problem or 'no reason given'}){known}"
    if view.problem:
        return view.problem
    if not view.exists:
        return "has no rollout yet"
    if view.missing_roles:
        return f"waits for signatures: {', '.join(view.missing_roles)}"
    return ("paused; " if view.paused else "") + view.explanation


def before_start(view: RegionView, wave: int) -> str:
    """Why a region of a wave that may start does not start now."""
    if not view.reachable:
        return f"out of reach; wave {wave} waits for it, and it is started when it is back"
    return view.problem or "its draft is written first"


def listed(views: Iterable[RegionView]) -> str:
    """Regions with their states."""
    return ", ".join(f"{view.name} {_state(view)}" for view in views)


def _state(view: RegionView) -> str:
    if not view.exists:
        return "without a rollout"
    in_phase = view.state in {State.STATE_RUNNING, State.STATE_HOLDING, State.STATE_SOAKING}
    return f"{state_word(view.state)} in {view.phase}" if in_phase and view.phase else state_word(view.state)
