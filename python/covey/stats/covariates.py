"""Less noise from what was known before: adjustment of an outcome by a covariate of the time before the start."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import numbers
from covey.stats.special import Floats

# Of a sum of squares: a spread below the first is rounding, one below minus the second is a mistake in the sums.
ROUNDING = 1e-12
CONTRADICTION = 1e-9


class Cuped(NamedTuple):
    """What an adjustment by a covariate gives.

    Attributes:
        theta: slope of the outcome on the covariate; 0 where the covariate does not vary.
        variance: sample variance of the outcome.
        adjusted_variance: sample variance of `y - theta x`, which is `variance (1 - rho2)`.
        rho2: squared correlation, in [0, 1]: the share of the variance that is gone.
    """

    theta: Floats
    variance: Floats
    adjusted_variance: Floats
    rho2: Floats


def cuped(
    sum_y: ArrayLike, sum_x: ArrayLike, sum_yy: ArrayLike, sum_xx: ArrayLike, sum_xy: ArrayLike, n: ArrayLike
) -> Cuped:
    """Adjustment of an outcome y by a covariate x, from sums that replicas and arms can add up.

    With sample (co)variances: theta = cov(x, y) / var(x), rho2 = cov(x, y)^2 / (var(x) var(y)), and the adjusted
    outcome is y - theta (x - mean of x over both arms). Between arms, theta comes from the pooled arms' sums.

    Args:
        sum_y: sum of the outcome, one observation per learner; any shape, all broadcast.
        sum_x: sum of the covariate.
        sum_yy: sum of squares of the outcome.
        sum_xx: sum of squares of the covariate.
        sum_xy: sum of products.
        n: learners, 2 or more.

    Returns:
        (theta, variance, adjusted_variance, rho2), each of the broadcast shape.

    Raises:
        ValueError: numbers that are not finite, n below 2, or sums that no data can have (a negative variance, a
            correlation beyond 1).

    The covariate must be known before the start and not be touched by the candidate, or the adjustment removes part of
    the effect. Sums of values far from 0 lose digits: centre them first.

    Source: Deng, Xu, Kohavi, Walker (2013), "Improving the sensitivity of online controlled experiments".
    """
    y, x, yy, xx, xy = (
        numbers(value, name)
        for value, name in (
            (sum_y, "sum_y"),
            (sum_x, "sum_x"),
            (sum_yy, "sum_yy"),
            (sum_xx, "sum_xx"),
            (sum_xy, "sum_xy"),
        )
    )
    count = numbers(n, "n")
    if (count < 2).any():
        raise ValueError(f"n must be 2 or more; found {count.min():g}")
    spread_y, spread_x = yy - y * (y / count), xx - x * (x / count)
    product = xy - x * (y / count)
    if (spread_y < -CONTRADICTION * np.abs(yy)).any() or (spread_x < -CONTRADICTION * np.abs(xx)).any():
        raise ValueError("sum_yy or sum_xx is smaller than its sum allows: these sums are not of the same data")
    spread_y = np.maximum(spread_y, 0.0)
    varies = spread_x > ROUNDING * xx
    theta = np.where(varies, product / np.where(varies, spread_x, 1.0), 0.0)
    explained = theta * product
    if (explained > spread_y + CONTRADICTION * yy).any():
        raise ValueError("sum_xy is larger than the other sums allow: these sums are not of the same data")
    rho2 = np.where(spread_y > 0, np.minimum(explained / np.where(spread_y > 0, spread_y, 1.0), 1.0), 0.0)
    variance = spread_y / (count - 1.0)
    return Cuped(theta, variance, variance * (1.0 - rho2), rho2)
