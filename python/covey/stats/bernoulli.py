"""Is the probability of an event above, or below, a level? An e-process for counts, and the interval that it gives."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.special import (
    HALF_LOG_TWO_PI,
    SMALLEST_PLAIN_TAIL,
    Floats,
    log_beta_fraction,
    special,
    stirling_remainder,
)

Alternative = Literal["greater", "less"]

# Halvings of the bracket of an interval's end, which is a logit: what they leave of it is below 1e-11.
BISECTION_STEPS = 43
WIDEST_LOGIT = 45.0


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
        ValueError: not 0 <= S <= N, a p0 outside (0, 1), a prior not above 0, another alternative, or a number that
            is not finite.

    Assumes that trials are independent given the past, or at least that the conditional probability of an event
    stays on its side of p0 under the null. Bursts (events that come together) break that; see the design effect of
    the gates.

    Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm"; Ville (1939) for the
        bound.
    """
    s, n, p = _validated(successes, trials, p0)
    if alternative not in {"greater", "less"}:
        raise ValueError(f"alternative is {alternative!r}; expected 'greater' or 'less'")
    if not (np.isfinite(prior) and prior > 0):
        raise ValueError(f"prior is {prior!r}; expected a finite number above 0")
    q = 1.0 - p
    # One side serves both: "less" is "greater" for the complementary event.
    return _log_e_greater(n - s, n, q, p, prior) if alternative == "less" else _log_e_greater(s, n, p, q, prior)


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
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}; expected a number in (0, 1)")
    s, n, _ = _validated(successes, trials, 0.5)
    # The upper end is the lower end for the complementary event; both are sought at once.
    ends = _lower_logit(np.stack([s, n - s]), np.stack([n, n]), float(np.log(1.0 / alpha)), prior)
    return np.where(s > 0, _expit(ends[0]), 0.0), np.where(n > s, _expit(-ends[1]), 1.0)


def _lower_logit(s: Floats, n: Floats, threshold: float, prior: float) -> Floats:
    """The logit of the p0 at which "greater" is just rejected: below it is rejected, from there to the estimate not."""
    estimate = np.clip(s / np.maximum(n, 1.0), 1e-18, 1.0 - 1e-15)
    inside = np.log(estimate) - np.log1p(-estimate)
    outside = np.full_like(inside, -WIDEST_LOGIT)
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (inside + outside)
        rejected = _log_e_greater(s, n, _expit(middle), _expit(-middle), prior) >= threshold
        outside = np.where(rejected, middle, outside)
        inside = np.where(rejected, inside, middle)
    return np.asarray(outside, dtype=np.float64)


def _expit(logit: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-logit)), dtype=np.float64)


def _validated(successes: ArrayLike, trials: ArrayLike, p0: ArrayLike) -> tuple[Floats, Floats, Floats]:
    s, n, p = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64), np.asarray(p0, dtype=np.float64)
    )
    if not (np.isfinite(s).all() and np.isfinite(n).all()):
        raise ValueError("successes and trials must be finite numbers")
    if (s < 0).any() or (s > n).any():
        raise ValueError("successes must lie between 0 and trials")
    if not ((p > 0) & (p < 1)).all():
        raise ValueError("p0 must lie strictly between 0 and 1")
    return s, n, p


def _log_e_greater(s: Floats, n: Floats, p: Floats, q: Floats, prior: float) -> Floats:
    """The ln E of "greater", with q = 1 - p given apart because it may be too small to be a difference."""
    a, b = prior * p, prior * q
    zero = np.zeros_like(s)
    # With data and without, in one evaluation. Without data both are the same number, so that ln E is exactly 0.
    both = _log_weighted_tail(np.stack([s, zero]), np.stack([n, zero]), p, q, a, b)
    return np.asarray(both[0] - both[1], dtype=np.float64)


def _times_log1p(weight: Floats, value: Floats) -> Floats:
    """`weight ln(1 + value)`, and 0 where the weight is 0, whatever the value."""
    return np.where(weight > 0, weight * np.log1p(np.maximum(value, -1.0 + 1e-16)), 0.0)


def _log_weighted_tail(s: Floats, n: Floats, p: Floats, q: Floats, a: Floats, b: Floats) -> Floats:
    """`ln B(A, B) + ln sf(p; A, B) - S ln p - (N-S) ln q` with A = a + S, B = b + N - S.

    Far out, where the tail underflows, B(A, B) cancels against the one inside the tail, and what is left is small and
    exact. Elsewhere the large terms are gathered as S ln((A/T)/p) + (N-S) ln((B/T)/q), whose logarithms are near 0 near
    the null.
    """
    upper_a, upper_b = a + s, b + (n - s)
    total = upper_a + upper_b
    tail = special().betaincc(upper_a, upper_b, p + 0.0 * s)
    far = tail < SMALLEST_PLAIN_TAIL
    # Both forms are the same number; each keeps its digits where its probability is small.
    excess = np.where(p < 0.5, s - n * p, n * q - (n - s))
    remainder = stirling_remainder(np.stack([upper_a, upper_b, total]))
    near_value = (
        _times_log1p(s, excess / (total * p))
        + _times_log1p(n - s, -excess / (total * q))
        + (a - 0.5) * np.log(upper_a / total)
        + (b - 0.5) * np.log(upper_b / total)
        - 0.5 * np.log(total)
        + HALF_LOG_TWO_PI
        + (remainder[0] + remainder[1] - remainder[2])
        + np.log(np.where(far, 1.0, tail))
    )
    if not far.any():
        return np.asarray(near_value, dtype=np.float64)
    # sf(p; A, B) = I_q(B, A), so B(A, B) sf = q^B p^A F(B, A, q) / B.
    fa, fb, fq = np.where(far, upper_a, 1.0), np.where(far, upper_b, 1.0), np.where(far, q, 0.1)
    far_value = b * np.log(q) + a * np.log(p) - np.log(fb) + log_beta_fraction(fb, fa, fq)
    return np.asarray(np.where(far, far_value, near_value), dtype=np.float64)
