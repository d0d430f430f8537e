"""From which cohort to which: shares with intervals, how long learners stay in one, how stable the labels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.agreement import adjusted_rand_index
from covey.errors import InputError
from covey.evolve.snapshots import AWAY, NOT_YET, Snapshots
from covey.stats.proportions import ClusterSums, clustered_shares_of
from covey.stats.survival import SurvivalCurve, kaplan_meier


@dataclass(frozen=True, eq=False, slots=True)
class Transitions:
    """Moves between neighbouring snapshots, all of them together; s states.

    Attributes:
        names: of the states.
        counts: int64, shape (s, s): moves from the row's state to the column's.
        shares: float64, shape (s, s): of the row; NaN for a state that nobody left from.
        low: lower limits.
        high: upper limits.
        learner_counts: int64, shape (s,): learners who were in the row's state at a snapshot before the last.
        confidence: with which all limits of the matrix hold together.
        step_days: from one snapshot to the next, in the mean.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    learner_counts: NDArray[np.int64]
    confidence: float
    step_days: float

    @property
    def stay_share(self) -> float:
        """Share of all moves that are none."""
        return float(np.trace(self.counts) / max(int(self.counts.sum()), 1))


@dataclass(frozen=True, eq=False, slots=True)
class Dwell:
    """How long learners stay in one state, in snapshots.

    Attributes:
        name: of the state.
        run_count: learners who entered it after the first snapshot; each counts once, with the first time.
        ended_count: of these, who were seen to leave it.
        curve: share still there, by snapshots after the first one in the state; days are `step_days` times as many.
    """

    name: str
    run_count: int
    ended_count: int
    curve: SurvivalCurve


@dataclass(frozen=True, slots=True)
class Stability:
    """How two neighbouring snapshots agree, over the learners who are in a cohort at both.

    Attributes:
        name: of the later snapshot.
        learner_count: learners in a cohort at both.
        stay_share: of them, who have the same label; NaN without any.
        adjusted_rand_index: of the two partitions, whatever their labels; NaN for fewer than two.
    """

    name: str
    learner_count: int
    stay_share: float
    adjusted_rand_index: float


def transitions(found: Snapshots, confidence: float = 0.95) -> Transitions:
    """Count moves; learners without an event yet are in no state.

    All moves out of a state are one sample of shares, made of learners who each bring several: limits allow for some
    who differ (`clustered_shares`), and hold together for the whole matrix (Bonferroni over its s^2 cells). They do not
    allow for weeks that differ for everybody.

    Raises:
        InputError: when no learner is in a state at two neighbouring snapshots.
    """
    states = states_of(found)
    names = found.state_names
    size = len(names)
    before, after = states[:-1], states[1:]
    learners = np.broadcast_to(np.arange(states.shape[1]), before.shape)
    used = (before >= 0) & (after >= 0)
    if not used.any():
        raise InputError("no learner is in a cohort at two neighbouring snapshots", remedy="choose closer instants")
    counts = np.bincount(before[used] * size + after[used], minlength=size * size).reshape(size, size)
    sums = _cluster_sums(learners[used], before[used], after[used], size)
    shares, low, high = clustered_shares_of(sums, confidence, size * size)
    spans = np.diff([item.as_of_us for item in found.items]) / 86.4e9
    return Transitions(
        names, counts, shares, low, high, np.asarray(sums.clusters)[:, 0].astype(np.int64), confidence,
        float(spans.mean()),
    )  # fmt: skip


def states_of(found: Snapshots) -> NDArray[np.int64]:
    """States by position in `state_names`, shape (snapshots, n); `NOT_YET` stays what it is."""
    states = found.states
    return np.where(states == AWAY, len(found.lane_names), states)


def dwell_times(found: Snapshots, confidence: float = 0.95) -> tuple[Dwell, ...]:
    """How long learners stay in each state.

    A stay that was under way at the first snapshot is left out, since its beginning is unknown; one still under way at
    the last is censored. Each learner counts once per state, with the first stay: so the curve's band is that of
    independent learners.
    """
    states = states_of(found)
    count, learners = states.shape
    lengths: list[list[int]] = [[] for _ in found.state_names]
    ended: list[list[bool]] = [[] for _ in found.state_names]
    entered = np.zeros((len(found.state_names), learners), dtype=bool)
    for start in range(1, count):
        here = states[start]
        fresh = (here >= 0) & (here != states[start - 1])
        fresh[fresh] = ~entered[here[fresh], np.flatnonzero(fresh)]
        who = np.flatnonzero(fresh)
        entered[here[who], who] = True
        same = np.logical_and.accumulate(states[start:, who] == here[who], axis=0).sum(axis=0)
        for state, length in zip(here[who].tolist(), same.tolist(), strict=True):
            lengths[state].append(length)
            ended[state].append(start + length < count)
    return tuple(
        Dwell(
            name, len(own), sum(gone), kaplan_meier(np.array(own, dtype=float), np.array(gone, dtype=bool), confidence)
        )
        for name, own, gone in zip(found.state_names, lengths, ended, strict=True)
    )


def stability(found: Snapshots) -> tuple[Stability, ...]:
    """Agreement of each snapshot with the one before."""
    rows = []
    for before, after in zip(found.items[:-1], found.items[1:], strict=True):
        both = (before.states >= 0) & (after.states >= 0)
        count = int(both.sum())
        same, index = float("nan"), float("nan")
        if count:
            same = float((before.states[both] == after.states[both]).mean())
        if count > 1:
            index = adjusted_rand_index(before.states[both], after.states[both])
        rows.append(Stability(after.name, count, same, index))
    return tuple(rows)


def _cluster_sums(
    learner: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64], size: int
) -> ClusterSums:
    """Per cell: sums over learners of their moves m_li out of the row's state and h_lij of these into the column's."""
    rows, row_of, row_moves = np.unique(learner * size + before, return_inverse=True, return_counts=True)
    cells, cell_moves = np.unique(row_of * size + after, return_counts=True)
    cell_row, cell_after = cells // size, cells % size
    state_of_row = rows % size
    place = state_of_row[cell_row] * size + cell_after

    def by_cell(weights: NDArray[np.integer]) -> NDArray[np.float64]:
        return np.bincount(place, weights=weights, minlength=size * size).reshape(size, size).astype(np.float64)

    def by_row(weights: NDArray[np.integer]) -> NDArray[np.float64]:
        totals = np.bincount(state_of_row, weights=weights, minlength=size).astype(np.float64)
        return np.broadcast_to(totals[:, None], (size, size))

    return ClusterSums(
        clusters=by_row(np.ones_like(row_moves)),
        hits=by_cell(cell_moves),
        rows=by_row(row_moves),
        squared_hits=by_cell(cell_moves**2),
        hits_by_rows=by_cell(cell_moves * row_moves[cell_row]),
        squared_rows=by_row(row_moves**2),
    )


__all__ = ["NOT_YET", "Dwell", "Stability", "Transitions", "dwell_times", "stability", "states_of", "transitions"]
