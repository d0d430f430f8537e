"""Where the ratio of two rates can lie: every null that the evidence has not rejected."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import log_sum_exp, log_weights, positive, probability
from covey.stats.rates import ADVANCE_RATIOS, ROLLBACK_RATIOS, _validated
from covey.stats.special import Floats

INTERVAL_RATIOS = tuple(sorted({*ADVANCE_RATIOS, *ROLLBACK_RATIOS}))

# The bracket on ln r0 is as wide as doubles are; halving it so often leaves less than 1e-13 of it.
WIDEST_LOG_RATIO = 700.0
BISECTION_STEPS = 54


def rate_ratio_interval(
    candidate_events: ArrayLike,
    baseline_events: ArrayLike,
    candidate_share: ArrayLike,
    alpha: float,
    *,
    ratios: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Always-valid interval for the ratio of the candidate's rate to the baseline's.

    {r0 : E(r0) < 1 / alpha} by bisection on ln r0, where E(r0) is the mixture of `rate_ratio` with alternatives on both
    sides. ln E is convex in ln r0, so the set is one interval, and it contains the estimate.

    Args:
        candidate_events: as `rate_ratio`.
        baseline_events: as `rate_ratio`.
        candidate_share: as `rate_ratio`.
        alpha: chance of ever missing the ratio, in (0, 1), however often one looks.
        ratios: alternatives, shape (ratios,); default the union of `ADVANCE_RATIOS` and `ROLLBACK_RATIOS`.
        weights: of the alternatives, summing to 1; default equal.

    Returns:
        (lower, upper), each of shape (...). Without candidate events lower is 0, without baseline events upper is
        infinite (events in ticks with a share of 0 or 1 say nothing and do not count).

    Raises:
        ValueError: as `rate_ratio`, or an alpha outside (0, 1).

    Guarantee and failure modes are those of `rate_ratio` with the ratio itself as null: exact for Poisson counts. Where
    the true ratio lies far outside the alternatives the interval is wide on that side, not wrong.

    Source: Robbins (1970), confidence sequences by inverting mixtures.
    """
    threshold = -np.log(probability(alpha, "alpha"))
    x, y, share = _validated(candidate_events, baseline_events, candidate_share)
    r = np.atleast_1d(positive(INTERVAL_RATIOS if ratios is None else ratios, "ratios"))
    if r.ndim != 1 or r.size == 0:
        raise ValueError("ratios must be a list of one or more")
    informative = (share > 0) & (share < 1)
    # A tick of one arm alone says nothing; its share is replaced by one that has a logit.
    logit = np.log(np.where(informative, share, 0.5)) - np.log1p(-np.where(informative, share, 0.5))
    x, y, logit = np.broadcast_arrays(x * informative, y * informative, logit)
    events, others = x.sum(axis=-1), y.sum(axis=-1)
    likelihood = _Likelihood(events, x + y, logit)
    best = likelihood.maximum()
    mixed = log_sum_exp(
        np.stack([likelihood.relative(np.full(best.shape, np.log(value)), best) for value in r], axis=-1)
        + log_weights(weights, r.size)
    )
    lower = _end(likelihood, mixed, best, -WIDEST_LOG_RATIO, threshold)
    upper = _end(likelihood, mixed, best, WIDEST_LOG_RATIO, threshold)
    return np.where(events > 0, np.exp(lower), 0.0), np.where(others > 0, np.exp(upper), np.inf)


class _Likelihood:
    """The conditional log-likelihood of ln r: concave, which makes every search below a bisection."""

    def __init__(self, events: Floats, total: Floats, logit: Floats) -> None:
        self._events, self._total, self._logit = events, total, logit

    def maximum(self) -> Floats:
        """The ln r of the estimate, or the bracket's end where one arm has no events."""
        low = np.full(self._events.shape, -WIDEST_LOG_RATIO)
        high = -low
        for _ in range(BISECTION_STEPS):
            middle = 0.5 * (low + high)
            expected = np.exp(-np.logaddexp(0.0, -(middle[..., np.newaxis] + self._logit)))
            rising = self._events > np.sum(self._total * expected, axis=-1)
            low, high = np.where(rising, middle, low), np.where(rising, high, middle)
        return np.asarray(0.5 * (low + high), dtype=np.float64)

    def relative(self, log_ratio: Floats, reference: Floats) -> Floats:
        """Ln L(log_ratio) - ln L(reference), tick by tick: the large terms of both cancel before they are summed."""
        share_gained = np.logaddexp(0.0, log_ratio[..., np.newaxis] + self._logit) - np.logaddexp(
            0.0, reference[..., np.newaxis] + self._logit
        )
        return np.asarray(
            self._events * (log_ratio - reference) - np.sum(self._total * share_gained, axis=-1), dtype=np.float64
        )


def _end(likelihood: _Likelihood, mixed: Floats, best: Floats, widest: float, threshold: float) -> Floats:
    """The ln r0 at which E reaches the threshold, between the estimate, which is inside, and the widest."""
    inside, outside = best, np.full(best.shape, widest)
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (inside + outside)
        rejected = mixed - likelihood.relative(middle, best) >= threshold
        outside, inside = np.where(rejected, middle, outside), np.where(rejected, inside, middle)
    return np.asarray(outside, dtype=np.float64)
