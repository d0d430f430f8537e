"""How the arms went on, day by day since each learner was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.churn.definition import DAY_US
from covey.churn.features import History
from covey.interventions.planning import HELD_OUT, TREATED, Enrolment
from covey.stats.proportions import wilson_interval

if TYPE_CHECKING:
    from covey.events import Events

ARMS = (HELD_OUT, TREATED)


@dataclass(frozen=True, eq=False, slots=True)
class ArmDays:
    """One arm by days of 24 hours since the choice, of learners whose days are over.

    Attributes:
        arm: held_out or treated.
        learner_count: learners behind every share.
        active: float64, shape (days,): share with an event on the day.
        active_low, active_high: 95 % limits at each single day (Wilson).
        back: float64, shape (days,): share with an event by the end of the day.
        back_low, back_high: of these.
    """

    arm: str
    learner_count: int
    active: NDArray[np.float64]
    active_low: NDArray[np.float64]
    active_high: NDArray[np.float64]
    back: NDArray[np.float64]
    back_low: NDArray[np.float64]
    back_high: NDArray[np.float64]


def active_days(
    enrolments: Sequence[Enrolment], events: Events, days: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """On which days since being chosen each learner had an event; an event at the instant itself is of day 0.

    Args:
        enrolments: n learners.
        events: of the time since.
        days: of 24 hours.

    Returns:
        Shape (n, days): active; shape (n,): whether all these days are over.
    """
    history = History.of(events)
    place = {text: number for number, text in enumerate(events.learner_ids.texts())}
    at = np.array([place.get(own.learner_id, -1) for own in enrolments], dtype=np.int64)
    as_of_us = np.array([own.as_of_us for own in enrolments], dtype=np.int64)
    offsets = np.asarray(history.offsets, dtype=np.int64)
    begin = np.where(at < 0, 0, offsets[at])
    count = np.where(at < 0, 0, offsets[at + 1] - begin)
    row = np.repeat(np.arange(len(at)), count)
    event = np.arange(count.sum()) + np.repeat(begin - (np.cumsum(count) - count), count)
    day = (np.asarray(history.time_us)[event] - as_of_us[row]) // DAY_US
    is_inside = (day >= 0) & (day < days)
    active = np.zeros((len(at), days), dtype=np.bool_)
    active[row[is_inside], day[is_inside]] = True
    return active, as_of_us + days * DAY_US <= events.newest_us


def arm_days(
    enrolments: Sequence[Enrolment], active: NDArray[np.bool_], is_over: NDArray[np.bool_]
) -> tuple[ArmDays, ...]:
    """Both arms by day.

    Args:
        enrolments: n learners.
        active: shape (n, days).
        is_over: shape (n,): whose days are over; the others are left out.
    """
    arms = np.array([own.arm for own in enrolments])
    return tuple(_arm(arm, active[(arms == arm) & is_over]) for arm in ARMS)


def _arm(arm: str, active: NDArray[np.bool_]) -> ArmDays:
    count = len(active)
    of_day, by_day = active.sum(axis=0), np.logical_or.accumulate(active, axis=1).sum(axis=0)
    shares = [own / max(count, 1) for own in (of_day, by_day)]
    limits = [wilson_interval(own, count) for own in (of_day, by_day)]
    return ArmDays(arm, count, shares[0], *limits[0], shares[1], *limits[1])
