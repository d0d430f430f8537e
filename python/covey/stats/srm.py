"""Are learners split as planned? A sample-ratio mismatch makes every comparison of the arms worthless."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import SUM_TOLERANCE, positive, series
from covey.stats.special import Floats, stirling_remainder

# Below this deviation the direct form of `_divergence` loses digits; so many terms of its series are exact there.
SERIES_BELOW = 0.05
SERIES_TERMS = 14


def multinomial_srm(counts: ArrayLike, planned: ArrayLike, concentration: float = 10_000) -> Floats:
    """`ln E` against H0 "learners fall into the arms with the planned probabilities".

    With a_i = concentration x planned_i, A = concentration, x_i learners in arm i and n in all

        ln E = ln Gamma(A) - ln Gamma(A+n) + sum_i [ln Gamma(a_i+x_i) - ln Gamma(a_i)] - sum_i x_i ln planned_i

    The alternative is a Dirichlet around the plan: the larger the concentration, the closer it lies to the plan, and
    the smaller the mismatch that a long count finds.

    Args:
        counts: x, shape (..., arms): distinct learners first exposed in this phase, never requests.
        planned: the planned shares, shape (..., arms) or (arms,); above 0, summing to 1.
        concentration: A, above 0.

    Returns:
        ln E, shape (...); 0 without learners. GATES: above ln 1000 the data are INVALID.

    Raises:
        ValueError: negative counts, numbers that are not finite, fewer than two arms, as many shares as counts not
            given, shares not above 0 or not summing to 1, or a concentration not above 0.

    Assumes that learners fall into arms independently of each other. Requests do not: a learner sends many.
    The form computed here has no difference of large numbers, so it is right for 1e12 learners too.

    Source: Lindon and Malek (2022), "Anytime-valid inference for multinomial count data".
    """
    x, share = series(counts, "counts"), np.atleast_1d(positive(planned, "planned"))
    if x.shape[-1] != share.shape[-1] or x.shape[-1] < 2:
        found = f"found {x.shape[-1]} and {share.shape[-1]}"
        raise ValueError(f"counts and planned must have one entry per arm, for two arms or more; {found}")
    sums = share.sum(axis=-1, keepdims=True)
    if np.abs(sums - 1.0).max() > SUM_TOLERANCE:
        raise ValueError(f"planned must sum to 1; found {float(sums.flat[np.abs(sums - 1.0).argmax()]):.12g}")
    x, share = np.broadcast_arrays(x, share / sums)
    prior_total = float(positive(concentration, "concentration"))
    total = prior_total + x.sum(axis=-1)
    # With Stirling's form of every ln Gamma the linear terms cancel, and the rest gathers around the deviation d_i of
    # the posterior mean from the plan: as sum_i p_i d_i = 0, (1 + d) ln(1 + d) becomes a sum of terms above 0.
    deviation = (x - x.sum(axis=-1, keepdims=True) * share) / (share * total[..., np.newaxis])
    prior = prior_total * share
    arms = share * total[..., np.newaxis] * _divergence(deviation) - 0.5 * np.log1p(deviation)
    remainders = stirling_remainder(prior + x) - stirling_remainder(prior)
    overall = stirling_remainder(np.full(total.shape, prior_total)) - stirling_remainder(total)
    freedom = 0.5 * (x.shape[-1] - 1) * np.log(total / prior_total)
    return np.asarray((arms + remainders).sum(axis=-1) + overall - freedom, dtype=np.float64)


def _divergence(deviation: Floats) -> Floats:
    """`(1 + d) ln(1 + d) - d` for d > -1: its series d^2 (1/2 - d/6 + d^2/12 - ...) near 0."""
    near = np.where(np.abs(deviation) < SERIES_BELOW, deviation, 0.0)
    series_value = np.zeros_like(near)
    for term in reversed(range(SERIES_TERMS)):
        series_value = 1.0 / ((term + 1) * (term + 2)) - near * series_value
    far = (1.0 + deviation) * np.log1p(deviation) - deviation
    return np.where(np.abs(deviation) < SERIES_BELOW, near * near * series_value, far)
