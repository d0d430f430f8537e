from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import e_bh


def naive(log_e: list[float], alpha: float) -> list[int]:
    """Every set size k tried: those k hypotheses with the largest e-values, if each reaches K / (k alpha)."""
    total = len(log_e)
    best: list[int] = []
    for k in range(1, total + 1):
        largest = sorted(range(total), key=lambda i: -log_e[i])[:k]
        if all(log_e[i] >= math.log(total / (k * alpha)) - 1e-12 for i in largest):
            best = sorted(largest)
    return best


@settings(max_examples=200)
@given(st.lists(st.floats(-20, 20) | st.sampled_from([-math.inf, math.inf]), max_size=12), st.sampled_from([0.01, 0.2]))
def test_it_is_the_definition(log_e: list[float], alpha: float) -> None:
    assert e_bh(log_e, alpha).tolist() == naive(log_e, alpha)


def test_an_example() -> None:
    """Thresholds at 5 % for four: 80, 40, 26.7, 20. The third rises to its own although the first two do not to 80."""
    assert e_bh(np.log([30, 1, 27, 50]), 0.05).tolist() == [0, 2, 3]
    assert e_bh(np.log([26, 1, 26, 50]), 0.05).tolist() == []
    assert e_bh(np.log([20, 20, 20, 20]), 0.05).tolist() == [0, 1, 2, 3]
    assert e_bh(np.log([20]), 0.05).tolist() == [0]
    assert e_bh(np.log([10 / 0.05]), 0.005).tolist() == [0]
    assert e_bh([math.log(10 / (k * 0.05)) for k in range(1, 11)], 0.05).tolist() == list(range(10))
    assert e_bh([math.log(10 / 0.05)] + [-math.inf] * 9, 0.05).tolist() == [0]
    assert e_bh([], 0.05).tolist() == []


@settings(max_examples=60)
@given(st.lists(st.floats(-5, 12), min_size=1, max_size=10), st.integers(0, 9), st.randoms())
def test_order_does_not_matter_and_more_evidence_rejects_no_less(log_e: list[float], index: int, random) -> None:  # type: ignore[no-untyped-def]
    rejected = set(e_bh(log_e, 0.1).tolist())
    order = list(range(len(log_e)))
    random.shuffle(order)
    assert {order[i] for i in e_bh([log_e[i] for i in order], 0.1)} == rejected
    more = list(log_e)
    more[index % len(more)] += 2.0
    assert rejected <= set(e_bh(more, 0.1).tolist())


def test_few_false_calls_under_dependence() -> None:
    """Half of the hypotheses true, all e-values driven by one shared draw: the worst case stays below alpha."""
    random = np.random.default_rng(15)
    shared = random.exponential(1.0, (4000, 1))
    true_log_e = 0.5 * shared + math.log(0.5)  # E[exp(X/2)] = 2
    proportions = []
    for row in np.hstack([np.repeat(true_log_e, 5, axis=1), 3 + random.normal(0, 2, (4000, 5))]):
        rejected = e_bh(row, 0.1)
        proportions.append((rejected < 5).sum() / max(1, rejected.size))
    assert 0 < np.mean(proportions) <= 0.1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: e_bh([math.nan], 0.05), "NaN"),
        (lambda: e_bh([[1.0], [2.0]], 0.05), "list"),
        (lambda: e_bh([1.0], 0), "alpha"),
        (lambda: e_bh([1.0], 1.2), "alpha"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
