"""Where the ratio of two rates can lie: every null that the evidence has not rejected."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import log_sum_exp, log_weights, positive, probability
from covey.stats.rates import ADVANCE_RATIOS, ROLLBACK_RATIOS, _validated
from covey.stats.special import Floats

INTERVAL_RATIOS = tuple(sorted({*ADVANCE_RATIOS, *ROLLBACK_RATIOS}))

# Ends are sought from as far out as doubles reach, until a step is below this part of what is reached.
WIDEST_LOG_RATIO = 700.0
SMALLEST_STEP = 1e-13
MOST_STEPS = 100


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

    {r0 : E(r0) < 1 / alpha}, where E(r0) is the mixture of `rate_ratio` with alternatives on both sides. ln E is convex
    in ln r0, so the set is one interval; it contains the estimate.

    Args:
        candidate_events: as `rate_ratio`.
        baseline_events: as `rate_ratio`.
        candidate_share: as `rate_ratio`.
        alpha: chance of ever missing the ratio, in (0, 1), however often one looks.
        ratios: alternatives, shape (ratios,); default the union of `ADVANCE_RATIOS` and `ROLLBACK_RATIOS`.
        weights: of the alternatives, summing to 1; default equal.

    Returns:
        (lower, upper), each of shape (...). Without candidate events lower is 0, without baseline events upper is
        infinite (events in ticks with a share of 0 or 1 say nothing and do not count), and so is an end beyond e^700.

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
    alternatives = np.log(r).reshape(-1, *([1] * events.ndim)) + np.zeros(events.shape)
    gains, _ = likelihood.at(alternatives)
    mixed = log_sum_exp(np.moveaxis(gains, 0, -1) + log_weights(weights, r.size))
    lower, upper = _ends(likelihood, mixed - threshold)
    bounded_below, bounded_above = (events > 0) & (lower > -WIDEST_LOG_RATIO), (others > 0) & (upper < WIDEST_LOG_RATIO)
    return np.where(bounded_below, np.exp(lower), 0.0), np.where(bounded_above, np.exp(upper), np.inf)


class _Likelihood:
    """The conditional log-likelihood of ln r, which is concave."""

    def __init__(self, events: Floats, total: Floats, logit: Floats) -> None:
        self._events, self._total, self._logit = events, total, logit
        self._at_equality = np.logaddexp(0.0, logit)

    def at(self, log_ratio: Floats) -> tuple[Floats, Floats]:
        """Ln L(log_ratio) - ln L(0), in which the large terms cancel tick by tick, and its slope."""
        odds = log_ratio[..., np.newaxis] + self._logit
        softplus = np.logaddexp(0.0, odds)
        gain = self._events * log_ratio - np.sum(self._total * (softplus - self._at_equality), axis=-1)
        slope = self._events - np.sum(self._total * np.exp(odds - softplus), axis=-1)
        return np.asarray(gain, dtype=np.float64), np.asarray(slope, dtype=np.float64)


def _ends(likelihood: _Likelihood, reachable: Floats) -> Floats:
    """The two ln r0 at which ln L falls to `reachable`, by tangents from outside.

    ln E is convex, so that a tangent never crosses the end: every step comes closer, none goes too far, and an interval
    that were cut short would be too wide, never too narrow. Large counts take some 20 steps, where halving takes 50.
    """
    widest = np.full(reachable.shape, WIDEST_LOG_RATIO)
    ends = np.stack([-widest, widest])
    for _ in range(MOST_STEPS):
        gain, slope = likelihood.at(ends)
        missing = reachable - gain
        outside = (missing > 0) & (slope != 0)
        step = np.where(outside, missing / np.where(outside, slope, 1.0), 0.0)
        ends = ends + step
        if (np.abs(step) <= SMALLEST_STEP * (1.0 + np.abs(ends))).all():
            break
    return ends
