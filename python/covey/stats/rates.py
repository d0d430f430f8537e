"""Does the candidate fail more often than the baseline beside it? Evidence on the ratio of two rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey import _core
from covey.stats.checked import log_sum_exp, log_weights, numbers, positive, series
from covey.stats.special import Floats

# Alternatives of a rollback, as multiples of its null, and of an advance, against its margin.
ROLLBACK_RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 50.0)
ADVANCE_RATIOS = (0.2, 0.5, 0.67, 0.8, 1.0, 1.1, 1.25)


def rate_ratio(
    candidate_events: ArrayLike,
    baseline_events: ArrayLike,
    candidate_share: ArrayLike,
    r0: ArrayLike = 1.0,
    *,
    ratios: ArrayLike,
    weights: ArrayLike | None = None,
) -> Floats:
    """`ln E` against H0 "ratio <= r0" (ratios above r0: rollback) or "ratio >= r0" (ratios below r0: advance).

    Given that an event happened in tick t, it is the candidate's with probability theta(r, s_t) = r s_t / (r s_t + 1 -
    s_t), where r is the ratio of the two rates and s_t the candidate's share of exposure. Over x_t candidate and y_t
    baseline events

        ln E = ln sum_k w_k exp(sum_t x_t ln(theta(r_k, s_t) / theta(r0, s_t))
                                      + y_t ln((1 - theta(r_k, s_t)) / (1 - theta(r0, s_t))))

    so that load, its daily course and a rate that both arms share drop out.

    Args:
        candidate_events: x, shape (..., ticks); fractions are allowed; a single number is one tick.
        baseline_events: y, broadcasts with x over the leading axes.
        candidate_share: s, a number or per tick, in [0, 1]; known before the tick's outcomes; may change every tick.
            At 0 and at 1 a tick says nothing and adds exactly 0.
        r0: the null's ratio, above 0; a number, or an array that broadcasts with the events.
        ratios: the alternatives r_k, shape (ratios,) or broadcasting to (..., ticks, ratios), all above or all below
            r0. `ROLLBACK_RATIOS` times r0, or `ADVANCE_RATIOS`.
        weights: of the alternatives, summing to 1; default equal.

    Returns:
        ln E after the last tick, shape (...).

    Raises:
        ValueError: negative counts, numbers that are not finite, a series of length 0, shares outside [0, 1], events of
            an arm that had no exposure, ratios that are not all on one side of r0 (one on the other side gains on the
            null), or weights that do not sum to 1.

    Exact for Poisson counts and conservative for independent Bernoulli trials, at every r0: with s the candidate's
    share of the trials a tick's expectation is at most exp(0), by 1 + z <= e^z, and less the larger the rates are.
    Fails where events come in bursts (divide `rate_ratio_increments` by the design effect, never the finished ln E) and
    where learners differ lastingly (widen r0 by the between-learner standard error). Holds (..., ticks, ratios) in
    memory.

    Source: conditional binomial test of two Poisson rates (Przyborowski and Wilenski, 1940), mixed over alternatives
        (Robbins, 1970).
    """
    increments = rate_ratio_increments(candidate_events, baseline_events, candidate_share, r0, ratios=ratios)
    return log_sum_exp(increments.sum(axis=-2) + log_weights(weights, increments.shape[-1]))


def rate_ratio_increments(
    candidate_events: ArrayLike,
    baseline_events: ArrayLike,
    candidate_share: ArrayLike,
    r0: ArrayLike = 1.0,
    *,
    ratios: ArrayLike,
) -> Floats:
    """What each tick adds to `ln E` of each ratio: the terms of `rate_ratio` before sum and mixture.

        x_t ln(theta(r_k, s_t) / theta(r0, s_t)) + y_t ln((1 - theta(r_k, s_t)) / (1 - theta(r0, s_t)))

    Assumptions, failure modes and source are those of `rate_ratio`.

    Args:
        candidate_events: as `rate_ratio`.
        baseline_events: as `rate_ratio`.
        candidate_share: as `rate_ratio`.
        r0: as `rate_ratio`.
        ratios: as `rate_ratio`.

    Returns:
        Increments in nats, shape (..., ticks, ratios): for `over_start_times`, and for dividing by the design effect.

    Raises:
        ValueError: as `rate_ratio`.
    """
    x, y, share = _validated(candidate_events, baseline_events, candidate_share)
    null = positive(r0, "r0")[..., np.newaxis]
    r = np.atleast_1d(positive(ratios, "ratios"))
    if r.shape[-1] == 0:
        raise ValueError("ratios must be one or more")
    if not ((r > null).all() or (r < null).all()):
        raise ValueError("ratios must all lie above r0 (or all below it): one on the other side gains on the null")
    return ratio_terms(x[..., np.newaxis], y[..., np.newaxis], share[..., np.newaxis], null, r)


def ratio_terms(x: Floats, y: Floats, share: Floats, null: Floats, ratios: Floats) -> Floats:
    """The formula of `rate_ratio_increments` without its checks, for gates that have made them; shapes broadcast.

    Args:
        x: candidate events, 0 or more.
        y: baseline events.
        share: the candidate's share of exposure; at 0 and at 1 the term is 0.
        null: r0, above 0; where it is no number the term is 0.
        ratios: above or below r0.
    """
    return np.asarray(_core.rate_ratio_step(x, y, share, null, ratios))


def _validated(
    candidate_events: ArrayLike, baseline_events: ArrayLike, candidate_share: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Events of one broadcast shape, and the share in the shape it was given, which saves work where it is a number."""
    x, y = series(candidate_events, "candidate_events"), series(baseline_events, "baseline_events")
    if x.shape[-1] != y.shape[-1]:
        lengths = f"{x.shape[-1]} and {y.shape[-1]} ticks"
        raise ValueError(f"candidate_events and baseline_events must have one length; found {lengths}")
    x, y = np.broadcast_arrays(x, y)
    share = numbers(candidate_share, "candidate_share")
    if ((share < 0) | (share > 1)).any():
        raise ValueError("candidate_share must lie between 0 and 1")
    if share.ndim and share.shape[-1] not in {1, x.shape[-1]}:
        raise ValueError(f"candidate_share must have one entry per tick ({x.shape[-1]}); found {share.shape[-1]}")
    if ((x > 0) & (share == 0)).any():
        raise ValueError("candidate_events above 0 in a tick where candidate_share is 0: it had no exposure")
    if ((y > 0) & (share == 1)).any():
        raise ValueError("baseline_events above 0 in a tick where candidate_share is 1: the baseline had no exposure")
    return x, y, share
