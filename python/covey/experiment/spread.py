"""How effects differ between segments: heterogeneity with an interval, shrunken estimates, harm, interactions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.experiment.chances import log_p_chi2, normal_quantile
from covey.stats import chance_spread_bound, heterogeneity, mixture_sprt
from covey.stats.special import Floats, special

FEWEST_FOR_SHRINKING = 4


class Spread(NamedTuple):
    """What differs between segments beyond chance.

    Attributes:
        q: Cochran's statistic.
        degrees: segments - 1.
        log_p: ln p of "all segments have one effect".
        tau: standard deviation of the true effects (DerSimonian-Laird); 0 where they agree as chance lets them.
        tau_low, tau_high: its interval by Q-profile at 1 - alpha.
        bound: what tau is at most as far as such data can tell: the larger of tau_high and the bound to expect where
            all effects are equal, so that estimates that agree by luck are no evidence.
        mean: of the true effects, each segment weighed by 1 / (se^2 + tau^2).
        mean_error: its standard error.
    """

    q: float
    degrees: int
    log_p: float
    tau: float
    tau_low: float
    tau_high: float
    bound: float
    mean: float
    mean_error: float


class Shrunken(NamedTuple):
    """Estimates drawn together as far as they are noise; arrays of shape (segments,)."""

    value: Floats
    low: Floats
    high: Floats


def spread_of(effects: Floats, errors: Floats, alpha: float) -> Spread:
    """Heterogeneity of two or more segments.

    Q-profile: the tau at which Q with weights 1 / (se^2 + tau^2) is at a quantile of chi^2. Sources: Cochran (1954);
    DerSimonian and Laird (1986); Viechtbauer (2007), "Confidence intervals for the amount of heterogeneity".

    Raises:
        ValueError: fewer than two, or standard errors not above 0.
    """
    found = heterogeneity(effects, errors)
    degrees = len(effects) - 1
    weights = 1 / (errors**2 + found.tau2)
    low, high = (
        _profile(effects, errors, float(special().chdtri(degrees, tail))) for tail in (alpha / 2, 1 - alpha / 2)
    )
    return Spread(
        found.q,
        degrees,
        float(log_p_chi2(found.q, degrees)),
        float(np.sqrt(found.tau2)),
        low,
        high,
        max(high, chance_spread_bound(errors)),
        float((weights * effects).sum() / weights.sum()),
        float(1 / np.sqrt(weights.sum())),
    )


def _profile(effects: Floats, errors: Floats, target: float) -> float:
    """The tau at which Q falls to a target; 0 where it is below it already."""

    def q(tau2: float) -> float:
        weights = 1 / (errors**2 + tau2)
        return float((weights * (effects - (weights * effects).sum() / weights.sum()) ** 2).sum())

    if q(0.0) <= target:
        return 0.0
    low, high = 0.0, float(errors.max() ** 2)
    while q(high) > target:
        low, high = high, 4 * high
    for _ in range(55):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if q(middle) > target else (low, middle)
    return float(np.sqrt(high))


def shrunken(effects: Floats, errors: Floats, spread: Spread, alpha: float) -> Shrunken | None:
    """Empirical-Bayes estimates with Morris' intervals, which count that mean and tau are estimated too.

    With B = (k - 3) / (k - 1) se^2 / (se^2 + tau^2): value = (1 - B) e + B mean, variance = se^2 (1 - (1 - w) B)
    + 2 / (k - 3) B^2 r (e - mean)^2, w the segment's share of the weights and r the mean of se^2 + tau^2 over its own.
    Source: Morris (1983), "Parametric empirical Bayes inference".

    Returns:
        None below four segments: so few say too little of how effects differ.
    """
    k = len(effects)
    if k < FEWEST_FOR_SHRINKING:
        return None
    total = errors**2 + spread.tau**2
    weights = 1 / total
    share = weights / weights.sum()
    pull = (k - 3) / (k - 1) * errors**2 / total
    value = (1 - pull) * effects + pull * spread.mean
    ratio = (errors**2 * weights).sum() / weights.sum() + spread.tau**2
    variance = (
        errors**2 * (1 - (1 - share) * pull) + 2 / (k - 3) * pull**2 * ratio / total * (effects - spread.mean) ** 2
    )
    half = normal_quantile(alpha) * np.sqrt(variance)
    return Shrunken(value, value - half, value + half)


def harm_log_e(harm: Floats, variance: Floats, tau2: Floats) -> Floats:
    """Ln E against "no harm" (harm <= 0), valid at every look, with half a normal over what the harm may be.

    The two-sided mixture of `covey.stats.mixture_sprt` restricted to harm above 0: its E times
    2 Phi(harm sqrt(tau2 / (V (V + tau2)))). Every alternative is then on the
    side of harm, which covers the whole null.

    Args:
        harm: estimate, above 0 where the variant is worse.
        variance: of that estimate, above 0.
        tau2: of the normal, above 0.
    """
    pull = harm * np.sqrt(tau2 / (variance * (variance + tau2)))
    return np.asarray(mixture_sprt(harm, variance, tau2) + np.log(2.0) + special().log_ndtr(pull))


def interaction_log_p(
    effects: Floats, errors: Floats, first: NDArray[np.int_], second: NDArray[np.int_]
) -> tuple[float, int, float]:
    """(Q, degrees, ln p) of "effects of two segmentations add up": what is left of the cells after both.

    Weighted least squares of the cells' effects on both segmentations; the weighted squares that remain are chi^2 with
    cells - rank degrees where they add up.

    Args:
        effects: one per cell.
        errors: standard errors, above 0.
        first: number of the cell's segment in one segmentation.
        second: in the other.
    """
    rows = [np.ones_like(effects)]
    rows += [(first == level).astype(float) for level in np.unique(first)[1:]]
    rows += [(second == level).astype(float) for level in np.unique(second)[1:]]
    x = np.column_stack(rows) / errors[:, None]
    y = effects / errors
    solution, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    degrees = len(effects) - int(rank)
    q = float(((y - x @ solution) ** 2).sum())
    return q, degrees, float(log_p_chi2(q, degrees)) if degrees > 0 else 0.0
