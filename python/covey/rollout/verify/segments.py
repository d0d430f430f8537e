"""The gates on segments, many rollouts side by side: harm to one of eight, and effects that are alike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covey.rollout.outcomes import BURN_IN_TICKS, ArmSums, effects_of_sums, variance_against
from covey.rollout.segments import harm_log_e
from covey.rollout.verify.comparators import Z_OF_FIVE_PERCENT
from covey.rollout.verify.gate import ROLLBACK_ALPHA, Broken
from covey.rollout.verify.worlds import LOOKS, World
from covey.stats import chance_spread_bound, e_bh, heterogeneity
from covey.stats.special import Floats

LIMIT = 0.05
"""Of "segments(engagement) < 5 %", as in the default plan."""
SHARES = (0.3, 0.2, 0.15, 0.1, 0.1, 0.06, 0.05, 0.04)
HARMED = 3
"""The segment that `ratio` is about."""
GAIN = 1.03
"""What the candidate makes of the others where it harms one: the total hides it."""


def run_segments(
    world: World, rollouts: int, generator: np.random.Generator, broken: Broken | None = None
) -> dict[str, NDArray[np.int16]]:
    """First look at which each gate decides; 0: none. Outcomes are exponential: CV 1.

    "harm" is harm shown in the segment that is harmed, "false harm" in any other, both at a false discovery rate of 1 %
    at every look. At the last look, "consistent" is the criterion that passes, and "range" the plain rule "largest less
    smallest effect below 5 %" that fails.

    Args:
        world: its `requests_per_tick` learners are seen in each arm and tick.
        rollouts: how many.
        generator: of the randomness.
        broken: a deliberate fault: each segment by a z-test at 5 %.
    """
    sizes = [round(share * world.requests_per_tick) for share in SHARES]
    is_harmed = np.arange(len(SHARES)) == HARMED
    ratios = np.where(is_harmed, world.ratio, GAIN) if world.ratio < 1 else np.ones(len(SHARES))
    sums = np.zeros((2, 2, rollouts, len(SHARES)))
    first = {name: np.zeros(rollouts, np.int16) for name in ("harm", "false harm", "consistent", "range")}
    for tick in range(1, LOOKS + 1):
        for arm in (0, 1):
            for segment, size in enumerate(sizes):
                drawn = generator.standard_exponential((rollouts, size), dtype=np.float32)
                if arm == 0:
                    drawn *= np.float32(ratios[segment])
                sums[arm, 0, :, segment] += drawn.sum(axis=1)
                sums[arm, 1, :, segment] += np.einsum("rl,rl->r", drawn, drawn)
        if tick < BURN_IN_TICKS:
            continue
        counts = np.broadcast_to(np.array(sizes, dtype=np.float64) * tick, (rollouts, len(SHARES)))
        estimates, variances, careful = _effects(sums, counts)
        rejected = _harmed(estimates, careful, broken) & (estimates <= -LIMIT)
        for name, now in (("harm", rejected[:, HARMED]), ("false harm", rejected[:, ~is_harmed].any(axis=1))):
            first[name][(first[name] == 0) & now] = tick
    if math.isclose(world.ratio, 1):
        # No segment is harmed: whatever is found is found in error.
        either = np.where(first["harm"] == 0, first["false harm"], first["harm"])
        first["false harm"] = np.where(first["false harm"] == 0, either, np.minimum(either, first["false harm"]))
        del first["harm"]
    first["consistent"][_consistent(estimates, variances)] = LOOKS
    first["range"][np.ptp(estimates, axis=1) >= LIMIT] = LOOKS
    return first


def _effects(sums: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Relative effects, their variances, and those against no change, all of shape (rollouts, segments)."""
    n, zero = counts.ravel(), np.zeros(counts.size)
    mine, other = (ArmSums(n, zero, arm[0].ravel(), arm[1].ravel(), zero, zero, zero) for arm in sums)
    found = effects_of_sums(mine, other, np.zeros(counts.size, dtype=bool))
    careful = variance_against(found.estimate, found.variance, found.baseline_part, 0.0)
    return (
        found.estimate.reshape(counts.shape),
        found.variance.reshape(counts.shape),
        careful.reshape(counts.shape),
    )


def _harmed(estimates: Floats, variances: Floats, broken: Broken | None) -> NDArray[np.bool_]:
    """Segments whose outcome is shown to fall, shape (rollouts, segments)."""
    if broken is Broken.SEGMENTS:
        return estimates < -Z_OF_FIVE_PERCENT * np.sqrt(variances)
    log_e = harm_log_e(estimates, variances, LIMIT)
    found = np.zeros(estimates.shape, dtype=bool)
    # The procedure rejects nothing where no e-value reaches 1 / alpha: most rollouts need no closer look.
    for row in np.flatnonzero((log_e >= math.log(1 / ROLLBACK_ALPHA) - 1e-9).any(axis=1)):
        found[row, e_bh(log_e[row], ROLLBACK_ALPHA)] = True
    return found


def _consistent(estimates: Floats, variances: Floats) -> NDArray[np.bool_]:
    """Rollouts in which the spread between segments is shown to be below the limit."""
    errors = np.sqrt(variances)
    uppers = [
        max(heterogeneity(row, error).tau_upper, chance_spread_bound(error))
        for row, error in zip(estimates, errors, strict=True)
    ]
    return np.array(uppers) < LIMIT
