"""Events that come in bursts: how much more they vary from tick to tick than independent trials would."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey import _core
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
    square = np.where(used, x * x / np.where(used, n, 1.0), 0.0).sum(axis=-1)
    return effect_of_sums(square, x.sum(axis=-1), n.sum(axis=-1), used.sum(axis=-1))


def sums_with_tick(
    sums: tuple[Floats, Floats, Floats, Floats], events: Floats, trials: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """The sums of `effect_of_sums` with one more tick, which counts where it has trials; arrays of one shape."""
    return _core.plus_tick(*sums, events, trials)


def effect_of_sums(
    square: ArrayLike, events: ArrayLike, trials: ArrayLike, ticks: ArrayLike, *, fewest_ticks: int = FEWEST_TICKS
) -> Floats:
    """`design_effect` from sums over the ticks with trials, for gates that keep them; all broadcast.

    Args:
        square: sum of x_t^2 / n_t.
        events: sum of x_t.
        trials: sum of n_t.
        ticks: how many.
        fewest_ticks: with fewer the effect is 1; never below 2.
    """
    return np.asarray(_core.design_effect(square, events, trials, ticks, fewest_ticks))


def shown_effect_of_sums(
    square: ArrayLike, events: ArrayLike, trials: ArrayLike, ticks: ArrayLike, *, fewest_ticks: int = FEWEST_TICKS
) -> Floats:
    """`effect_of_sums` where it is shown: 1 where chance gives as much without any bursts.

    Without bursts N events in T ticks give 1 with a standard error of sqrt(2 / (T - 1)) and a tail to the right,
    because two events that meet in one tick count as much as 2 / N: the bound is three standard errors and the
    Cornish-Fisher term (3^2 - 1) / 3 x (2 / T + 1 / N) of that skewness. Noise would cost every rollout without
    bursts up to a tenth of its evidence.
    """
    return np.asarray(_core.shown_design_effect(square, events, trials, ticks, fewest_ticks))


def between_learner_error(shard_events: Floats, shard_trials: Floats, weight: ArrayLike) -> Floats:
    """Standard error of the ratio of two rates from *lasting* differences between learners, from the baseline's shards.

        se = sqrt(max(0, sum_s (x_s - p n_s)^2 - (1 + 2 sqrt(2 / S)) sum_s x_s)) / sum_s x_s x sqrt(1 / w)

    The spread of S shards has a Poisson part even where all learners are alike; it is taken off together with two
    standard errors of itself, because the ratio test accounts for it already. Left in, it costs the power that the
    design promises: at 100 candidate requests a tick and 0.085 % failures a threefold rate was found in 66 % of
    simulated phases instead of 100 %.

    Args:
        shard_events: x_s of the baseline, shape (..., shards).
        shard_trials: n_s likewise, or shape (shards,) for all.
        weight: w, the candidate's share of the learners, shape (...) or a number.

    Returns:
        Shape (...); 0 where there is no event yet, or nobody gets the candidate.
    """
    return _core.between_learner_error(shard_events, shard_trials, np.asarray(weight, dtype=np.float64))
