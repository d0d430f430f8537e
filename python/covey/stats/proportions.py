"""Shares with intervals, for one look at data whose size was not chosen by looking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.checked import numbers, probability
from covey.stats.special import Floats, special


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95, comparisons: int = 1
) -> tuple[Floats, Floats]:
    """The interval of shares that a score test would not reject; 0 to 1 where there are no trials.

    Args:
        successes: x, any shape; fractions are allowed, as of an effective number of trials.
        trials: n, broadcasts with the successes.
        confidence: of each interval, or of all together where there are several comparisons.
        comparisons: m intervals that shall hold together: each is made at 1 - (1 - confidence) / m (Bonferroni).

    Returns:
        Lower and upper limits, of the broadcast shape.

    Raises:
        ValueError: numbers out of range.

    Approximate: over sample sizes its coverage swings around its level by about a percent from n p (1 - p) = 10 on, and
    by more below; it never gives limits outside [0, 1], nor an empty interval at 0 or n successes.

    Source: Wilson (1927); Brown, Cai and DasGupta (2001).
    """
    x, n = np.broadcast_arrays(numbers(successes, "successes"), numbers(trials, "trials"))
    if (x < 0).any() or (x > n).any():
        raise ValueError("successes must not be negative nor exceed trials")
    if comparisons < 1:
        raise ValueError(f"comparisons is {comparisons}; expected 1 or more")
    z = -float(special().ndtri((1.0 - probability(confidence, "confidence")) / (2.0 * comparisons)))
    some = np.where(n > 0, n, 1.0)
    share = x / some
    centre = (share + z * z / (2.0 * some)) / (1.0 + z * z / some)
    half = z * np.sqrt(share * (1.0 - share) / some + z * z / (4.0 * some * some)) / (1.0 + z * z / some)
    low = np.where(x > 0, np.maximum(centre - half, 0.0), 0.0)
    high = np.where(x < n, np.minimum(centre + half, 1.0), 1.0)
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def clustered_shares(
    hits: ArrayLike, rows: ArrayLike, confidence: float = 0.95, comparisons: int = 1
) -> tuple[Floats, Floats, Floats]:
    """Shares of rows that come in clusters, such as the weeks of one learner, with intervals that allow for that.

    The share is sum(hits) / sum(rows) over the n clusters that have rows. Its variance is that of the ratio of two
    means over the clusters (linearised),

        V = n / (n - 1) * sum_c (hits_c - share * rows_c)^2 / sum(rows)^2

    and the interval is Wilson's at the number of independent rows that would have this variance, share (1 - share) / V,
    never more than there are rows. Where nothing varies, the number of clusters is used.

    Args:
        hits: h, shape (clusters, ...).
        rows: m, broadcasts with the hits.
        confidence: as `wilson_interval`.
        comparisons: as `wilson_interval`.

    Returns:
        Share (NaN without rows), low and high, each of shape (...).

    Raises:
        ValueError: as `wilson_interval`.

    Source: Cochran (1977), section 3.12, for the ratio; Korn and Graubard (1998) for the effective number.
    """
    h, m = np.broadcast_arrays(numbers(hits, "hits"), numbers(rows, "rows"))
    sums = ClusterSums(
        clusters=(m > 0).sum(axis=0),
        hits=h.sum(axis=0),
        rows=m.sum(axis=0),
        squared_hits=(h * h).sum(axis=0),
        hits_by_rows=(h * m).sum(axis=0),
        squared_rows=(m * m).sum(axis=0),
    )
    return clustered_shares_of(sums, confidence, comparisons)


@dataclass(frozen=True, eq=False, slots=True)
class ClusterSums:
    """What `clustered_shares` needs of its clusters, summed over those that have rows; all of one shape.

    Attributes:
        clusters: how many have rows.
        hits: sum of h.
        rows: sum of m.
        squared_hits: sum of h^2.
        hits_by_rows: sum of h m.
        squared_rows: sum of m^2.
    """

    clusters: ArrayLike
    hits: ArrayLike
    rows: ArrayLike
    squared_hits: ArrayLike
    hits_by_rows: ArrayLike
    squared_rows: ArrayLike


def clustered_shares_of(
    sums: ClusterSums, confidence: float = 0.95, comparisons: int = 1
) -> tuple[Floats, Floats, Floats]:
    """`clustered_shares` of clusters that are summed already."""
    clusters, hit, total = (numbers(getattr(sums, name), name) for name in ("clusters", "hits", "rows"))
    some = np.where(total > 0, total, 1.0)
    share = hit / some
    squares = numbers(sums.squared_hits, "squared_hits") - 2.0 * share * numbers(sums.hits_by_rows, "hits_by_rows")
    squares = np.maximum(squares + share * share * numbers(sums.squared_rows, "squared_rows"), 0.0)
    variance = clusters / np.maximum(clusters - 1.0, 1.0) * squares / some**2
    varies = (variance > 0) & (clusters > 1)
    independent = np.where(varies, share * (1.0 - share) / np.where(varies, variance, 1.0), clusters)
    effective = np.minimum(independent, total)
    low, high = wilson_interval(share * effective, effective, confidence, comparisons)
    return np.where(total > 0, share, np.nan), low, high


def clustered_mean(
    totals: ArrayLike, rows: ArrayLike, confidence: float = 0.95, comparisons: int = 1
) -> tuple[float, float, float]:
    """Mean per row of anything that comes in clusters, with normal limits that allow for that.

    sum(totals) / sum(rows), its variance linearised over the n clusters that have rows, as in `clustered_shares`.

    Args:
        totals: sum over the rows of each cluster, shape (clusters,).
        rows: of each cluster, same shape.
        confidence: as `wilson_interval`.
        comparisons: as `wilson_interval`.

    Returns:
        Mean, low and high; NaN without rows.

    Good from some tens of clusters on, none of which holds most of the rows.

    Raises:
        ValueError: numbers out of range.
    """
    t, m = np.broadcast_arrays(numbers(totals, "totals"), numbers(rows, "rows"))
    if (m < 0).any():
        raise ValueError("rows must not be negative")
    t, m = t[m > 0], m[m > 0]
    count = len(m)
    if not count:
        return float("nan"), float("nan"), float("nan")
    z = -float(special().ndtri((1.0 - probability(confidence, "confidence")) / (2.0 * comparisons)))
    mean = float(t.sum() / m.sum())
    variance = count / max(count - 1, 1) * float(((t - mean * m) ** 2).sum()) / float(m.sum()) ** 2
    return mean, mean - z * variance**0.5, mean + z * variance**0.5
