"""Grouped moments and resampling in plain NumPy, bit for bit what the compiled core gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.reference.hashing import mix

TERM_BITS = 51
SMALLEST_EXPONENT = -480
RERANDOMISATION_PURPOSE = 0x726572616E64
BOOTSTRAP_PURPOSE = 0x706F6973736F
MOST_POISSON = 12
_HALF_BITS = 26

Sums = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
Pairs = Sequence[tuple[int, int]]
Metrics = Sequence[NDArray[Any]]


def bound_exponents(metrics: Metrics) -> list[int]:
    """The smallest e >= -480 with |x| < 2^e for each metric."""
    largest = [float(np.abs(values).max(initial=0.0)) for values in metrics]
    return [max(math.frexp(value)[1], SMALLEST_EXPONENT) for value in largest]


def integer_terms(metrics: Metrics, products: Pairs) -> tuple[list[NDArray[np.int64]], list[int]]:
    """Terms (metrics, then products) as integers of at most 51 bits, and the exponents that make numbers of them."""
    bounds = bound_exponents(metrics)
    scaled = [np.ldexp(values.astype(np.float64), -bound) for values, bound in zip(metrics, bounds, strict=True)]
    terms = [*scaled, *(scaled[i] * scaled[j] for i, j in products)]
    exponents = [bound - TERM_BITS for bound in bounds] + [bounds[i] + bounds[j] - TERM_BITS for i, j in products]
    return [np.rint(term * 2.0**TERM_BITS).astype(np.int64) for term in terms], exponents


def exact_sum(integers: NDArray[np.int64], weights: NDArray[np.int64] | None = None) -> int:
    """The sum of integers of at most 51 bits, each times a weight below 2^10, beyond 64 bits: in two halves."""
    high, low = integers >> _HALF_BITS, integers & ((1 << _HALF_BITS) - 1)
    if weights is not None:
        high, low = high * weights, low * weights
    return (int(high.sum()) << _HALF_BITS) + int(low.sum())


def grouped_moments(
    group_index: NDArray[Any], group_count: int, metrics: Metrics, products: Pairs, include: NDArray[Any] | None = None
) -> Sums:
    """Rows (g,), sums (g, metrics) and sums of products (g, products); see `covey._core.grouped_moments`."""
    if include is not None:
        rows = np.asarray(include) != 0
        group_index, metrics = group_index[rows], [values[rows] for values in metrics]
    terms, exponents = integer_terms(metrics, products)
    count = np.bincount(group_index, minlength=group_count).astype(np.int64)
    sums = np.array(
        [
            [math.ldexp(exact_sum(term[group_index == group]), e) for term, e in zip(terms, exponents, strict=True)]
            for group in range(group_count)
        ]
    )
    return count, sums[:, : len(metrics)], sums[:, len(metrics) :]


def buckets(seed: int, purpose: int, replicate: int, id_hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The 32-bit number of each learner in one replicate, shape (n,)."""
    mixed = mix(seed ^ purpose, replicate // 2, id_hashes)
    return mixed >> np.uint64(32) if replicate % 2 else mixed & np.uint64(0xFFFFFFFF)


def candidate_rows(seed: int, replicate: int, share_basis_points: int, id_hashes: Any) -> NDArray[np.bool_]:
    """Which learners a split gives to the candidate, shape (n,)."""
    threshold = np.uint64(share_basis_points * 2**32 // 10_000)
    return buckets(seed, RERANDOMISATION_PURPOSE, replicate, id_hashes) < threshold


def poisson_thresholds() -> list[int]:
    """floor(2^32 P(W >= k)) for k = 1 ... 12, W Poisson with mean 1, from the tail's series (no cancellation)."""
    tails = [math.fsum(math.exp(-1) / math.factorial(j) for j in range(k, k + 30)) for k in range(1, MOST_POISSON + 1)]
    return [math.floor(tail * 2**32) for tail in tails]


def poisson_weights(seed: int, replicate: int, id_hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each learner counts in a replicate of the bootstrap, shape (n,)."""
    bucket = buckets(seed, BOOTSTRAP_PURPOSE, replicate, id_hashes)
    return np.asarray(sum((bucket < np.uint64(threshold)).astype(np.int64) for threshold in poisson_thresholds()))


def weighted_sums(metrics: Metrics, products: Pairs, weights: Sequence[NDArray[np.int64]]) -> Sums:
    """Sums for each column of weights (one per replicate): shapes (r,), (r, metrics) and (r, products)."""
    terms, exponents = integer_terms(metrics, products)
    sums = np.array(
        [
            [math.ldexp(exact_sum(term, weight), e) for term, e in zip(terms, exponents, strict=True)]
            for weight in weights
        ]
    )
    count = np.array([weight.sum() for weight in weights], dtype=np.int64)
    return count, sums[:, : len(metrics)], sums[:, len(metrics) :]
