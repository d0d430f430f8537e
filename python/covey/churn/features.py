"""What a model sees of a learner at an instant: counts in windows, silence, gaps, habits, traits, from before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.agreement import common_positions
from covey.engine import thread_count
from covey.parameters import TRAIT_NAMES, TraitParameters
from covey.traits_over_time import traits_at

if TYPE_CHECKING:
    from covey.engine import Progress
    from covey.events import Events

Floats = NDArray[np.float64]

TRAIT_VERSION = 1
"""Of the definitions of the traits and of the columns below: a model knows the version that it was trained on."""

_WINDOWS = (1, 3, 7, 14, 28, 56)
_CORE_NAMES = (
    *(f"events_{days}d" for days in _WINDOWS),
    *(f"active_days_{days}d" for days in _WINDOWS),
    "active_days_week_2",
    "active_days_week_3",
    "active_days_week_4",
    "silent_days",
    "tenure_days",
    "active_days",
    "event_count",
    "longest_gap_days",
    "gap_deviation_days",
    "long_gap_count",
    "gap_share",
)
TRAIT_FEATURES = (*TRAIT_NAMES, "momentum", "domain_entropy")

GROUPS: dict[str, tuple[str, ...]] = {
    "counts": tuple(f"{what}_{days}d" for what in ("events", "active_days") for days in (1, 3, 7, 14, 28)),
    "silence": ("silent_days",),
    "earlier weeks": (
        "events_56d",
        "active_days_56d",
        "active_days_week_2",
        "active_days_week_3",
        "active_days_week_4",
    ),
    "gaps": ("longest_gap_days", "gap_deviation_days", "long_gap_count", "gap_share"),
    "habits": ("active_days", "active_day_rate", "events_per_day"),
    "tenure": ("tenure_days",),
    "traits": TRAIT_FEATURES,
}
"""Features by what they are about, in the order in which the ablation adds them. First ten counts in windows."""

FEATURE_NAMES = tuple(name for names in GROUPS.values() for name in names)


@dataclass(frozen=True, eq=False, slots=True)
class FeatureRows:
    """The learners to be asked about at one instant.

    Attributes:
        as_of_us: the instant; no event at or after it was looked at.
        learners: int64, shape (rows,): positions in the events' `learner_ids`, ascending.
        values: float64, shape (rows, len(FEATURE_NAMES)).
        next_us: int64, shape (rows,): the first event at or after the instant, the largest int64 for none. What is to
            be foretold, and no feature.
    """

    as_of_us: int
    learners: NDArray[np.int64]
    values: Floats
    next_us: NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class History:
    """Times of all learners, ready to be asked at many instants.

    Attributes:
        offsets: int64, shape (n + 1,).
        time_us: int64: each learner's times, ascending.
    """

    offsets: NDArray[np.int64] = field(repr=False)
    time_us: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, events: Events, threads: int | None = None) -> History:
        """The times of the events."""
        offsets, time_us = _core.sort_histories(
            events.learner_index,
            len(events.learner_ids),
            events.time,
            thread_count(threads),
            learner_offsets=events.learner_offsets,
            time_origin_us=events.time_origin_us,
        )
        return cls(offsets, time_us)

    @property
    def last_us(self) -> NDArray[np.int64]:
        """The newest event of each learner; every learner has one."""
        return self.time_us[self.offsets[1:] - 1]


def feature_rows(
    events: Events,
    history: History,
    instants: Sequence[int],
    active_days: int,
    parameters: TraitParameters | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[FeatureRows]:
    """Features of the learners with an event in the last `active_days`, at each instant.

    Args:
        events: in any order of rows.
        history: their times.
        instants: ascending, each after some event.
        active_days: who is asked about.
        parameters: constants of the traits.
        threads: one per processor by default.
        progress: called with (what, done, total).
    """
    # An event at the instant itself is the future already: traits are taken a microsecond before.
    before = [instant - 1 for instant in instants]
    told = traits_at(events, before, parameters or TraitParameters(), progress, threads)
    for instant, traits in zip(instants, told, strict=True):
        core = _core.history_features(history.offsets, history.time_us, instant, thread_count(threads))
        silent = core[:, _CORE_NAMES.index("silent_days")]
        learners = np.flatnonzero(silent <= active_days)  # NaN: no event so far
        columns = dict(zip(_CORE_NAMES, core[learners].T.astype(np.float64), strict=True))
        tenure = np.maximum(columns["tenure_days"], 1.0)
        columns["active_day_rate"] = columns["active_days"] / tenure
        columns["events_per_day"] = columns["event_count"] / tenure
        ids = events.learner_ids.take(learners)
        own = common_positions(traits.learner_ids, ids)[0]
        for name in TRAIT_FEATURES:
            columns[name] = traits[name][own].astype(np.float64)
        next_us = _core.next_events(history.offsets, history.time_us, instant, thread_count(threads))[learners]
        yield FeatureRows(instant, learners, np.column_stack([columns[name] for name in FEATURE_NAMES]), next_us)
