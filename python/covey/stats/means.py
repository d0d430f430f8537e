"""Means, ratios of means, and how much effects differ between segments."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covey import _core
from covey.stats.checked import broadcastable, numbers, positive
from covey.stats.special import Floats, special

# Chance that the true spread lies above `tau_upper`.
SPREAD_BOUND_ALPHA = 0.05


def asymptotic_cs(
    mean: ArrayLike,
    variance: ArrayLike,
    n: ArrayLike,
    alpha: ArrayLike,
    *,
    n_star: float = 5000,
    side: Literal["two", "lower", "upper"] = "two",
) -> tuple[Floats, Floats]:
    """Asymptotic confidence sequence for a mean: an interval that may be looked at after every observation.

    With a = alpha and r^2 = (-2 ln a + ln(1 - 2 ln a)) / n_star, the half-width of the two-sided sequence is

        s sqrt(2 (n r^2 + 1) / (n^2 r^2) ln(sqrt(n r^2 + 1) / a)).

    One-sided sequences use ln(1 + sqrt(n r^2 + 1) / (2 a)) with r from 2 a.

    Args:
        mean: of the observations so far; any shape.
        variance: their sample variance, >= 0; broadcasts.
        n: their number, > 0; broadcasts.
        alpha: chance of ever missing the mean, in (0, 1); of one side, below 1/2; broadcasts.
        n_star: the n at which the sequence is tightest.
        side: "two", or the end that is bounded; the other end is infinite.

    Returns:
        (lower, upper) of the broadcast shape.

    Raises:
        ValueError: a variance below 0, an n or n_star not above 0, an alpha outside (0, 1), shapes that do not
            broadcast, or numbers that are not finite.

    The guarantee is asymptotic: wait for a burn-in (the gates ask for 30 ticks and 100 non-zero observations per
    arm). Heavy tails delay it, so winsorise first.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), "Time-uniform central limit theory and asymptotic
        confidence sequences".
    """
    if side not in {"two", "lower", "upper"}:
        raise ValueError(f"side is {side!r}; expected 'two', 'lower' or 'upper'")
    positive(n_star, "n_star")
    m = numbers(mean, "mean, variance and n")
    broadcastable(mean=mean, variance=variance, n=n, alpha=alpha)
    if side == "two":
        half_width = _core.two_sided_half_width(variance, n, alpha, n_star)
        return np.asarray(m - half_width), np.asarray(m + half_width)
    half_width = _core.one_sided_half_width(variance, n, alpha, n_star)
    if side == "lower":
        lower = np.asarray(m - half_width)
        return lower, np.full_like(lower, np.inf)
    upper = np.asarray(m + half_width)
    return np.full_like(upper, -np.inf), upper


def mixture_rate(alpha: float, n_star: float) -> float:
    """The r^2 of `asymptotic_cs`: variance of the mixed effects over that of one observation, tightest at n_star.

    `mixture_sprt` with tau2 = r^2 s^2 reaches ln(1 / alpha) exactly where the two-sided sequence leaves 0 out.
    """
    log_alpha = np.log(alpha)
    return float((-2 * log_alpha + np.log(1 - 2 * log_alpha)) / n_star)


def ratio_delta(
    mean_c: ArrayLike, var_c: ArrayLike, n_c: ArrayLike, mean_b: ArrayLike, var_b: ArrayLike, n_b: ArrayLike
) -> tuple[Floats, Floats]:
    """Relative effect of the candidate and the variance of that estimate, by the delta method.

    (m_c / m_b - 1, v_c / (n_c m_b^2) + m_c^2 v_b / (n_b m_b^4))

    Args:
        mean_c: candidate's mean; any shape.
        var_c: candidate's sample variance.
        n_c: candidate's number of observations.
        mean_b: baseline's mean, not 0.
        var_b: baseline's sample variance.
        n_b: baseline's number of observations.

    Returns:
        (effect, variance of the effect), each of the broadcast shape.

    Raises:
        ValueError: a baseline mean of 0, a variance below 0, a number of observations not above 0, or a number that is
            not finite.

    Good where the baseline's mean is many standard errors from 0. Source: Deng, Knoblich, Lu (2018), "Applying the
    delta method in metric analytics".
    """
    mc, vc, nc, mb, vb, nb = (np.asarray(value, dtype=np.float64) for value in (mean_c, var_c, n_c, mean_b, var_b, n_b))
    if not all(np.isfinite(value).all() for value in (mc, vc, nc, mb, vb, nb)):
        raise ValueError("means, variances and numbers of observations must be finite numbers")
    if (mb == 0).any():
        raise ValueError("the baseline's mean is 0: there is nothing to be relative to")
    if (vc < 0).any() or (vb < 0).any():
        raise ValueError("variances must not be negative")
    if (nc <= 0).any() or (nb <= 0).any():
        raise ValueError("numbers of observations must be above 0")
    return mc / mb - 1, vc / (nc * mb**2) + mc**2 * vb / (nb * mb**4)


def relative_effects_of_sums(candidate: Floats, baseline: Floats, with_covariate: NDArray[np.bool_]) -> Floats:
    """Relative effects of many candidates over their baselines: `ratio_delta` of means adjusted by `cuped`.

    Args:
        candidate: one row per arm: learners n, the center c, sums of y - c and its square, of the covariate x and its
            square, and of their products; shape (arms, 7).
        baseline: likewise.
        with_covariate: whether the covariate is used, shape (arms,): one slope from both arms' sums around their own
            means, because what differs between arms is the effect and not the covariate's. 0 where the sums are not
            those of any data.

    Returns:
        Estimate m_c / m_b - 1, its variance, what the baseline brings to that at an effect of 0, and the share of the
        outcome's variance that the covariate took away, shape (4, arms); NaN where the baseline's mean is not above 0.
    """
    return _core.relative_effects(candidate, baseline, with_covariate)


def chance_spread_bound(standard_errors: ArrayLike) -> float:
    """The `tau_upper` to expect from segments whose true effects are equal: what such data can exclude at best.

    Q-profile gives a bound of 0 where estimates agree better than chance lets them, however noisy they are. A gate
    takes the larger of both, so that luck is no evidence. With one standard error s for all it is s sqrt((k - 1) /
    quantile - 1), the quantile being that of `heterogeneity`; different ones enter by their mean square.

    Args:
        standard_errors: above 0, two or more.

    Returns:
        the bound, in the unit of the effects.

    Raises:
        ValueError: fewer than two standard errors, or one not above 0.
    """
    errors = np.asarray(standard_errors, dtype=np.float64).tolist()
    if not isinstance(errors, list) or len(errors) < 2 or not all(error > 0 for error in errors):
        raise ValueError("standard_errors must be two or more numbers above 0")
    degrees = len(errors) - 1
    mean_square = math.fsum(error * error for error in errors) / len(errors)
    return math.sqrt(mean_square * (degrees / _spread_quantile(degrees) - 1))


@lru_cache(maxsize=64)
def _spread_quantile(degrees: int) -> float:
    """What Q exceeds with the confidence of the spread's bound where true effects are equal."""
    return float(special().chdtri(degrees, 1.0 - SPREAD_BOUND_ALPHA))


