"""Is the probability of an event above, or below, a level? An e-process for counts, and the interval that it gives."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.special import (
    HALF_LOG_TWO_PI,
    SMALLEST_PLAIN_TAIL,
    Floats,
    log_beta,
    log_beta_fraction,
    stirling_remainder,
)

Alternative = Literal["greater", "less"]

# Halvings of the bracket of an interval's end, which is a logit: 60 of (-45, 45) leave less than a double can show.
BISECTION_STEPS = 60
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
    a, b = prior * p, prior * q
    # One side serves both: "less" is "greater" for the complementary event.
    if alternative == "less":
        s, p, q, a, b = n - s, q, p, b, a
    log_e = _log_weighted_tail(s, n, p, q, a, b) - _log_weighted_tail(np.zeros_like(s), np.zeros_like(n), p, q, a, b)
    # Without data both terms are the same number; adding 0.0 turns a negative zero into zero.
    return np.asarray(log_e + 0.0, dtype=np.float64)


def bernoulli_interval(
    successes: ArrayLike, trials: ArrayLike, alpha: float, *, prior: float = 200.0
) -> tuple[Floats, Floats]:
    """Always-valid interval for p: every p0 that neither one-sided `bernoulli_level` has rejected at alpha / 2.

    {p0 : E_greater(p0) < 2 / alpha and E_less(p0) < 2 / alpha}, by bisection on the logit of p0. It covers p at all
    times at once with probability 1 - alpha, however often one looks.

    Args:
        successes: events so far; any shape.
        trials: trials so far; broadcasts.
        alpha: chance of ever missing p, in (0, 1).
        prior: as in `bernoulli_level`.

    Returns:
        (lower, upper) of the broadcast shape; (0, 1) without data; lower is 0 without events, upper 1 without
        non-events.

    Raises:
        ValueError: as `bernoulli_level`, or an alpha outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}; expected a number in (0, 1)")
    s, n, _ = _validated(successes, trials, 0.5)
    threshold = np.log(2.0 / alpha)
    lower = _end(s, n, threshold, "greater", prior)
    upper = _end(s, n, threshold, "less", prior)
    return np.where(s > 0, lower, 0.0), np.where(n > s, upper, 1.0)


def _end(s: Floats, n: Floats, threshold: float, alternative: Alternative, prior: float) -> Floats:
    """The p0 at which the one-sided test is just rejected; rejection holds between the outer bound and that end."""
    estimate = np.clip(s / np.maximum(n, 1.0), 1e-18, 1.0 - 1e-15)
    inner = np.log(estimate / (1.0 - estimate))
    outer = np.full_like(inner, -WIDEST_LOGIT if alternative == "greater" else 36.0)
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (inner + outer)
        p0 = np.clip(1.0 / (1.0 + np.exp(-middle)), 1e-20, 1.0 - 2e-16)
        rejected = bernoulli_level(s, n, p0, alternative=alternative, prior=prior) >= threshold
        outer = np.where(rejected, middle, outer)
        inner = np.where(rejected, inner, middle)
    return np.asarray(1.0 / (1.0 + np.exp(-outer)), dtype=np.float64)


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


def _log_weighted_tail(s: Floats, n: Floats, p: Floats, q: Floats, a: Floats, b: Floats) -> Floats:
    """`ln B(A, B) + ln sf(p; A, B) - S ln p - (N-S) ln q` with A = a + S, B = b + N - S.

    Far out, where the tail underflows, B(A, B) cancels against the one inside the tail, and what is left is small
    and exact. Elsewhere the large terms are gathered as S ln((A/T)/p) + (N-S) ln((B/T)/q), whose logarithms are near
    0 near the null.
    """
    from scipy.special import betaincc

    upper_a, upper_b = a + s, b + n - s
    tail = betaincc(upper_a, upper_b, p)
    far = tail < SMALLEST_PLAIN_TAIL
    total = upper_a + upper_b
    excess = s - n * p
    with np.errstate(divide="ignore"):
        plain_log_tail = np.log(np.where(far, 1.0, tail))
    near_value = (
        s * np.log1p(excess / (total * p))
        + (n - s) * np.log1p(-excess / (total * q))
        + (a - 0.5) * np.log(upper_a / total)
        + (b - 0.5) * np.log(upper_b / total)
        - 0.5 * np.log(total)
        + HALF_LOG_TWO_PI
        + stirling_remainder(upper_a)
        + stirling_remainder(upper_b)
        - stirling_remainder(total)
        + plain_log_tail
    )
    if not far.any():
        return np.asarray(near_value, dtype=np.float64)
    # sf(p; A, B) = I_q(B, A), so B(A, B) sf = q^B p^A F(B, A, q) / B.
    fa, fb, fq = (np.where(far, value, safe) for value, safe in ((upper_a, 1.0), (upper_b, 1.0), (q, 0.1)))
    far_value = b * np.log(q) + a * np.log(p) - np.log(fb) + log_beta_fraction(fb, fa, fq)
    return np.asarray(np.where(far, far_value, near_value), dtype=np.float64)


__all__ = ["Alternative", "bernoulli_interval", "bernoulli_level", "log_beta"]
