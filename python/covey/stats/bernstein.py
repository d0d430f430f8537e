"""A bounded mean, watched observation by observation, without any assumption on its distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import numbers, probability
from covey.stats.special import Floats

LARGEST_BET = 0.5


def empirical_bernstein_cs(x: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Confidence sequence for the mean of observations in [0, 1]; non-asymptotic, tight where they vary little.

    Predictable plug-in, with a = alpha / 2 per side, psi(l) = -ln(1-l) - l, v_i = (x_i - mean_{i-1})^2, mean_0 = 0:

        lambda_t = min(1/2, sqrt(2 ln(1/a) / (s2_{t-1} t ln(1+t))))
        s2_t = (1/4 + sum_{i<=t} (x_i - m_i)^2) / (t+1),   m_t = (1/2 + sum_{i<=t} x_i) / (t+1)
        lower_t = (sum lambda_i x_i - ln(1/a) - sum v_i psi(lambda_i)) / sum lambda_i
        upper_t = 1 - lower_t of 1 - x

    Args:
        x: observations in their order, shape (..., observations), each in [0, 1].
        alpha: chance of ever missing the mean on either side, in (0, 1).

    Returns:
        (lower, upper), one entry per observation, shape (..., observations); neither clipped to [0, 1] nor intersected
        over time, both of which would be valid.

    Raises:
        ValueError: an observation outside [0, 1] or not finite, a series of length 0, or an alpha outside (0, 1).

    Assumes that every observation has the same mean given the past (independence is not needed). A mean that drifts is
    followed by nothing: the interval is then about the lambda-weighted average of the conditional means.

    Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", theorem 2, with
        the inequality of Fan, Grama and Liu (2015).
    """
    values = np.atleast_1d(numbers(x, "x"))
    if values.shape[-1] == 0:
        raise ValueError("x must have at least one observation")
    if ((values < 0) | (values > 1)).any():
        raise ValueError("x must lie in [0, 1]; scale the observations by their known bounds")
    log_inverse = -np.log(probability(alpha, "alpha") / 2.0)
    bets = _bets(values, log_inverse)
    return _lower(values, bets, log_inverse), 1.0 - _lower(1.0 - values, bets, log_inverse)


def _bets(x: Floats, log_inverse: float) -> Floats:
    """lambda_t, which knows the observations before t only. It is the same for x and 1 - x."""
    number = np.arange(1.0, x.shape[-1] + 1.0)
    mean = (0.5 + np.cumsum(x, axis=-1)) / (number + 1.0)
    spread = (0.25 + np.cumsum((x - mean) ** 2, axis=-1)) / (number + 1.0)
    before = np.concatenate([np.full((*x.shape[:-1], 1), 0.25), spread[..., :-1]], axis=-1)
    bets = np.sqrt(2.0 * log_inverse / (before * number * np.log1p(number)))
    return np.asarray(np.minimum(LARGEST_BET, bets), dtype=np.float64)


def _lower(x: Floats, bets: Floats, log_inverse: float) -> Floats:
    number = np.arange(1.0, x.shape[-1] + 1.0)
    mean = np.cumsum(x, axis=-1) / number
    before = np.concatenate([np.zeros((*x.shape[:-1], 1)), mean[..., :-1]], axis=-1)
    penalty = (x - before) ** 2 * (-np.log1p(-bets) - bets)
    gained = np.cumsum(bets * x - penalty, axis=-1)
    return np.asarray((gained - log_inverse) / np.cumsum(bets, axis=-1), dtype=np.float64)
