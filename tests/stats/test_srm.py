from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import multinomial_srm


def oracle(counts: list[int], planned: list[float], concentration: float) -> float:
    """The definition, in 60 digits; the shares as the doubles they are, scaled to sum to exactly 1."""
    with mpmath.workdps(60):
        shares = [mpmath.mpf(share) for share in planned]
        shares = [share / sum(shares) for share in shares]
        total = mpmath.mpf(concentration)
        log_e = mpmath.loggamma(total) - mpmath.loggamma(total + sum(counts))
        for count, share in zip(counts, shares, strict=True):
            log_e += mpmath.loggamma(total * share + count) - mpmath.loggamma(total * share)
            log_e -= count * mpmath.log(share)
        return float(log_e)


@pytest.mark.parametrize("concentration", [0.5, 100.0, 10_000.0, 1e7])
@pytest.mark.parametrize(
    ("counts", "planned"),
    [
        ([0, 0], [0.5, 0.5]),
        ([1, 0], [0.01, 0.99]),
        ([380, 37_620], [0.01, 0.99]),
        ([500, 37_500], [0.01, 0.99]),
        ([1_000_000, 99_000_000], [0.01, 0.99]),
        ([10**12, 99 * 10**12 + 10**8], [0.01, 0.99]),
        ([10**9, 0, 0], [1e-6, 0.5, 0.5 - 1e-6]),
        ([0, 10**9], [0.5, 0.5]),
        ([3, 7, 11, 2], [0.1, 0.3, 0.5, 0.1]),
    ],
)
def test_it_is_the_definition(counts: list[int], planned: list[float], concentration: float) -> None:
    found = float(multinomial_srm(counts, planned, concentration))
    assert found == pytest.approx(oracle(counts, planned, concentration), rel=1e-11, abs=1e-9)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 10**10), st.floats(1e-4, 1.0)), min_size=2, max_size=5), st.floats(1.0, 1e6))
def test_it_is_the_definition_everywhere(arms: list[tuple[int, float]], concentration: float) -> None:
    planned = np.array([share for _, share in arms])
    planned /= planned.sum()
    counts = [count for count, _ in arms]
    found = float(multinomial_srm(counts, planned, concentration))
    assert found == pytest.approx(oracle(counts, list(planned), concentration), rel=1e-10, abs=1e-9)


def test_shares_written_with_ten_digits_mean_a_sum_of_one() -> None:
    """The missing 1e-10 is no mismatch, however many learners there are."""
    thirds, counts = [0.3333333333] * 3, [10**18] * 3
    assert float(multinomial_srm(counts, thirds)) == pytest.approx(oracle(counts, thirds, 10_000.0), abs=1e-6)


@pytest.mark.parametrize("planned", [[0.3, 0.7], [0.2, 0.3, 0.5]])
@pytest.mark.parametrize("concentration", [3.0, 10_000.0])
def test_the_expectation_under_the_plan_is_one(planned: list[float], concentration: float) -> None:
    """Exactly, by enumeration of every split of 9 learners."""
    grid = np.indices((10,) * len(planned)).reshape(len(planned), -1).T
    splits = grid[grid.sum(axis=1) == 9]
    chances = [
        math.factorial(9) * math.prod(p**c / math.factorial(c) for p, c in zip(planned, split, strict=True))
        for split in splits.tolist()
    ]
    expectation = float(np.dot(chances, np.exp(multinomial_srm(splits, planned, concentration))))
    assert expectation == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), st.permutations(range(3)))
def test_order_of_arms_does_not_matter(counts: list[int], order: list[int]) -> None:
    planned = [0.01, 0.29, 0.7]
    shuffled = multinomial_srm([counts[i] for i in order], [planned[i] for i in order])
    assert float(shuffled) == pytest.approx(float(multinomial_srm(counts, planned)), rel=1e-10, abs=1e-10)


def test_a_right_split_is_seldom_accused_and_a_broken_one_is() -> None:
    random = np.random.default_rng(6)
    threshold = math.log(1000)
    healthy = random.binomial(50, 0.1, (2000, 200)).cumsum(axis=1)
    total = np.arange(50, 50 * 201, 50)
    log_e = multinomial_srm(np.stack([healthy, total - healthy], axis=-1), [0.1, 0.9])
    assert log_e.shape == (2000, 200)
    assert (log_e >= threshold).any(axis=1).sum() <= 2 + 3 * math.sqrt(2)
    lost = random.binomial(50, 0.08, (200, 200)).cumsum(axis=1)
    assert (multinomial_srm(np.stack([lost, total - lost], axis=-1), [0.1, 0.9])[:, -1] >= threshold).mean() > 0.9


def test_without_learners_nothing_is_said() -> None:
    assert multinomial_srm([[0, 0], [0, 0]], [0.25, 0.75]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: multinomial_srm([1, 2], [0.5, 0.6]), "sum to 1"),
        (lambda: multinomial_srm([1, 2], [0.0, 1.0]), "planned must be above 0"),
        (lambda: multinomial_srm([1, 2], [-0.5, 1.5]), "planned must be above 0"),
        (lambda: multinomial_srm([1, 2], [math.nan, 1]), "planned must be finite"),
        (lambda: multinomial_srm([-1, 2], [0.5, 0.5]), "counts must not be negative"),
        (lambda: multinomial_srm([math.inf, 2], [0.5, 0.5]), "counts must be finite"),
        (lambda: multinomial_srm([1, 2, 3], [0.5, 0.5]), "one entry per arm"),
        (lambda: multinomial_srm([1], [1.0]), "two arms"),
        (lambda: multinomial_srm([], []), "length 0"),
        (lambda: multinomial_srm([1, 2], [0.5, 0.5], 0), "concentration"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
