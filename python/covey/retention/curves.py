"""How long learners stay: survival curves of the days until a silence of D days, and whether groups differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.retention.activity import Activity
from covey.retention.groups import Groups
from covey.stats.survival import LogRank, SurvivalCurve, kaplan_meier_of, life_table, log_rank_of

_WORD = 64
_NEVER = np.int64(2**40)


@dataclass(frozen=True, eq=False, slots=True)
class Stays:
    """How long each learner stayed.

    Attributes:
        days: int64, shape (n,): from the first day to the last active one before the first silence, or as far as the
            data show that no silence had begun; -1 for learners whose first day is too recent to tell.
        left: shape (n,): whether a silence was seen.
        away_after_days: D, the length of a silence.
        horizon_days: days after the first beyond which nobody was looked at.
    """

    days: NDArray[np.int64]
    left: NDArray[np.bool_]
    away_after_days: int
    horizon_days: int


@dataclass(frozen=True, eq=False, slots=True)
class GroupCurve:
    """The curve of one group.

    Attributes:
        group: its name.
        learner_count: learners whom the curve is made of.
        left_count: of these, who were seen to leave.
        curve: share that has not left, by days since the start (or since the landmark).
        watched: int64, shape (longest + 1,): learners still watched and not gone before each day.
    """

    group: str
    learner_count: int
    left_count: int
    curve: SurvivalCurve
    watched: NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """Curves of groups and their comparison.

    Attributes:
        groups: one per group.
        total: all learners of the groups.
        test: log-rank test that all groups leave at one rate; None for a single group.
        test_problem: why there is no test, or why it says little; "" otherwise.
        from_day: the day that time counts from: 0, or the landmark.
        away_after_days: D.
    """

    groups: tuple[GroupCurve, ...]
    total: GroupCurve
    test: LogRank | None
    test_problem: str
    from_day: int
    away_after_days: int


def stays(activity: Activity, away_after_days: int) -> Stays:
    """Find the first silence of each learner: D complete days without an event.

    A learner leaves on the last active day before their first silence; whoever comes back later has left all the same,
    so that an answer does not change as data come in. A silence is known D days after it began: every learner is
    watched up to D days before the end of the data, and whoever had not left by then is censored there. So censoring
    depends on the start alone.

    Raises:
        InputError: for a D that the data are too short for.
    """
    if away_after_days < 1:
        raise InputError(f"away after {away_after_days} days", expected="1 or more")
    if away_after_days > activity.observed_days:
        raise InputError(
            f"a silence of {away_after_days} days cannot be told from the end of the data: they hold "
            f"{max(activity.observed_days, 0)} complete days after the first",
            remedy=f"choose at most {activity.observed_days} days, or wait for more data"
            if activity.observed_days >= 1
            else "wait for more data",
        )
    horizon = activity.day_count - 1 - away_after_days
    if horizon < 0:
        raise InputError(
            f"{activity.day_count} days of activity are too few for a silence of {away_after_days} days",
            remedy=f"ask `days_of_activity` for more than {away_after_days} days",
        )
    watched = np.minimum(activity.last_complete_day - away_after_days - activity.first_day.astype(np.int64), horizon)
    leaving = activity.active & ~_active_within(activity.active, away_after_days)
    first = _first_bit(leaving)
    left = first <= watched
    days = np.where(left, first, watched)
    return Stays(np.maximum(days, -1), left & (days >= 0), away_after_days, horizon)


def curves(found: Stays, groups: Groups, from_day: int = 0, confidence: float = 0.95, few_learners: int = 20) -> Curves:
    """Curves of the groups.

    Args:
        found: from `stays`.
        groups: of the same learners.
        from_day: learners who had left by this day, or were not watched beyond it, are left out, and time counts from
            it: the landmark of groups that are made of the first days; 0 counts everybody from their first day.
        confidence: of the bands, at each single day.
        few_learners: groups of fewer make the test's problem.

    Raises:
        InputError: when nobody is left to make a curve of.
    """
    used = (found.days >= from_day) & (groups.codes >= 0)
    if from_day:
        used &= found.days > from_day
    if not used.any():
        raise InputError(
            f"no learner was watched beyond day {from_day} and {found.away_after_days} days of silence after it",
            remedy="choose a shorter silence or an earlier landmark",
        )
    days, left, codes = found.days[used] - from_day, found.left[used], groups.codes[used]

    def curve(name: str, members: NDArray[np.bool_]) -> GroupCurve:
        fitted = kaplan_meier_of(life_table(days[members], left[members]), confidence)
        watched = np.bincount(days[members])[::-1].cumsum()[::-1]
        return GroupCurve(name, int(members.sum()), int(left[members].sum()), fitted, watched)

    lines = tuple(curve(name, codes == code) for code, name in enumerate(groups.names))
    total = curve("all", np.ones(len(days), dtype=bool))
    test, problem = _compared(days, left, codes, lines, few_learners)
    return Curves(lines, total, test, problem, from_day, found.away_after_days)


def _compared(
    days: NDArray[np.int64],
    left: NDArray[np.bool_],
    codes: NDArray[np.int32],
    lines: tuple[GroupCurve, ...],
    few_learners: int,
) -> tuple[LogRank | None, str]:
    if len(lines) < 2:
        return None, ""
    cells = days * len(lines) + codes
    shape = (int(days.max()) + 1, len(lines))
    leaving = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    events = np.bincount(cells, weights=left, minlength=shape[0] * shape[1]).reshape(shape)
    test = log_rank_of(leaving[::-1].cumsum(axis=0)[::-1], events)
    if not left.any():
        return None, "nobody was seen to leave: there is nothing to compare"
    small = [line.group for line in lines if line.learner_count < few_learners]
    if test.degrees_of_freedom == 0:
        return None, "no two groups were under observation on a day on which somebody left"
    if small:
        named = ", ".join(small[:3]) + (f" and {len(small) - 3} more" if len(small) > 3 else "")
        return test, f"fewer than {few_learners} learners in {named}: the chi-squared approximation is rough there"
    return test, ""


def _active_within(active: NDArray[np.uint64], days: int) -> NDArray[np.uint64]:
    """Bit d: whether a bit of d + 1 ... d + days is set. Doubles the reach at each step."""
    reach, covered = _shifted(active, 1), 1
    while covered < days:
        step = min(covered, days - covered)
        reach |= _shifted(reach, step)
        covered += step
    return reach


def _shifted(bits: NDArray[np.uint64], by: int) -> NDArray[np.uint64]:
    """Bits of earlier days: bit d is bit d + by of the argument."""
    words, rest = divmod(by, _WORD)
    count = bits.shape[1]
    moved = np.zeros_like(bits)
    if words >= count:
        return moved
    moved[:, : count - words] = bits[:, words:] >> np.uint64(rest)
    if rest and words + 1 < count:
        moved[:, : count - words - 1] |= bits[:, words + 1 :] << np.uint64(_WORD - rest)
    return moved


def _first_bit(bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of the lowest bit, shape (n,); far away where none is set."""
    word = (bits != 0).argmax(axis=1)
    chosen = bits[np.arange(len(bits)), word]
    lowest = chosen & (~chosen + np.uint64(1))
    exponent = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1  # powers of two are exact
    return np.where(chosen != 0, word * _WORD + exponent, _NEVER)
