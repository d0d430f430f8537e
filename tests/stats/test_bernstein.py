from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import empirical_bernstein_cs
from covey.stats.bernstein import _bets


def naive(x: list[float], alpha: float) -> list[tuple[float, float]]:
    """The definition, observation by observation, in 40 digits, each side from the start."""
    with mpmath.workdps(40):
        log_inverse = mpmath.log(2 / mpmath.mpf(alpha))

        def lower(values: list[mpmath.mpf]) -> list[mpmath.mpf]:
            ends, means, deviations = [], [mpmath.mpf(0)], mpmath.mpf(0)
            s2 = mpmath.mpf(1) / 4
            gained = penalty = bets = mpmath.mpf(0)
            for t, value in enumerate(values, 1):
                bet = min(mpmath.mpf(1) / 2, mpmath.sqrt(2 * log_inverse / (s2 * t * mpmath.log(1 + t))))
                gained += bet * value
                penalty += (value - means[-1]) ** 2 * (-mpmath.log(1 - bet) - bet)
                bets += bet
                ends.append((gained - log_inverse - penalty) / bets)
                means.append(sum(values[:t]) / t)
                deviations += (value - (mpmath.mpf(1) / 2 + sum(values[:t])) / (t + 1)) ** 2
                s2 = (mpmath.mpf(1) / 4 + deviations) / (t + 1)
            return ends

        exact = [mpmath.mpf(value) for value in x]
        uppers = [1 - end for end in lower([1 - value for value in exact])]
        return [(float(a), float(b)) for a, b in zip(lower(exact), uppers, strict=True)]


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([1e-6, 0.05, 0.4]))
def test_it_is_the_definition(x: list[float], alpha: float) -> None:
    found = np.stack(empirical_bernstein_cs(x, alpha), axis=-1)
    assert found == pytest.approx(np.array(naive(x, alpha)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("rate", [0.02, 0.5, 1.0])
def test_it_is_the_definition_where_bets_are_small(rate: float) -> None:
    """From some thirty observations on the bets fall below their cap and follow the spread seen before."""
    x = (np.random.default_rng(22).random(250) < rate).astype(float)
    found = np.stack(empirical_bernstein_cs(x, 0.2), axis=-1)
    assert found == pytest.approx(np.array(naive(x.tolist(), 0.2)), rel=1e-9, abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 39))
def test_the_future_changes_nothing_and_sides_are_mirrors(x: list[float], stop: int) -> None:
    stop = min(stop, len(x))
    lower, upper = empirical_bernstein_cs(x, 0.05)
    first = empirical_bernstein_cs(x[:stop], 0.05)
    assert (first[0] == lower[:stop]).all()
    assert (first[1] == upper[:stop]).all()
    mirrored = empirical_bernstein_cs(1 - np.array(x), 0.05)
    assert mirrored[0] == pytest.approx(1 - upper, abs=1e-9)
    assert (lower < upper).all()


@pytest.mark.parametrize("log_inverse", [0.2, math.log(40)])
@pytest.mark.parametrize("mean", [0.05, 0.5, 0.8])
def test_the_bets_make_an_e_process(mean: float, log_inverse: float) -> None:
    """Its expectation at the true mean is at most 1 and does not grow, by enumeration of 2^10 histories."""
    histories = np.array(list(itertools.product([0.0, 1.0], repeat=10)))
    chances = np.where(histories == 1, mean, 1 - mean).prod(axis=1)
    bets = _bets(histories, log_inverse)
    running = histories.cumsum(axis=1) / np.arange(1, 11)
    before = np.concatenate([np.zeros((1024, 1)), running[:, :-1]], axis=1)
    penalty = (histories - before) ** 2 * (-np.log1p(-bets) - bets)
    expectations = chances @ np.exp(np.cumsum(bets * (histories - mean) - penalty, axis=1))
    assert (expectations <= 1 + 1e-12).all()
    assert (np.diff(expectations) <= 1e-12).all()


def test_it_excludes_a_mean_when_the_e_process_says_so() -> None:
    histories = np.array(list(itertools.product([0.0, 1.0], repeat=10)))
    bets = _bets(histories, math.log(40))
    before = np.concatenate([np.zeros((1024, 1)), (histories.cumsum(axis=1) / np.arange(1, 11))[:, :-1]], axis=1)
    penalty = (histories - before) ** 2 * (-np.log1p(-bets) - bets)
    lower, _ = empirical_bernstein_cs(histories, 0.05)
    for mean in (0.03, 0.2):
        process = np.cumsum(bets * (histories - mean) - penalty, axis=1)
        assert ((lower >= mean) == (process >= math.log(40))).all()
        assert (lower >= mean).any()


@pytest.mark.parametrize("rate", [0.03, 0.5])
def test_a_mean_is_seldom_missed_and_small_variance_is_used(rate: float) -> None:
    random = np.random.default_rng(13)
    x = (random.random((400, 3000)) < rate).astype(float)
    lower, upper = empirical_bernstein_cs(x, 0.05)
    missed = ((lower > rate) | (upper < rate)).any(axis=1)
    assert missed.sum() <= 20 + 3 * math.sqrt(20)
    quiet = 0.5 + 0.01 * (random.random(3000) - 0.5)
    narrow = empirical_bernstein_cs(quiet, 0.05)
    assert narrow[1][-1] - narrow[0][-1] < 0.25 * (upper[0, -1] - lower[0, -1])


def test_neither_clipped_nor_intersected() -> None:
    lower, upper = empirical_bernstein_cs([0.5, 0.5], 0.05)
    assert lower[0] < 0
    assert upper[0] > 1
    lower, _ = empirical_bernstein_cs([1.0] * 200 + [0.0] * 200, 0.05)
    assert lower[-1] < lower[199]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: empirical_bernstein_cs([], 0.05), "at least one"),
        (lambda: empirical_bernstein_cs([1.1], 0.05), "scale"),
        (lambda: empirical_bernstein_cs([-0.1], 0.05), "scale"),
        (lambda: empirical_bernstein_cs([math.nan], 0.05), "finite"),
        (lambda: empirical_bernstein_cs([0.5], 0), "alpha"),
        (lambda: empirical_bernstein_cs([0.5], 1), "alpha"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