class Heterogeneity(NamedTuple):
    """How much effects differ beyond chance.

    Cochran's Q, its p-value, tau^2 (DerSimonian-Laird) and a 95 % upper bound of tau.
    """

    q: float
    p: float
    tau2: float
    tau_upper: float


def heterogeneity(effects: ArrayLike, standard_errors: ArrayLike) -> Heterogeneity:
    """Spread of the true effects of segments, given estimates with their standard errors.

    Q = sum w_i (e_i - e)^2 with w_i = 1 / se_i^2; tau^2 = max(0, (Q - (k - 1)) / (sum w - sum w^2 / sum w));
    tau_upper by Q-profile: the tau at which Q(tau) with weights 1 / (se_i^2 + tau^2) falls to the 5 % quantile of
    chi^2 with k - 1 degrees.

    Args:
        effects: one per segment, at least two.
        standard_errors: above 0, as many.

    Returns:
        (q, p, tau2, tau_upper); tau_upper in the unit of the effects.

    Raises:
        ValueError: fewer than two segments, different lengths, standard errors not above 0, or numbers that are not
            finite.

    A fixed-time test: one planned look. Estimates are taken as normal. Sources: DerSimonian and Laird (1986);
    Viechtbauer (2007).
    """
    e, se = np.asarray(effects, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    q = _core.generalised_q(e, se, 0.0)
    degrees, w = e.size - 1, 1 / se**2
    tau2 = max(0.0, (q - degrees) / float(w.sum() - (w**2).sum() / w.sum()))
    return Heterogeneity(q, float(special().chdtrc(degrees, q)), tau2, spread_bound(e, se))


def spread_bound(effects: ArrayLike, standard_errors: ArrayLike) -> float:
    """The `tau_upper` of `heterogeneity` alone, for a gate that asks for it at every look.

    Raises:
        ValueError: as `heterogeneity`.
    """
    e = np.asarray(effects, dtype=np.float64)
    return math.sqrt(_core.tau2_of_q(e, standard_errors, _spread_quantile(max(1, e.size - 1))))
