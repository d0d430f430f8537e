"""A difference of means against 0, with a normal mixture over what it may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import numbers, positive
from covey.stats.special import Floats


def mixture_sprt(difference: ArrayLike, variance_of_difference: ArrayLike, tau2: ArrayLike) -> Floats:
    """`ln E` against H0 "the difference is 0", with the alternative N(0, tau2).

        ln E = 1/2 ln(V / (V + tau2)) + tau2 d^2 / (2 V (V + tau2))

    Args:
        difference: d, the estimate so far; any shape.
        variance_of_difference: V, the variance of that estimate (not of one observation), above 0; broadcasts.
        tau2: variance of the effects that are expected, above 0, in the squared unit of d; fixed before the start.

    Returns:
        ln E of the broadcast shape.

    Raises:
        ValueError: a V or tau2 not above 0, or numbers that are not finite.

    Exact for normal observations of known variance; asymptotic otherwise, and wrong early for heavy tails: keep a
    burn-in. Two-sided: it does not say in which direction.

    Source: Robbins (1970); Johari, Koomen, Pekelis, Walsh (2022), "Always valid inference".
    """
    d = numbers(difference, "difference")
    variance = positive(variance_of_difference, "variance_of_difference")
    mixing = positive(tau2, "tau2")
    scaled = d / np.sqrt(variance) * np.sqrt(mixing / (variance + mixing))
    return np.asarray(0.5 * (scaled * scaled - np.log1p(mixing / variance)), dtype=np.float64)
