"""Everything about the evolution of learners that was asked for, together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covey.evolve.snapshots import Snapshots
from covey.evolve.transitions import Dwell, Stability, Transitions

if TYPE_CHECKING:
    from covey.evolve.forecast import Forecast
    from covey.evolve.schedule import Choice


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What was found.

    Attributes:
        snapshots: states of the learners.
        moves: between neighbouring snapshots.
        dwell: how long they stay.
        stability: of each snapshot with the one before.
        forecast: of the next state, where it was asked for.
        schedule: of assigning anew, where it was asked for.
    """

    snapshots: Snapshots
    moves: Transitions
    dwell: tuple[Dwell, ...]
    stability: tuple[Stability, ...]
    forecast: Forecast | None = None
    schedule: Choice | None = None
