"""Is the probability of an event above, or below, a level? An e-process for counts, and the interval that it gives."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from covey import _core
from covey.stats.checked import broadcastable, probability
from covey.stats.special import Floats

Alternative = Literal["greater", "less"]


def bernoulli_level(
    successes: ArrayLike, trials: ArrayLike, p0: ArrayLike, *, alternative: Alternative, prior: float = 200.0
) -> Floats:
    """`ln E` against H0 "p <= p0" (alternative "greater") or "p >= p0" (alternative "less").

    The alternative is a Beta(a = prior p0, b = prior (1 - p0)) truncated to its side of p0, so that with S successes
    in N trials

        ln E = ln B(a+S, b+N-S) + ln tail(p0; a+S, b+N-S) - ln B(a, b) - ln tail(p0; a, b) - S ln p0 - (N-S) ln(1-p0)

    where tail is the survival function for "greater" and the distribution function for "less". Truncating makes E an
    e-process for the whole composite null: for "greater" each q > p0 has a likelihood ratio to p0 that is a
    supermartingale under every p <= p0.

    Args:
        successes: S, events so far; any shape that broadcasts with the others; fractions are allowed.
        trials: N, trials so far.
        p0: the level, strictly between 0 and 1.
        alternative: "greater" or "less".
        prior: how many trials the prior weighs, above 0. Small gains late, large gains early; 200 is a compromise.

    Returns:
        ln E of the broadcast shape; finite for every valid input, also where the tail is e^-150000. 0 where N = 0.

    Raises:
        ValueError: not 0 <= S <= N, a p0 outside (0, 1), a prior not above 0, another alternative, shapes that do not
            broadcast, or a number that is not finite.

    Assumes that trials are independent given the past, or at least that the conditional probability of an event
    stays on its side of p0 under the null. Bursts (events that come together) break that; see the design effect of
    the gates.

    Computed by the continued fraction of the incomplete beta function, on the side where it converges fast (DLMF
    8.17.22), in logarithms: a tail that is no double loses no digit (`cpp/src/bernoulli.cpp`).

    Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm"; Ville (1939) for the
        bound.
    """
    if alternative not in {"greater", "less"}:
        raise ValueError(f"alternative is {alternative!r}; expected 'greater' or 'less'")
    broadcastable(successes=successes, trials=trials, p0=p0)
    log_e = _core.bernoulli_log_e_greater if alternative == "greater" else _core.bernoulli_log_e_less
    return np.asarray(log_e(_floats(successes), _floats(trials), _floats(p0), _prior(prior)))


def bernoulli_interval(
    successes: ArrayLike, trials: ArrayLike, alpha: float, *, prior: float = 200.0
) -> tuple[Floats, Floats]:
    """Always-valid interval for p: every p0 that `bernoulli_level` has not rejected, asked both ways.

    {p0 : E_greater(p0) < 1 / alpha and E_less(p0) < 1 / alpha}, by bisection on the logit of p0. Each end alone is
    wrong at any time with probability at most alpha, however often one looks, and so agrees with the one-sided tests
    at that level; both together with at most 2 alpha.

    Args:
        successes: events so far; any shape.
        trials: trials so far; broadcasts.
        alpha: chance of ever missing p on one side, in (0, 1).
        prior: as in `bernoulli_level`.

    Returns:
        (lower, upper) of the broadcast shape; (0, 1) without data; lower is 0 without events, upper 1 without others.

    Raises:
        ValueError: as `bernoulli_level`, or an alpha outside (0, 1).
    """
    broadcastable(successes=successes, trials=trials)
    counts = _floats(successes), _floats(trials)
    threshold = -math.log(probability(alpha, "alpha"))
    lower = _core.bernoulli_lower_end(*counts, threshold, _prior(prior))
    return np.asarray(lower), np.asarray(_core.bernoulli_upper_end(*counts, threshold, _prior(prior)))


def _floats(value: ArrayLike) -> Floats:
    return np.asarray(value, dtype=np.float64)


def _prior(prior: float) -> float:
    if not (math.isfinite(prior) and prior > 0):
        raise ValueError(f"prior is {prior!r}; expected a finite number above 0")
    return float(prior)
