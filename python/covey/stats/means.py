"""Means, ratios of means, and how much effects differ between segments."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.special import Floats

# Chance that the true spread lies above `tau_upper`.
SPREAD_BOUND_ALPHA = 0.05


def asymptotic_cs(
    mean: ArrayLike,
    variance: ArrayLike,
    n: ArrayLike,
    alpha: float,
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
        alpha: chance of ever missing the mean, in (0, 1).
        n_star: the n at which the sequence is tightest.
        side: "two", or the end that is bounded; the other end is infinite.

    Returns:
        (lower, upper) of the broadcast shape.

    Raises:
        ValueError: a variance below 0, an n not above 0, an alpha outside (0, 1), or numbers that are not finite.

    The guarantee is asymptotic: wait for a burn-in (the gates ask for 30 ticks and 100 non-zero observations per
    arm). Heavy tails delay it, so winsorise first.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), "Time-uniform central limit theory and asymptotic
        confidence sequences".
    """
    m, v, count = np.broadcast_arrays(
        np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    if not (np.isfinite(m).all() and np.isfinite(v).all() and np.isfinite(count).all()):
        raise ValueError("mean, variance and n must be finite numbers")
    if (v < 0).any():
        raise ValueError("variance must not be negative")
    if (count <= 0).any():
        raise ValueError("n must be above 0")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}; expected a number in (0, 1)")
    if side not in {"two", "lower", "upper"}:
        raise ValueError(f"side is {side!r}; expected 'two', 'lower' or 'upper'")
    tuned = alpha if side == "two" else min(2 * alpha, 1.0)
    r2 = (-2 * np.log(tuned) + np.log(1 - 2 * np.log(tuned))) / n_star
    if r2 <= 0:  # only a one-sided alpha of a half or more
        raise ValueError(f"alpha is {alpha!r}; expected a number below 0.5 for a one-sided sequence")
    spread = count * r2 + 1
    growth = np.log(np.sqrt(spread) / alpha) if side == "two" else np.log1p(np.sqrt(spread) / (2 * alpha))
    half_width = np.sqrt(v * 2 * spread / (count**2 * r2) * growth)
    lower = m - half_width if side != "upper" else np.full_like(m, -np.inf)
    upper = m + half_width if side != "lower" else np.full_like(m, np.inf)
    return lower, upper


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
    se = np.asarray(standard_errors, dtype=np.float64)
    if se.ndim != 1 or se.size < 2 or not (se > 0).all():
        raise ValueError("standard_errors must be two or more numbers above 0")
    degrees = se.size - 1
    return float(np.sqrt(np.mean(se**2) * (degrees / _spread_quantile(degrees) - 1)))


@lru_cache(maxsize=64)
def _spread_quantile(degrees: int) -> float:
    """What Q exceeds with the confidence of the spread's bound where true effects are equal."""
    from scipy.stats import chi2

    return float(chi2.ppf(SPREAD_BOUND_ALPHA, degrees))


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
    from scipy.optimize import brentq
    from scipy.stats import chi2

    e, se = np.asarray(effects, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    if e.ndim != 1 or e.shape != se.shape or e.size < 2:
        raise ValueError("effects and standard_errors must be two lists of one length, two segments or more")
    if not (np.isfinite(e).all() and np.isfinite(se).all()) or (se <= 0).any():
        raise ValueError("effects must be finite and standard errors finite and above 0")
    degrees = e.size - 1

    def generalised_q(tau2: float) -> float:
        weights = 1 / (se**2 + tau2)
        return float(np.sum(weights * (e - np.sum(weights * e) / np.sum(weights)) ** 2))

    q = generalised_q(0.0)
    w = 1 / se**2
    tau2 = max(0.0, (q - degrees) / float(np.sum(w) - np.sum(w**2) / np.sum(w)))
    target = _spread_quantile(degrees)
    if q <= target:
        upper = 0.0
    else:
        ceiling = float(np.max(se) ** 2)
        while generalised_q(ceiling) > target:
            ceiling *= 4
        # The default tolerance is absolute: effects on a small scale would get a far too wide bound.
        tolerance = 1e-12 * ceiling
        upper = float(brentq(lambda value: generalised_q(value) - target, 0.0, ceiling, xtol=tolerance))
    return Heterogeneity(q, float(chi2.sf(q, degrees)), tau2, float(np.sqrt(upper)))
