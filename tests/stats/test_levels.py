from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import LEVEL_MULTIPLES, level_increments


def oracle(events: int, trials: int, p0: float, level: float) -> float:
    with mpmath.workdps(60):
        x, n, p, q = (mpmath.mpf(value) for value in (events, trials, p0, level))
        return float(x * mpmath.log(q / p) + (n - x) * mpmath.log((1 - q) / (1 - p)))


@settings(max_examples=150)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(1e-9, 0.8), st.floats(1e-12, 1.0))
def test_it_is_the_formula(events: int, others: int, p0: float, distance: float) -> None:
    """Also for levels that touch p0, where the logarithm of a rounded ratio would have no digits."""
    level = p0 + (0.999 - p0) * distance
    found = float(level_increments([events], [events + others], p0, [level])[0, 0])
    expected = oracle(events, events + others, p0, level)
    largest = events * math.log(level / p0) - others * math.log1p((p0 - level) / (1 - p0))
    assert found == pytest.approx(expected, rel=1e-11, abs=max(1e-14 * largest, 1e-300))


@pytest.mark.parametrize(("p0", "level"), [(1e-9, 1.17e-9), (0.01, 0.01 * (1 + 1e-9)), (1e-6, 1e-3)])
def test_a_trillion_clean_requests_keep_their_digits(p0: float, level: float) -> None:
    found = float(level_increments([0], [10**12], p0, [level])[0, 0])
    assert found == pytest.approx(oracle(0, 10**12, p0, level), rel=1e-12)


def test_the_default_levels_are_multiples_below_one() -> None:
    increments = level_increments([2], [100], 0.015)
    expected = [oracle(2, 100, 0.015, 0.015 * multiple) for multiple in LEVEL_MULTIPLES]
    assert increments[0] == pytest.approx(expected, rel=1e-12)
    assert level_increments([2], [100], 0.1).shape == (1, 7)
    assert level_increments([2], [100], 0.84).shape == (1, 1)


@pytest.mark.parametrize(("p0", "levels"), [(0.015, None), (0.3, None), (0.3, [0.01, 0.29])])
def test_the_expectation_under_the_null_is_at_most_one(p0: float, levels: list[float] | None) -> None:
    """Exactly, by enumeration of every outcome of a tick of 12 requests."""
    x = np.arange(13)
    factors = np.exp(level_increments(x[:, np.newaxis], np.full((13, 1), 12), p0, levels))[:, 0, :]
    chances = np.array([math.comb(12, k) for k in x], dtype=float)
    for p in (p0, *((0.9 * p0, 0.1 * p0) if levels is None else (1.1 * p0, 2 * p0))):
        expectation = (chances * p**x * (1 - p) ** (12 - x)) @ factors
        assert (expectation <= 1 + 1e-12).all()
        if p == p0:
            assert expectation == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4000)), min_size=1, max_size=8), st.floats(1e-4, 0.5))
def test_ticks_may_be_merged(ticks: list[tuple[int, int]], p0: float) -> None:
    x, others = (np.array(column) for column in zip(*ticks, strict=True))
    apart = level_increments(x, x + others, p0).sum(axis=-2)
    merged = level_increments([x.sum()], [x.sum() + others.sum()], p0)[0]
    assert apart == pytest.approx(merged, rel=1e-10, abs=1e-10)


def test_leading_axes_and_empty_ticks() -> None:
    events = np.array([[[1, 0, 2], [0, 0, 5]], [[3, 0, 0], [4, 0, 1]]])
    trials = np.array([100, 0, 50])
    found = level_increments(events, trials, 0.015)
    assert found.shape == (2, 2, 3, 9)
    assert (found[:, :, 1, :] == 0).all()
    assert found[1, 1] == pytest.approx(level_increments(events[1, 1], trials, 0.015))
    per_tick = level_increments([1, 1], [100, 100], [0.01, 0.02])
    assert per_tick[1] == pytest.approx(level_increments([1], [100], 0.02)[0])
    assert level_increments(1, 100, 0.015).shape == (1, 9)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: level_increments([2], [1], 0.1), "exceed"),
        (lambda: level_increments([-1], [1], 0.1), "events must not be negative"),
        (lambda: level_increments([0], [-1], 0.1), "trials must not be negative"),
        (lambda: level_increments([math.nan], [1], 0.1), "events must be finite"),
        (lambda: level_increments([0], [math.inf], 0.1), "trials must be finite"),
        (lambda: level_increments([], [], 0.1), "length 0"),
        (lambda: level_increments([1, 2], [3], 0.1), "one length"),
        (lambda: level_increments([1], [3], 0.0), "p0"),
        (lambda: level_increments([1], [3], 1.0), "p0"),
        (lambda: level_increments([1], [3], math.nan), "p0"),
        (lambda: level_increments([1], [3], 0.9), "name the levels"),
        (lambda: level_increments([1], [3], 0.1, [0.05, 0.2]), "gains on the null"),
        (lambda: level_increments([1], [3], 0.1, [0.1, 0.2]), "gains on the null"),
        (lambda: level_increments([1], [3], 0.1, [1.0]), "probabilities"),
        (lambda: level_increments([1], [3], 0.1, []), "one or more"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
