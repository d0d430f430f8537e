"""How often to assign learners anew: what stale labels cost against what changing them costs, measured on the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.evolve.snapshots import NOT_YET, Snapshots
from covey.stats.proportions import clustered_mean

DEFAULT_PERIODS = (1, 4, 13)
_NOBODY = -3
_SOON = 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """One way to go on.

    Attributes:
        every: snapshots between two assignments.
        every_days: the same in days.
        stale_share: part of all learner-snapshots at which the label in force is not the one of that moment.
        changes: label changes per learner-snapshot.
        cost: staleness cost x stale_share + change cost x changes.
        excess_low: lower limit of the cost above that of the chosen schedule; 0 for the chosen one.
        excess_high: upper limit.
    """

    every: int
    every_days: float
    stale_share: float
    changes: float
    cost: float
    excess_low: float
    excess_high: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Schedules by falling frequency and the cheapest of them.

    Attributes:
        schedules: what was compared.
        chosen: position of the cheapest.
        is_decided: whether the limits of every other one's excess are above 0.
        staleness_cost: of a learner-snapshot under a stale label.
        change_cost: of a change of a label.
        break_even: per neighbouring pair, the change cost over the staleness cost at which both cost the same; below
            it the more frequent one is cheaper. NaN where they do not differ in changes.
        taken_back_share: part of the changes of the most frequent schedule that are taken back within four snapshots:
            what changing labels costs without anyone having moved. NaN without changes.
        learner_count: learners that this rests on.
        confidence: with which all limits hold together.
    """

    schedules: tuple[Schedule, ...]
    chosen: int
    is_decided: bool
    staleness_cost: float
    change_cost: float
    break_even: tuple[float, ...]
    taken_back_share: float
    learner_count: int
    confidence: float


def choose_schedule(
    found: Snapshots,
    periods: Sequence[int] = DEFAULT_PERIODS,
    staleness_cost: float = 1.0,
    change_cost: float = 1.0,
    confidence: float = 0.95,
) -> Choice:
    """Compare assigning every 1, 4, 13 ... snapshots.

    Labels of the moment are the states of the snapshots, being away among them. Between two assignments the last one is
    in force; a learner who came since has none, which is stale too. A schedule's figures are means over all its phases
    (on which snapshot it begins), over the snapshots from the longest period on: all are judged on the same ones.
    Limits of differences allow for learners who differ: they bring all their snapshots together (linearised ratio of
    means over learners), Bonferroni over the rivals.

    Args:
        found: best at the distance of the most frequent schedule, such as weekly; with a fixed model, for else changes
            of the cohorts count as changes of learners.
        periods: in snapshots, ascending.
        staleness_cost: of a learner-snapshot under a stale label, in any unit.
        change_cost: of one change of a label, in the same unit.
        confidence: of all differences together.

    Raises:
        InputError: for too few snapshots, periods that do not ascend, or costs that are not positive.
    """
    periods = tuple(periods)
    states = found.states
    _check(states, periods, staleness_cost, change_cost)
    seen = states[periods[-1] :] != NOT_YET
    weeks = seen.sum(axis=0).astype(np.float64)
    figures = [_by_learner(states, period, periods[-1]) for period in periods]
    total = weeks.sum()
    costs = [staleness_cost * stale + change_cost * changes for stale, changes in figures]
    chosen = int(np.argmin([cost.sum() for cost in costs]))
    days = float(np.diff([item.as_of_us for item in found.items]).mean()) / 86.4e9
    rows = []
    for number, (period, (stale, changes)) in enumerate(zip(periods, figures, strict=True)):
        _, low, high = clustered_mean(costs[number] - costs[chosen], weeks, confidence, max(len(periods) - 1, 1))
        rows.append(
            Schedule(period, period * days, float(stale.sum() / total), float(changes.sum() / total),
                     float(costs[number].sum() / total), low, high)
        )  # fmt: skip
    return Choice(
        schedules=tuple(rows),
        chosen=chosen,
        is_decided=all(row.excess_low > 0 for number, row in enumerate(rows) if number != chosen),
        staleness_cost=staleness_cost,
        change_cost=change_cost,
        break_even=tuple(_break_even(a, b) for a, b in pairwise(rows)),
        taken_back_share=_taken_back(states),
        learner_count=int((weeks > 0).sum()),
        confidence=confidence,
    )


def _by_learner(states: NDArray[np.int64], period: int, first: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stale snapshots and changes of each learner from snapshot `first` on, in the mean over the phases."""
    count, learners = states.shape
    stale, changes = np.zeros(learners), np.zeros(learners)
    for phase in range(period):
        in_force = np.full(learners, _NOBODY, dtype=np.int64)
        for at in range(first - period + phase, count):
            own = states[at]
            if (at - phase - first) % period == 0:
                if at >= first:
                    changes += (in_force != own) & (in_force != _NOBODY)
                in_force = np.where(own == NOT_YET, _NOBODY, own)
            elif at >= first:
                stale += (in_force != own) & (own != NOT_YET)
    return stale / period, changes / period


def _break_even(often: Schedule, seldom: Schedule) -> float:
    fewer = often.changes - seldom.changes
    return (seldom.stale_share - often.stale_share) / fewer if fewer > 0 else float("nan")


def _taken_back(states: NDArray[np.int64]) -> float:
    changed = taken_back = 0
    for at in range(1, len(states) - _SOON):
        moved = (states[at] != states[at - 1]) & (states[at - 1] != NOT_YET)
        back = (states[at + 1 : at + 1 + _SOON] == states[at - 1]).any(axis=0)
        changed += int(moved.sum())
        taken_back += int((moved & back).sum())
    return taken_back / changed if changed else float("nan")


def _check(states: NDArray[np.int64], periods: tuple[int, ...], staleness_cost: float, change_cost: float) -> None:
    if not periods or periods[0] < 1 or any(a >= b for a, b in pairwise(periods)):
        raise InputError(f"periods are {list(periods)}", expected="whole numbers from 1 on, ascending")
    if len(states) < 2 * periods[-1]:
        raise InputError(
            f"{len(states)} snapshots are too few to judge an assignment every {periods[-1]}",
            expected=f"at least {2 * periods[-1]}",
            remedy="look at more instants, or leave the longest period out",
        )
    if not (staleness_cost > 0 and change_cost > 0):
        raise InputError(f"costs are {staleness_cost:g} and {change_cost:g}", expected="numbers above 0")
