"""Effects between two arms with their standard errors, from what each arm comes to; vectorised over leading axes.

Every outcome but a hazard is brought to the same form: an arm's value and the variance that one unit contributes,
so that the value has variance `variance / n`. Differences, intervals and relative effects then have one formula.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from covey.experiment.chances import log_p_normal, log_p_student
from covey.stats import cuped, ratio_delta, wilson_interval
from covey.stats.special import Floats


class Arm(NamedTuple):
    """What arms come to, arrays of one shape.

    Attributes:
        value: of the outcome.
        variance: that one unit contributes: the value's own is `variance / n`.
        n: units (or rows) behind it.
    """

    value: Floats
    variance: Floats
    n: Floats


class Effect(NamedTuple):
    """Candidate against control, arrays of one shape.

    Attributes:
        difference: of the values.
        variance: of that estimate.
        degrees: of freedom, Welch's; infinite where the normal distribution is used.
        relative: candidate / control - 1; NaN where the control's value is 0.
        relative_variance: of the relative effect, of ln(candidate / control) for proportions.
        is_log: whether it is that.
    """

    difference: Floats
    variance: Floats
    degrees: Floats
    relative: Floats
    relative_variance: Floats
    is_log: bool


def mean_arm(
    n: ArrayLike, mean: ArrayLike, variance: ArrayLike, covariate_shift: ArrayLike = 0.0, theta: ArrayLike = 0.0,
    covariance: ArrayLike = 0.0, covariate_variance: ArrayLike = 0.0,
) -> Arm:  # fmt: skip
    """A mean, adjusted by theta times how far the arm's covariate lies from the mean over all arms.

    The variance of y - theta x is var(y) - 2 theta cov(x, y) + theta^2 var(x).
    """
    t = np.asarray(theta, dtype=np.float64)
    value = np.asarray(mean) - t * np.asarray(covariate_shift)
    adjusted = np.asarray(variance) - 2 * t * np.asarray(covariance) + t * t * np.asarray(covariate_variance)
    return Arm(value, np.maximum(adjusted, 0.0), np.asarray(n, dtype=np.float64))


def ratio_arm(
    n: ArrayLike, numerator: ArrayLike, denominator: ArrayLike, var_numerator: ArrayLike, var_denominator: ArrayLike,
    covariance: ArrayLike,
) -> Arm:  # fmt: skip
    """A ratio of sums, its variance by the delta method.

    With R the ratio of means: (var(num) - 2 R cov + R^2 var(den)) / mean(den)^2 per unit. Source: Deng, Knoblich, Lu
    (2018), "Applying the delta method in metric analytics".
    """
    den = np.asarray(denominator, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(numerator) / den
        variance = (
            np.asarray(var_numerator) - 2 * ratio * np.asarray(covariance) + ratio**2 * np.asarray(var_denominator)
        ) / den**2
    return Arm(ratio, np.maximum(variance, 0.0), np.asarray(n, dtype=np.float64))


def pooled_theta(
    sum_y: ArrayLike, sum_x: ArrayLike, sum_yy: ArrayLike, sum_xx: ArrayLike, sum_xy: ArrayLike, n: ArrayLike
) -> tuple[Floats, Floats]:
    """(theta, rho2) of CUPED from the sums of all arms together."""
    found = cuped(sum_y, sum_x, sum_yy, sum_xx, sum_xy, n)
    return found.theta, found.rho2


def effect_of(candidate: Arm, control: Arm) -> Effect:
    """The difference of two arms, with Welch's degrees of freedom.

    Source: Welch (1947). The relative effect by `covey.stats.ratio_delta`.
    """
    part_c, part_b = candidate.variance / candidate.n, control.variance / control.n
    variance = part_c + part_b
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = variance**2 / (part_c**2 / (candidate.n - 1) + part_b**2 / (control.n - 1))
        has_base = (control.value != 0) & np.isfinite(control.value) & np.isfinite(candidate.value)
    degrees = np.where(variance > 0, degrees, np.inf)
    base = np.where(has_base, control.value, 1.0)
    relative, relative_variance = ratio_delta(
        np.where(has_base, candidate.value, 1.0), np.nan_to_num(candidate.variance), candidate.n, base,
        np.nan_to_num(control.variance), control.n,
    )  # fmt: skip
    nothing = np.where(has_base, 0.0, np.nan)
    return Effect(
        np.asarray(candidate.value - control.value),
        np.asarray(variance),
        np.asarray(degrees),
        relative + nothing,
        relative_variance + nothing,
        is_log=False,
    )


def proportion_effect(candidate: Arm, control: Arm) -> Effect:
    """The difference of two proportions; relative as ln of the risk ratio, with 1/x - 1/n for each arm (Katz 1978).

    `variance` is the unpooled one, p (1 - p) / n.
    """
    (p_c, _, n_c), (p_b, _, n_b) = candidate, control
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = p_c / p_b - 1
        log_variance = (1 - p_c) / (p_c * n_c) + (1 - p_b) / (p_b * n_b)
    both = (p_c > 0) & (p_b > 0)
    return Effect(
        np.asarray(p_c - p_b),
        np.asarray(p_c * (1 - p_c) / n_c + p_b * (1 - p_b) / n_b),
        np.full(np.shape(p_c), np.inf),
        np.where(p_b > 0, relative, np.nan),
        np.where(both, log_variance, np.nan),
        is_log=True,
    )


def fixed_log_p(effect: Effect) -> Floats:
    """Ln p of "no difference", two-sided, by Student's t (the normal where degrees are infinite)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = effect.difference / np.sqrt(effect.variance)
    normal = ~np.isfinite(effect.degrees)
    student = log_p_student(np.where(normal, 0.0, t), np.where(normal, 1.0, effect.degrees))
    return np.where(normal, log_p_normal(t), student)


def proportion_log_p(candidate: Arm, control: Arm) -> Floats:
    """Ln p of two equal proportions by the score test, whose variance pools the arms: chi^2 without a correction."""
    total = candidate.n + control.n
    pooled = (candidate.value * candidate.n + control.value * control.n) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (candidate.value - control.value) / np.sqrt(pooled * (1 - pooled) * (1 / candidate.n + 1 / control.n))
    return log_p_normal(np.where(candidate.value == control.value, 0.0, z))


def newcombe_interval(candidate: Arm, control: Arm, alpha: float) -> tuple[Floats, Floats]:
    """Interval of a difference of proportions, good for small counts too.

    From Wilson's interval (l, u) of each arm: d - sqrt((p_c - l_c)^2 + (u_b - p_b)^2), d + sqrt((u_c - p_c)^2 + (p_b -
    l_b)^2). Source: Newcombe (1998), method 10 of "Interval estimation for the difference between independent
    proportions".
    """
    difference = candidate.value - control.value
    low_c, high_c = wilson_interval(candidate.value * candidate.n, candidate.n, 1 - alpha)
    low_b, high_b = wilson_interval(control.value * control.n, control.n, 1 - alpha)
    below = np.sqrt((candidate.value - low_c) ** 2 + (high_b - control.value) ** 2)
    above = np.sqrt((high_c - candidate.value) ** 2 + (control.value - low_b) ** 2)
    return np.asarray(difference - below), np.asarray(difference + above)
