"""Everything about who comes back, in one answer: the table, the curves and what they cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from covey.errors import InputError
from covey.instants import instant_to_us
from covey.retention.activity import DAY_US, Activity, days_of_activity
from covey.retention.curves import Curves, curves, stays
from covey.retention.groups import Groups, Period, everybody, start_cohorts
from covey.retention.intervals import Interval, checked, weekly
from covey.retention.table import FEW_LEARNERS, RetentionTable, retention_table

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np

    from covey.events import Events
    from covey.notebook.plot import Plot

DEFAULT_LANDMARK_DAYS = 14
DEFAULT_AWAY_AFTER_DAYS = 28
_MOST_WEEKS = 26
_LONGEST_CURVE_DAYS = 730


class GroupBy(StrEnum):
    """What learners are grouped by."""

    start = "start"
    archetype = "archetype"
    none = "none"


@dataclass(frozen=True, eq=False, slots=True)
class Retention:
    """Who came back, and how long learners stay.

    Attributes:
        by: what learners are grouped by.
        period: length of a start cohort.
        landmark_days: days that archetypes are made of; 0 for other groups.
        activity: the learners' days.
        groups: which group each learner is in.
        table: groups by intervals.
        curves: of the time until a silence; None where the data are too short for one.
        curves_problem: why there are none; "" otherwise.
    """

    by: GroupBy
    period: Period
    landmark_days: int
    activity: Activity
    groups: Groups
    table: RetentionTable
    curves: Curves | None
    curves_problem: str

    def plot(self, kind: Literal["triangle", "curves"] = "triangle") -> Plot:
        """A picture for a notebook or a file: `events.retention().plot().savefig("retention.svg")`.

        Args:
            kind: "triangle" (the share of each group that came back in each interval), or "curves" (how long the
                learners of the largest groups stay).

        Raises:
            InputError: for another kind, and for curves where the data are too short for them.
        """
        from covey.notebook.plot import retention_plot

        return retention_plot(self, kind)

    def __repr__(self) -> str:
        from covey.notebook.text import of_retention

        return of_retention(self)

    def _repr_html_(self) -> str:
        from covey.notebook.html import of_retention

        return of_retention(self)


def measure(
    events: Events,
    intervals: Sequence[Interval] | None = None,
    by: GroupBy = GroupBy.start,
    *,
    period: Period = Period.week,
    landmark_days: int = DEFAULT_LANDMARK_DAYS,
    away_after_days: int | None = None,
    k: int | Literal["auto"] = "auto",
    seed: int = 0,
    as_of: datetime | np.datetime64 | int | None = None,
    day_start_seconds: int = 0,
    confidence: float = 0.95,
    few_learners: int = FEW_LEARNERS,
    threads: int | None = None,
) -> Retention:
    """Retention by groups, and survival curves of the same groups.

    Args:
        events: in any order of rows.
        intervals: what to count; the weeks after the start that someone has completed, at most 26, by default.
        by: start cohorts, archetypes of the first days, or all learners together.
        period: length of a start cohort.
        landmark_days: days that archetypes are made of; intervals then begin after them.
        away_after_days: D complete days without an event are leaving; 28 by default, and no curves where the data are
            too short for that.
        k: number of cohorts that archetypes come from.
        seed: of k-means.
        as_of: as for `Events.traits`; the newest event by default. Only days that had ended by then count as silent.
        day_start_seconds: when a day begins, seconds after UTC midnight.
        confidence: of every cell's limits and of the bands at each day.
        few_learners: groups of fewer are marked.
        threads: one per processor by default.

    Raises:
        InputError: for days that nobody has completed, a D given that is longer than the data, intervals within the
            days that archetypes are made of, or an `as_of` before every event.
    """
    by, period = GroupBy(by), Period(period)
    span = _days_between(events, as_of)
    wanted = None if intervals is None else checked(intervals)
    silence = DEFAULT_AWAY_AFTER_DAYS if away_after_days is None else away_after_days
    longest = max([i.last for i in wanted or () if i.last is not None], default=0)
    days = max(longest + 1, min(span + 1, _LONGEST_CURVE_DAYS + silence), 1)
    activity = days_of_activity(events, as_of, days, day_start_seconds, threads)
    landmark = landmark_days if by is GroupBy.archetype else 0
    wanted = _completed_weeks(activity, landmark) if wanted is None else wanted
    _check_intervals(activity, wanted, landmark)
    groups = _groups(events, activity, by, period, landmark, k, seed, threads)
    found, problem = _curves(activity, groups, silence, away_after_days is not None, landmark, confidence, few_learners)
    return Retention(
        by=by,
        period=period,
        landmark_days=landmark,
        activity=activity,
        groups=groups,
        table=retention_table(activity, groups, wanted, confidence, few_learners, threads),
        curves=found,
        curves_problem=problem,
    )


def _days_between(events: Events, as_of: datetime | np.datetime64 | int | None) -> int:
    from covey.instants import widened_us

    oldest_us = int(widened_us(events.time.min(keepdims=True), events.time_origin_us)[0])
    newest_us = events.newest_us if as_of is None else instant_to_us(as_of)
    return max((newest_us - oldest_us) // DAY_US + 1, 0)


def _completed_weeks(activity: Activity, landmark_days: int) -> tuple[Interval, ...]:
    weeks = weekly(min(_MOST_WEEKS, max((activity.observed_days + 1) // 7 - 1, 0)))
    found = tuple(interval for interval in weeks if interval.first >= landmark_days)
    if not found:
        raise InputError(
            f"no learner has completed a week after {'the first' if not landmark_days else f'day {landmark_days}'}: "
            f"the data hold {max(activity.observed_days, 0)} complete days after the first",
            remedy="name shorter intervals, such as 1,2,3",
        )
    return found


def _check_intervals(activity: Activity, intervals: Sequence[Interval], landmark_days: int) -> None:
    within = [interval.label for interval in intervals if interval.first < landmark_days]
    if within:
        raise InputError(
            f"interval {within[0]} lies within the first {landmark_days} days, which the archetypes are made of: "
            "whoever came back then is in another archetype because of it",
            remedy=f"ask for days from {landmark_days} on, or for a shorter landmark",
        )
    if all(interval.completed_on > activity.observed_days for interval in intervals):
        shortest = min(intervals, key=lambda interval: interval.completed_on)
        raise InputError(
            f"no learner has completed interval {shortest.label}: the data hold "
            f"{max(activity.observed_days, 0)} complete days after the first",
            remedy="choose shorter intervals, or wait for more data",
        )


def _groups(
    events: Events,
    activity: Activity,
    by: GroupBy,
    period: Period,
    landmark_days: int,
    k: int | Literal["auto"],
    seed: int,
    threads: int | None,
) -> Groups:
    if by is GroupBy.start:
        return start_cohorts(activity, period)
    if by is GroupBy.none:
        return everybody(activity)
    from covey.retention.landmark import archetype_groups, first_days_cohorts

    return archetype_groups(activity, first_days_cohorts(events, activity, landmark_days, k, seed, threads))


def _curves(
    activity: Activity,
    groups: Groups,
    silence: int,
    was_asked_for: bool,
    landmark_days: int,
    confidence: float,
    few_learners: int,
) -> tuple[Curves | None, str]:
    try:
        return curves(stays(activity, silence), groups, landmark_days, confidence, few_learners), ""
    except InputError as error:
        if was_asked_for:
            raise
        return None, error.problem
