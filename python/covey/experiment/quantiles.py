"""Quantiles of arms and how sure they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covey.experiment.effects import Arm
from covey.stats.special import Floats

# The order statistics that give the standard error stand this many standard deviations of their rank apart.
_RANK_Z = 1.959963984540054
FEWEST_UNITS = 20


def quantile_arm(values: NDArray[np.float64], q: float) -> Arm:
    """The q-quantile along the last axis, with a standard error from the order statistics around it.

    With ranks r = n q -+ z sqrt(n q (1 - q)), the standard error is (x_upper - x_lower) / (2 z): no density is needed.
    Sources: Woodruff (1952), "Confidence intervals for medians and other position measures"; Price and Bonett (2002),
    "Distribution-free confidence intervals for difference and ratio of medians", for the difference of two.

    Args:
        values: shape (..., n), finite, n at least 20.
        q: in (0, 1).

    Returns:
        Arrays of the leading shape; variance 0 where ties hide it, NaN where the ranks leave the sample.
    """
    n = values.shape[-1]
    spread = _RANK_Z * np.sqrt(n * q * (1 - q))
    lower, upper = int(np.floor(n * q - spread)) - 1, int(np.ceil(n * q + spread))
    position = q * (n - 1)
    below, above = int(np.floor(position)), int(np.ceil(position))
    places = sorted({max(lower, 0), min(upper, n - 1), below, above})
    ordered = np.partition(values, places, axis=-1)
    share = position - below
    value = ordered[..., below] * (1 - share) + ordered[..., above] * share
    # Both ranks are rounded outwards; what they really are apart is what z is taken to be.
    z = (upper - lower) / 2 / np.sqrt(n * q * (1 - q))
    if lower < 0 or upper > n - 1:
        variance: Floats = np.full(value.shape, np.nan)
    else:
        variance = ((ordered[..., upper] - ordered[..., lower]) / (2 * z)) ** 2 * n
    return Arm(np.asarray(value), np.asarray(variance), np.full(value.shape, float(n)))
