"""How many learners an effect takes, and which effect so many learners can show."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import numbers, positive, probability
from covey.stats.means import asymptotic_cs
from covey.stats.special import Floats, special

# Every confidence sequence of a mean has its boundary somewhere in here; halved so often, to 1e-14 of itself.
FEWEST_LEARNERS = 1e-6
MOST_LEARNERS = 1e30
BISECTION_STEPS = 60


def required_n(
    cv: ArrayLike,
    relative_effect: ArrayLike,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    rho2: float = 0.0,
    allocation: float = 0.5,
    sides: Literal[1, 2] = 2,
    always_valid: bool = False,
) -> Floats:
    """The candidate's learners that it takes to find a relative effect on a mean.

        n = (z_{1 - alpha/sides} + z_power)^2 CV^2 / effect^2 (1 + allocation / (1 - allocation)) (1 - rho2)

    Args:
        cv: coefficient of variation of the outcome (standard deviation / mean), above 0; any shape.
        relative_effect: as a share of the baseline's mean, not 0; its sign plays no part; broadcasts.
        alpha: chance of a false call.
        power: chance of finding the effect, above alpha / sides.
        rho2: squared correlation with the covariate of `cuped`, in [0, 1).
        allocation: the candidate's share of the learners, in (0, 1).
        sides: 1 (non-inferiority, harm) or 2.
        always_valid: for a look at any time instead of one planned look: the normal quantile of alpha gives way to the
            boundary of `asymptotic_cs` (with its default n_star) at n. The chance counts the look at n only, so that it
            is on the safe side.

    Returns:
        n of the broadcast shape, not rounded: round up. The baseline needs n (1 - allocation) / allocation.

    Raises:
        ValueError: arguments outside these ranges or not finite.

    Takes the sampling distribution as normal and the baseline's CV as that of both arms: right for n far above the
    squared skewness of the outcome.

    Source: Kohavi, Tang, Xu (2020), "Trustworthy online controlled experiments", chapter 17.
    """
    noise = _noise(cv, rho2, allocation)
    effect = numbers(relative_effect, "relative_effect")
    if (effect == 0).any():
        raise ValueError("relative_effect must not be 0: no number of learners shows an effect that is not there")
    ratio = (noise / effect) ** 2
    fixed, to_power = _quantiles(alpha, power, sides)
    if not always_valid:
        return np.asarray((fixed + to_power) ** 2 * ratio, dtype=np.float64)
    low, high = np.full(ratio.shape, np.log(FEWEST_LEARNERS)), np.full(ratio.shape, np.log(MOST_LEARNERS))
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (low + high)
        n = np.exp(middle)
        enough = n >= (_boundary(n, alpha, sides) + to_power) ** 2 * ratio
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(np.exp(high), dtype=np.float64)


def minimum_detectable_effect(
    cv: ArrayLike,
    n: ArrayLike,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    rho2: float = 0.0,
    allocation: float = 0.5,
    sides: Literal[1, 2] = 2,
    always_valid: bool = False,
) -> Floats:
    """The smallest relative effect that n candidate learners find: the inverse of `required_n`.

        (reach + z_power) noise / sqrt(n)

    with the noise of `required_n`, and z_alpha for reach, or the boundary of the always-valid sequence at n. Normal
    approximation: a planning figure, best for means of many learners. Source as `required_n`.

    Args:
        cv: as `required_n`.
        n: the candidate's learners, above 0; broadcasts.
        alpha: as `required_n`.
        power: as `required_n`.
        rho2: as `required_n`.
        allocation: as `required_n`.
        sides: as `required_n`.
        always_valid: as `required_n`.

    Returns:
        The effect as a share of the baseline's mean, above 0, of the broadcast shape.

    Raises:
        ValueError: as `required_n`, or an n not above 0.
    """
    noise = _noise(cv, rho2, allocation)
    count = positive(n, "n")
    fixed, to_power = _quantiles(alpha, power, sides)
    reach = _boundary(count, alpha, sides) if always_valid else fixed
    return np.asarray((reach + to_power) * noise / np.sqrt(count), dtype=np.float64)


def _noise(cv: ArrayLike, rho2: float, allocation: float) -> Floats:
    """Standard error of the relative effect times the root of the candidate's n."""
    if not 0.0 <= rho2 < 1.0:
        raise ValueError(f"rho2 is {rho2!r}; expected a number from 0 to below 1")
    share = probability(allocation, "allocation")
    # 1 + allocation / (1 - allocation) is 1 / (1 - allocation).
    return np.asarray(positive(cv, "cv") * np.sqrt((1.0 - rho2) / (1.0 - share)), dtype=np.float64)


def _quantiles(alpha: float, power: float, sides: int) -> tuple[float, float]:
    if sides not in {1, 2}:
        raise ValueError(f"sides is {sides!r}; expected 1 or 2")
    level = probability(alpha, "alpha") / sides
    if probability(power, "power") <= level:
        raise ValueError(f"power is {power!r}; expected more than the chance of a false call, {level:g}")
    return -float(special().ndtri(level)), float(special().ndtri(power))


def _boundary(n: Floats, alpha: float, sides: int) -> Floats:
    """Half-width of the confidence sequence in standard errors: what replaces the normal quantile."""
    _, upper = asymptotic_cs(0.0, 1.0, n, alpha, side="two" if sides == 2 else "upper")
    return np.asarray(upper * np.sqrt(n), dtype=np.float64)
