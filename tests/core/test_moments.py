"""Grouped moments, resampling and log buckets of the compiled core against plain NumPy, bit for bit."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.reference import moments as reference
from covey.reference import sketch as reference_sketch

from .event_columns import every_way

ALL = [(i, j) for i in range(5) for j in range(i, 5)]


def columns(size: int, seed: int, count: int = 5) -> list[Any]:
    """Metrics of very different scales and signs, float32 and float64 by turns."""
    random = np.random.default_rng(seed)
    scales = [1.0, 1e-200, 1e140, 1e-3, 1e6, 1.0, 3.0, 1e9]
    made = [
        (random.standard_t(2, size) if m % 2 else random.lognormal(0, 2, size)) * scales[m]
        if m in {1, 2}
        else (random.normal(0, scales[m], size) * (random.random(size) < 0.7)).astype(np.float32 if m % 2 else float)
        for m in range(count)
    ]
    return [np.ascontiguousarray(values) for values in made]


def same_bits(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


@settings(max_examples=30)
@given(
    st.sampled_from([0, 1, 7, 63, 64, 65, 500, 4031, 4033, 9000]),
    st.integers(1, 64),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_grouped_moments_equal_numpy_bit_for_bit(
    size: int, groups: int, metric_count: int, masked: bool, seed: int
) -> None:
    metrics = columns(size, seed, metric_count)
    random = np.random.default_rng(seed)
    codes = random.integers(0, groups, size).astype(np.int32)
    pairs = [(i, j) for i in range(metric_count) for j in range(i, metric_count)]
    include = random.random(size) < 0.8 if masked else None
    expected = reference.grouped_moments(codes, groups, metrics, pairs, include)
    if include is not None:
        for values in metrics:
            values[~include] = np.nan
        codes[~include] = -7
    order = random.permutation(size)
    for way in every_way():
        same_bits(_core.grouped_moments(codes, groups, metrics, pairs, include, **way), expected)
    shuffled = [values[order] for values in metrics]
    shuffled_include = None if include is None else include[order]
    same_bits(_core.grouped_moments(codes[order], groups, shuffled, pairs, shuffled_include), expected)
    if include is None:
        same_bits(_core.grouped_moments(codes.astype(np.uint8), groups, metrics, pairs), expected)


def test_many_rows_in_every_way() -> None:
    metrics = columns(300_001, 1)
    codes = (np.arange(300_001) * 7919 % 16).astype(np.uint8)
    expected = reference.grouped_moments(codes, 16, metrics, ALL)
    for way in every_way():
        same_bits(_core.grouped_moments(codes, 16, metrics, ALL, **way), expected)


def test_the_error_stays_within_the_bound() -> None:
    """Against rational arithmetic: n * 2^(a + b - 52), whatever the values."""
    metrics = columns(2000, 2)
    bounds = reference.bound_exponents(metrics)
    _, sums, products = _core.grouped_moments(None, 1, metrics, ALL)
    exact = [[Fraction(float(value)) for value in values] for values in metrics]
    for m, values in enumerate(exact):
        assert abs(Fraction(float(sums[0, m])) - sum(values)) <= 2 * 2000 * Fraction(2) ** (bounds[m] - 52)
    for p, (i, j) in enumerate(ALL):
        truth = sum(x * y for x, y in zip(exact[i], exact[j], strict=True))
        bound = 2 * 2000 * Fraction(2) ** (bounds[i] + bounds[j] - 52)
        assert abs(Fraction(float(products[0, p])) - truth) <= bound


@settings(max_examples=20)
@given(
    st.sampled_from([1, 63, 64, 130, 4100]),
    st.integers(0, 2**48 - 1),
    st.integers(0, 131_000),
    st.integers(1, 9),
    st.sampled_from([0, 1, 100, 5000, 9999, 10_000]),
)
def test_rerandomised_sums_equal_numpy(size: int, seed: int, first: int, replicates: int, share: int) -> None:
    metrics = columns(size, seed)
    hashes = _core.hash_integers(np.arange(size) + seed % 1000)
    chosen = [reference.candidate_rows(seed, r, share, hashes) for r in range(first, first + replicates)]
    pairs = [(0, 0), (1, 3)]
    candidate = reference.weighted_sums(metrics, pairs, [rows.astype(np.int64) for rows in chosen])
    baseline = reference.weighted_sums(metrics, pairs, [(~rows).astype(np.int64) for rows in chosen])
    order = np.random.default_rng(1).permutation(size)
    shuffled = [values[order] for values in metrics]
    for way in every_way(2):
        found = _core.rerandomise(hashes, metrics, seed, replicates, share, first, pairs, **way)
        same_bits([array[0] for array in found[0]], candidate)
        same_bits([array[0] for array in found[1]], baseline)
    moved = _core.rerandomise(hashes[order], shuffled, seed, replicates, share, first, pairs)
    same_bits([array[0] for array in moved[0]], candidate)


def test_many_replicates_and_groups_in_every_way() -> None:
    size = 20_000
    metrics = columns(size, 3)
    hashes = _core.hash_integers(np.arange(size))
    codes = np.random.default_rng(3).integers(0, 3, size).astype(np.int32)
    include = np.arange(size) % 5 != 0
    expected = _core.rerandomise(hashes, metrics, 9, 2100, 3000, 1, ALL, codes, 3, include)
    for way in every_way():
        found = _core.rerandomise(hashes, metrics, 9, 2100, 3000, 1, ALL, codes, 3, include, **way)
        for arm, other in zip(found, expected, strict=True):
            same_bits(arm, other)
    for replicate in (1, 1024, 1025, 2100):
        rows = reference.candidate_rows(9, replicate, 3000, hashes)
        in_candidate = rows & include
        # The split's groups through the other kernel: the same fixed point, so the same bits but for the bounds.
        bounded = [np.where(include, values, 0) for values in metrics]
        for group in range(3):
            weights = [(in_candidate & (codes == group)).astype(np.int64)]
            truth = reference.weighted_sums(bounded, ALL, weights)
            same_bits([array[group, replicate - 1 : replicate] for array in expected[0]], truth)


def test_the_poisson_bootstrap_equals_numpy() -> None:
    size = 6000
    metrics = columns(size, 4)
    hashes = _core.hash_integers(np.arange(size))
    weights = [reference.poisson_weights(5, r, hashes) for r in range(3, 10)]
    expected = reference.weighted_sums(metrics, [(0, 1)], weights)
    for way in every_way():
        found = _core.poisson_bootstrap(hashes, metrics, 5, 7, 3, [(0, 1)], **way)
        same_bits([array[0] for array in found], expected)


def test_poisson_weights_have_their_distribution() -> None:
    hashes = _core.hash_integers(np.arange(200_000))
    counts = np.bincount(reference.poisson_weights(1, 0, hashes), minlength=13)
    for k in range(6):
        expected = 200_000 * math.exp(-1) / math.factorial(k)
        assert abs(counts[k] - expected) < 5 * math.sqrt(expected)


def test_splits_are_fair_and_unrelated() -> None:
    hashes = _core.hash_integers(np.arange(4000))
    rows = np.array([reference.candidate_rows(seed, r, 5000, hashes) for seed in range(20) for r in range(20)])
    signs = np.where(rows, 1.0, -1.0)
    relation = signs @ signs.T / np.sqrt(4000)
    np.fill_diagonal(relation, 0.0)
    assert np.abs(relation).max() < 6.0  # 79,800 pairs of standard normals
    assert np.abs(signs.sum(axis=1) / np.sqrt(4000)).max() < 4.5


@settings(max_examples=30)
@given(st.integers(0, 2000), st.sampled_from([1.001, 1.02, 1.05, 2.0]), st.integers(0, 2**32))
def test_log_buckets_equal_numpy(size: int, growth: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.exp(random.normal(0, 100, size)) * random.choice([-1.0, 0.0, 1.0], size)
    numbers = reference_sketch.bucket_numbers(values, growth)
    zeros, positive, negative = _core.count_in_log_buckets(values, growth)
    assert zeros == int((np.abs(values) < reference_sketch.SMALLEST).sum())
    for (first, counts), rows in ((positive, values > 0), (negative, values < 0)):
        if rows.any():
            assert first == numbers[rows].min()
            assert counts.tolist() == np.bincount(numbers[rows] - first).tolist()
        else:
            assert (first, len(counts)) == (0, 0)
    order = random.permutation(size)
    for way in every_way():
        again = _core.count_in_log_buckets(values[order], growth, **way)
        assert repr(again) == repr((zeros, positive, negative))


def test_errors_name_the_argument() -> None:
    metrics = columns(10, 6)
    hashes = _core.hash_integers(np.arange(10))
    codes = np.zeros(10, np.uint8)
    broken = [*metrics[:2], metrics[2].copy()]
    broken[2][7] = np.inf
    with pytest.raises(ValueError, match=r"metrics\[2\]\[7\] is inf, expected a finite number"):
        _core.grouped_moments(codes, 1, broken, [])
    with pytest.raises(ValueError, match=r"spend\[7\] is inf"):
        _core.grouped_moments(codes, 1, broken, [], names=["a", "b", "spend"])
    broken[2][7] = 1e200
    with pytest.raises(ValueError, match=r"metrics\[2\]\[7\] is 1e\+200, expected a finite number below"):
        _core.rerandomise(hashes, broken, 0, 1, 5000)
    with pytest.raises(ValueError, match=r"values\[3\] is nan"):
        _core.count_in_log_buckets(np.array([1.0, 2.0, 0.0, np.nan]), 1.05)
    codes[4] = 3
    with pytest.raises(ValueError, match=r"group_index\[4\] is 3, expected a group in \[0, 3\)"):
        _core.grouped_moments(codes, 3, metrics, [])
    with pytest.raises(ValueError, match=r"group_index\[9\] is -1"):
        _core.grouped_moments(np.array([0] * 9 + [-1], np.int32), 3, metrics, [])
    with pytest.raises(ValueError, match=r"products\[1\] names metric 5"):
        _core.grouped_moments(codes, 4, metrics, [(0, 0), (1, 5)])
    with pytest.raises(ValueError, match=r"9 metrics, expected 1 \.\.\. 8"):
        _core.grouped_moments(codes, 4, [metrics[0]] * 9, [])
    with pytest.raises(ValueError, match=r"metrics\[1\] must have 10 elements, not 9"):
        _core.grouped_moments(codes, 4, [metrics[0], metrics[1][:9].copy()], [])
    with pytest.raises(TypeError, match=r"metrics\[0\] must have dtype float32 or float64, not int64"):
        _core.grouped_moments(codes, 4, [np.arange(10)], [])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="group_count is 65"):
        _core.grouped_moments(codes, 65, metrics, [])
    with pytest.raises(ValueError, match="share_basis_points is 10001"):
        _core.rerandomise(hashes, metrics, 0, 1, 10_001)
    with pytest.raises(ValueError, match="seed is 281474976710656"):
        _core.poisson_bootstrap(hashes, metrics, 2**48, 1)
    with pytest.raises(ValueError, match="numbers below 131072"):
        _core.poisson_bootstrap(hashes, metrics, 0, 2, _core.REPLICATE_LIMIT - 1)
    with pytest.raises(ValueError, match="too many sums"):
        _core.rerandomise(hashes, metrics, 0, 131_072, 5000, 0, ALL, codes, 64)
    with pytest.raises(ValueError, match=r"growth is 3.0*, expected 1.001 \.\.\. 2"):
        _core.count_in_log_buckets(np.ones(3), 3.0)


def test_a_cancelled_call_ends() -> None:
    metrics = columns(10_000, 7)
    hashes = _core.hash_integers(np.arange(10_000))
    cancellation = _core.Cancellation()
    cancellation.cancel()
    for threads in (1, 2):
        for call in (
            lambda threads: _core.grouped_moments(None, 1, metrics, [], threads=threads, cancellation=cancellation),
            lambda threads: _core.rerandomise(hashes, metrics, 0, 10, 5000, threads=threads, cancellation=cancellation),
            lambda threads: _core.poisson_bootstrap(hashes, metrics, 0, 10, threads=threads, cancellation=cancellation),
            lambda threads: _core.count_in_log_buckets(metrics[0], 1.05, threads=threads, cancellation=cancellation),
        ):
            with pytest.raises(_core.Cancelled):
                call(threads)
