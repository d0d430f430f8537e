"""On which days learners were active, counted from each learner's own first day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.engine import thread_count
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.instants import instant_to_us
from covey.traits import all_later

if TYPE_CHECKING:
    from covey.events import Events

DAY_US = 86_400_000_000
_WORD_DAYS = 64
_MOST_DAYS = 64 * _WORD_DAYS


@dataclass(frozen=True, eq=False, slots=True)
class Activity:
    """One row per learner with an event at or before `as_of_us`.

    Days are numbers: floor((time - day start) / 86,400 s) since the epoch.

    Attributes:
        learner_ids: n distinct ids, ascending.
        first_day: int32, shape (n,): of the first event.
        last_day: int32, shape (n,): of the newest event.
        active: uint64, shape (n, words): bit d % 64 of word d // 64 is an event on day first_day + d.
        as_of_us: later events are ignored.
        day_start_seconds: when a day begins, after UTC midnight.
        ignored_event_count: events later than `as_of_us`.
    """

    learner_ids: LearnerIds
    first_day: NDArray[np.int32]
    last_day: NDArray[np.int32]
    active: NDArray[np.uint64]
    as_of_us: int
    day_start_seconds: int
    ignored_event_count: int

    def __len__(self) -> int:
        return len(self.first_day)

    @property
    def day_count(self) -> int:
        """Days from a learner's first one on that `active` has bits for."""
        return int(self.active.shape[1]) * _WORD_DAYS

    @property
    def last_complete_day(self) -> int:
        """The last day that had ended by `as_of_us`: only such days can be said to have been silent."""
        return (self.as_of_us + 1 - self.day_start_seconds * 1_000_000) // DAY_US - 1

    @property
    def observed_days(self) -> int:
        """How many complete days lie behind the earliest first day; negative where that day is not over yet."""
        return self.last_complete_day - int(self.first_day.min())


def days_of_activity(
    events: Events,
    as_of: datetime | np.datetime64 | int | None = None,
    days: int = _WORD_DAYS,
    day_start_seconds: int = 0,
    threads: int | None = None,
) -> Activity:
    """The days on which each learner had an event: one pass over the learners and times.

    Args:
        events: in any order of rows.
        as_of: as for `Events.traits`; the newest event by default.
        days: from each learner's first day on that are kept day by day, at most 4,096; rounded up to 64s.
        day_start_seconds: when a day begins, seconds after UTC midnight, within one day either way.
        threads: one per processor by default.

    Raises:
        InputError: when every event is later than `as_of`, or for days out of range.
    """
    if not 1 <= days <= _MOST_DAYS:
        raise InputError(f"{days} days after the first are asked for", expected=f"1 to {_MOST_DAYS}")
    as_of_us = events.newest_us if as_of is None else instant_to_us(as_of)
    columns: dict[str, Any] = _core.days_of_activity(
        events.learner_index,
        len(events.learner_ids),
        events.time,
        as_of_us,
        -(-days // _WORD_DAYS),
        day_start_seconds,
        thread_count(threads),
        learner_offsets=events.learner_offsets,
        time_origin_us=events.time_origin_us,
    )
    first_day, last_day, active = columns["first_day"], columns["last_day"], columns["active"]
    learner_ids = events.learner_ids
    present = first_day <= last_day
    if not present.all():
        if not present.any():
            raise all_later(as_of_us)
        learner_ids = learner_ids.take(np.flatnonzero(present))
        first_day, last_day, active = first_day[present], last_day[present], active[present]
    return Activity(
        learner_ids, first_day, last_day, active, as_of_us, day_start_seconds, int(columns["ignored_event_count"])
    )


def date_of(day: int) -> date:
    """The date of a day's number, in the zone that `day_start_seconds` stands for."""
    return datetime.fromtimestamp(0, UTC).date() + timedelta(days=int(day))
