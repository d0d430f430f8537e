"""How many more trials until a level is shown, if events keep coming as they do."""

from __future__ import annotations

import math

import numpy as np

from covey.stats.bernoulli import Alternative, bernoulli_level

# Grid points per refinement: a search over a factor of 2^48 takes about ten vectorised evaluations.
GRID_POINTS = 64
LARGEST_SEARCH = 2.0**48


def needed_n(
    successes: float, trials: float, p0: float, *, alternative: Alternative, alpha: float, prior: float = 200.0
) -> int | None:
    """Further trials until the level is shown.

    The smallest number at which `bernoulli_level` reaches ln(1 / alpha) at the observed event rate.

    Without data the observed rate of a "less" test is taken as 0 (the most hopeful case), of a "greater" test as 1.

    Args:
        successes: events so far.
        trials: trials so far.
        p0: the level, strictly between 0 and 1.
        alternative: "greater" or "less".
        alpha: the test's level, in (0, 1).
        prior: as in `bernoulli_level`.

    Returns:
        0 where it is reached already; None where it is out of reach at this rate.

    Raises:
        ValueError: as `bernoulli_level`, or an alpha outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}; expected a number in (0, 1)")
    threshold = math.log(1.0 / alpha)
    if bernoulli_level(successes, trials, p0, alternative=alternative, prior=prior) >= threshold:
        return 0
    rate = successes / trials if trials else (0.0 if alternative == "less" else 1.0)
    if (rate >= p0) if alternative == "less" else (rate <= p0):
        return None

    def reached(further: np.ndarray) -> np.ndarray:
        total = trials + further
        events = np.minimum(successes + rate * further, total)
        return np.asarray(bernoulli_level(events, total, p0, alternative=alternative, prior=prior) >= threshold)

    grid = np.unique(np.floor(np.geomspace(1.0, LARGEST_SEARCH, GRID_POINTS)))
    below, above = 0.0, math.inf
    while True:
        hits = reached(grid)
        if not hits.any():
            if math.isinf(above):
                return None
            below = float(grid[-1])
        else:
            first = int(np.argmax(hits))
            above = float(grid[first])
            below = float(grid[first - 1]) if first else below
        if above - below <= 1:
            return int(above)
        grid = np.unique(np.floor(np.linspace(below, above, GRID_POINTS + 1)))[1:]
