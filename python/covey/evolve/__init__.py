"""How learners move between cohorts over time: snapshots, transitions, stays, forecasts and when to assign anew."""

from __future__ import annotations

from covey.evolve.alignment import Alignment, align
from covey.evolve.snapshots import AWAY, NOT_YET, Snapshot, Snapshots, instants_between, snapshots
from covey.evolve.transitions import Dwell, Stability, Transitions, dwell_times, stability, transitions

__all__ = [
    "AWAY",
    "NOT_YET",
    "Alignment",
    "Dwell",
    "Snapshot",
    "Snapshots",
    "Stability",
    "Transitions",
    "align",
    "dwell_times",
    "instants_between",
    "snapshots",
    "stability",
    "transitions",
]
