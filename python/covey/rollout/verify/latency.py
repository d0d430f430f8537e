"""The gate on latencies relative to the baseline's, many rollouts side by side."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covey.rollout.gates.formulas import (
    FEWEST_OWN_TICKS,
    DispersionSums,
    excess_matters,
    ratio_step,
    share_of,
)
from covey.rollout.gates.memory import SHARE_AT_START
from covey.rollout.verify.gate import ERROR_FLOOR, ROLLBACK_ALPHA, TOLERANCE
from covey.rollout.verify.worlds import BASELINE_TICKS, LOOKS, WEIGHT_BP, World
from covey.stats import advance_start_times
from covey.stats.special import Floats

SLOWER_SHARE = 0.01
# Durations are log-normal; their histogram's edges are 5 % apart, as the server's. Up to the first one they are counted
# together: nothing below the 95 % quantile matters to the 99 % quantile.
LOG_DEVIATION = 0.5
EDGE_STEP = math.log(1.05)
FIRST_EDGE = 1.645 * LOG_DEVIATION
EDGES = 32


def run_latency(world: World, rollouts: int, generator: np.random.Generator) -> dict[str, NDArray[np.int16]]:
    """First look at which "p99 worse than baseline" rolls back; 0: none.

    Args:
        world: its ratio is the factor of the candidate's durations.
        rollouts: how many.
        generator: of the randomness.
    """
    weight = WEIGHT_BP / 10_000
    total = world.requests_per_tick / weight
    usual, longer = _shares(1.0), _shares(world.ratio)
    known = np.zeros((rollouts, EDGES + 1))
    before = own = DispersionSums.zeros((rollouts,))
    sums = np.zeros((4, rollouts))
    masses: Floats | None = None
    first = np.zeros(rollouts, dtype=np.int16)
    for tick in range(1 - BASELINE_TICKS, LOOKS + 1):
        share = weight if tick > 0 else 0.0
        theirs = generator.poisson(total * (1 - share) * usual, (rollouts, EDGES + 1)).astype(np.float64)
        edge = edge_above(known)
        m, y = theirs.sum(axis=1), _beyond(theirs, edge)
        if tick > 0:
            mine = generator.poisson(total * share * longer, (rollouts, EDGES + 1)).astype(np.float64)
            n, x = mine.sum(axis=1), _beyond(mine, edge)
            relative = share / (1 - share)
            shown = np.maximum(before.shown_effect(), own.shown_effect(FEWEST_OWN_TICKS))
            effect = 1 + (shown - 1) * relative
            null = np.full(rollouts, TOLERANCE)
            steps = ratio_step(x, y, share_of(n, m), null, advance=False) / effect[:, np.newaxis]
            masses, log_e = advance_start_times(
                masses, steps, tick, share_at_start=SHARE_AT_START, planned_ticks=world.planned_ticks
            )
            sums += np.stack([x, n, y, m])
            rates = sums[0] / np.maximum(sums[1], 1), sums[2] / np.maximum(sums[3], 1)
            decided = (log_e >= math.log(1 / ROLLBACK_ALPHA)) & excess_matters(*rates, ERROR_FLOOR, np.zeros(rollouts))
            first = np.where((first == 0) & decided, np.int16(tick), first)
            own = own.plus(y, m)
        else:
            before = before.plus(y, m)
        known += theirs
    return {"latency": first}


def edge_above(counts: Floats) -> NDArray[np.intp]:
    """Index of the edge next above the quantile, per rollout; -1 without requests and beyond the last edge.

    Args:
        counts: by interval, shape (rollouts, intervals).
    """
    total = counts.sum(axis=1, keepdims=True)
    slower = total - np.cumsum(counts, axis=1)
    found = np.argmax(slower <= SLOWER_SHARE * total, axis=1)
    return np.where((total[:, 0] > 0) & (found < counts.shape[1] - 1), found, -1)


def _beyond(counts: Floats, edge: NDArray[np.intp]) -> Floats:
    """Requests slower than each rollout's edge; 0 where it has none."""
    slower = counts.sum(axis=1, keepdims=True) - np.cumsum(counts, axis=1)
    found = np.take_along_axis(slower, np.maximum(edge, 0)[:, np.newaxis], axis=1)[:, 0]
    return np.where(edge >= 0, found, 0.0)


def _shares(factor: float) -> Floats:
    """Share of the requests in each interval where durations are longer by that factor."""
    from scipy.special import ndtr

    edges = FIRST_EDGE + EDGE_STEP * np.arange(EDGES) - math.log(factor)
    return np.diff(ndtr(edges / LOG_DEVIATION), prepend=0.0, append=1.0)
