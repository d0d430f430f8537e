"""Events that come in bursts: how much more they vary from tick to tick than independent trials would."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import events_among
from covey.stats.special import Floats

FEWEST_TICKS = 2


def design_effect(events: ArrayLike, trials: ArrayLike) -> Floats:
    """Variance of events per tick relative to binomial variance, never below 1.

        sum_t (x_t - n_t p)^2 / (n_t p (1-p)) / (T - 1)

    over the T ticks with n_t > 0, p pooled over them. 1 where p is 0 or 1, or T < 2.

    Args:
        events: x, shape (..., ticks).
        trials: n, broadcasts with the events over the leading axes.

    Returns:
        Shape (...), 1 or more.

    Raises:
        ValueError: more events than trials, negative counts, numbers that are not finite, or a series of length 0.

    Divide each tick's *increments* by it, before they are mixed over ratios, levels and start times; never the finished
    ln E. A heuristic: it sees bursts within ticks, not lasting differences between learners, and it reacts to a rate
    that changes over the ticks as if that were bursts. Measure it on a slice of the baseline of the candidate's size:
    the effect grows with the trials per tick. With few events it is noisy; GATES asks for 120 ticks.

    Source: Pearson's dispersion statistic (McCullagh and Nelder, 1989, section 4.5); Kish (1965) for the design effect.
    """
    x, n = events_among(events, trials)
    used = n > 0
    ticks = used.sum(axis=-1)
    total = n.sum(axis=-1)
    rate = x.sum(axis=-1) / np.where(total > 0, total, 1.0)
    defined = (ticks >= FEWEST_TICKS) & (rate > 0) & (rate < 1)
    rate = np.where(defined, rate, 0.5)[..., np.newaxis]
    squares = np.where(used, (x - n * rate) ** 2 / (np.where(used, n, 1.0) * rate * (1.0 - rate)), 0.0)
    found = squares.sum(axis=-1) / np.maximum(ticks - 1, 1)
    return np.where(defined, np.maximum(found, 1.0), 1.0)
