from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import design_effect

ticks_of_counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5000)), min_size=1, max_size=12)


def naive(ticks: list[tuple[int, int]]) -> float:
    used = [(x, n) for x, n in ticks if n > 0]
    if len(used) < 2:
        return 1.0
    p = sum(x for x, _ in used) / sum(n for _, n in used)
    if p in {0.0, 1.0}:
        return 1.0
    return max(1.0, sum((x - n * p) ** 2 / (n * p * (1 - p)) for x, n in used) / (len(used) - 1))


@settings(max_examples=150)
@given(ticks_of_counts, st.randoms())
def test_it_is_the_formula(counts: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]
    """Also in any order of ticks, and with events and others exchanged."""
    ticks = [(x, x + others) for x, others in counts]
    x, n = (np.array(column) for column in zip(*ticks, strict=True))
    found = float(design_effect(x, n))
    assert found == pytest.approx(naive(ticks), rel=1e-9)
    assert float(design_effect(n - x, n)) == pytest.approx(found, rel=1e-9)
    random.shuffle(ticks)
    x, n = (np.array(column) for column in zip(*ticks, strict=True))
    assert float(design_effect(x, n)) == pytest.approx(found, rel=1e-9)


def test_leading_axes_and_where_it_is_not_defined() -> None:
    found = design_effect(
        [[0, 0, 0, 0], [5, 5, 5, 5], [9, 0, 0, 0], [3, 0, 0, 0], [1, 9, 0, 0], [9, 1, 0, 0]],
        [[9, 9, 9, 9], [5, 5, 5, 5], [9, 0, 0, 0], [9, 0, 0, 0], [9, 10, 0, 0], [10, 9, 0, 0]],
    )
    assert found[:4].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert found[4] == pytest.approx(naive([(1, 9), (9, 10)]))
    assert found[4] > 5
    assert design_effect([0, 0], [0, 0]) == 1.0
    assert design_effect(3, 10) == 1.0


def test_scale_of_bursts() -> None:
    """Requests that fail g at a time have the effect g; independent ones have 1."""
    random = np.random.default_rng(16)
    groups = random.binomial(100, 0.05, (50, 500))
    grouped = design_effect(groups * 7, np.full_like(groups, 700))
    assert grouped.mean() == pytest.approx(7, rel=0.03)
    assert (7 * design_effect(groups, np.full_like(groups, 100)) >= grouped - 1e-9).all()
    assert design_effect(groups, np.full_like(groups, 100)).mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("correlation", "size"), [(0.001, 100), (0.01, 100), (0.01, 1000)])
def test_it_finds_the_correlation_within_ticks(correlation: float, size: int) -> None:
    random = np.random.default_rng(17)
    strength = 1 / correlation - 1
    rates = random.beta(0.02 * strength, 0.98 * strength, (100, 240))
    found = design_effect(random.binomial(size, rates), np.full(rates.shape, size))
    assert found.mean() == pytest.approx(1 + (size - 1) * correlation, rel=0.05)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: design_effect([2, 1], [1, 1]), "exceed"),
        (lambda: design_effect([-2, 1], [1, 1]), "negative"),
        (lambda: design_effect([math.nan, 1], [1, 1]), "finite"),
        (lambda: design_effect([1, 1], [1, 1, 1]), "one length"),
        (lambda: design_effect([], []), "length 0"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
