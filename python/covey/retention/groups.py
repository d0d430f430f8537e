"""Groups of learners that are fixed before retention is counted: when they started, what they did at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.retention.activity import Activity, date_of

_WEEK = 7
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Period(StrEnum):
    """Length of a start cohort."""

    day = "day"
    week = "week"
    """Monday to Sunday."""
    month = "month"


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """Which group each learner is in.

    Attributes:
        codes: int32, shape (n,): position in `names`, or -1 for a learner who is in none.
        names: of the groups.
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]


def everybody(activity: Activity) -> Groups:
    """One group."""
    return Groups(np.zeros(len(activity), dtype=np.int32), ("all",))


def start_cohorts(activity: Activity, period: Period) -> Groups:
    """Learners by the day, week or month of their first event; each group is named by the period's first date."""
    days = activity.first_day.astype(np.int64)
    if period is Period.week:
        days -= (days + _EPOCH_WEEKDAY) % _WEEK
    elif period is Period.month:
        days = days.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    earliest = int(days.min())
    offsets = days - earliest
    found = np.bincount(offsets) > 0  # a table of the days, not a sort of the learners
    code_of = (np.cumsum(found) - 1).astype(np.int32)
    begins = (np.flatnonzero(found) + earliest).tolist()
    dates = tuple(date_of(begin).isoformat()[: 7 if period is Period.month else 10] for begin in begins)
    return Groups(code_of[offsets], dates)


def given_groups(
    activity: Activity, learner_ids: LearnerIds, codes: NDArray[np.integer], names: Sequence[str]
) -> Groups:
    """Groups known by learner, such as segments or cohorts of a model; learners without one are left out.

    Raises:
        InputError: when no learner has one.
    """
    from covey.agreement import common_positions

    mine, theirs = common_positions(activity.learner_ids, learner_ids)
    if not len(mine):
        raise InputError("no learner of the events is in a group", remedy="check that both use the same ids")
    found = np.full(len(activity), -1, dtype=np.int32)
    found[mine] = codes[theirs]
    return Groups(found, tuple(names))
