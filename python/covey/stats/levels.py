"""Is the probability of an event above a level? Evidence tick by tick, against fixed alternatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import events_among, numbers
from covey.stats.special import Floats

# Alternatives of a trigger, as multiples of its limit: from a third above the limit's worth of harm to an outage.
LEVEL_MULTIPLES = (1.17, 1.33, 1.67, 2.0, 2.67, 4.0, 6.67, 13.3, 33.3)


def level_increments(events: ArrayLike, trials: ArrayLike, p0: ArrayLike, levels: ArrayLike | None = None) -> Floats:
    """What each tick adds to `ln E` of each level against H0 "p <= p0" (or "p >= p0" where the levels lie below p0).

        x ln(q_k / p0) + (n - x) ln((1 - q_k) / (1 - p0))

    with x events in n trials of the tick. The running sum over ticks is the ln E of one level; `over_start_times` mixes
    levels and start times. Unlike the Beta mixture of `bernoulli_level`, fixed levels still learn after a long good
    time, which is why triggers use them. Where bursts are feared, divide these increments by the design effect.

    Args:
        events: x, shape (..., ticks); fractions are allowed; a single number is one tick.
        trials: n, broadcasts with the events over the leading axes. An empty tick (0, 0) adds exactly 0.
        p0: the limit, strictly between 0 and 1: a number, or an array that broadcasts with the events.
        levels: probabilities q_k, shape (levels,) or broadcasting to (..., ticks, levels); all above p0, or all below
            it. Default: p0 times `LEVEL_MULTIPLES`, those that are below 1 for every p0.

    Returns:
        Increments in nats, shape (..., ticks, levels).

    Raises:
        ValueError: more events than trials, negative counts, numbers that are not finite, a series of length 0, a p0 or
            level outside (0, 1), levels that are not all on one side of p0, or no default level below 1.

    Assumes that, given the past, the probability of an event in a tick stays on its side of p0 under the null, and that
    trials of one tick are independent. E is then an e-process (a supermartingale under the null); bursts break that.

    Source: Wald (1945), "Sequential tests of statistical hypotheses"; Ville (1939) for the bound at every look.
    """
    x, n = events_among(events, trials)
    p = numbers(p0, "p0")
    if ((p <= 0) | (p >= 1)).any():
        raise ValueError("p0 must lie strictly between 0 and 1")
    q = _default_levels(p) if levels is None else np.atleast_1d(numbers(levels, "levels"))
    if q.shape[-1] == 0 or ((q <= 0) | (q >= 1)).any():
        raise ValueError("levels must be probabilities strictly between 0 and 1, one or more")
    p = p[..., np.newaxis]
    if not ((q > p).all() or (q < p).all()):
        raise ValueError("levels must all lie above p0 (or all below it): one on the other side gains on the null")
    # Each logarithm of a ratio as log1p of the distance: levels close to p0 keep their digits.
    per_event, per_other = np.log1p((q - p) / p), np.log1p((p - q) / (1.0 - p))
    return np.asarray(
        x[..., np.newaxis] * per_event + (n - x)[..., np.newaxis] * per_other,
        dtype=np.float64,
    )


def _default_levels(p: Floats) -> Floats:
    largest = float(p.max()) if p.size else 1.0
    multiples = np.array([multiple for multiple in LEVEL_MULTIPLES if multiple * largest < 1.0])
    if not multiples.size:
        raise ValueError(f"p0 is {largest:g}: no default level stays below 1; name the levels")
    return np.asarray(p[..., np.newaxis] * multiples, dtype=np.float64)
