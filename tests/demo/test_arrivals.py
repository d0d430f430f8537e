"""Send times are fixed in advance, and their shares are what was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from covey.demo.arrivals import constant_arrivals, poisson_arrivals, quantiles
from covey.demo.load import shuffled_rounds


def test_constant_arrivals_keep_their_distance() -> None:
    times = constant_arrivals(50.0, 2.0, 1000)
    assert len(times) == 100
    assert np.allclose(np.diff(times), 0.02)


def test_poisson_arrivals_have_the_rate_and_the_spread_of_one() -> None:
    times = poisson_arrivals(200.0, 100.0, 1_000_000, seed=3)
    assert abs(len(times) - 20_000) < 6 * 20_000**0.5
    assert times[-1] < 100.0
    gaps = np.diff(times)
    assert np.all(gaps >= 0)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)


def test_a_seed_gives_one_schedule() -> None:
    assert np.array_equal(poisson_arrivals(10.0, 5.0, 100, seed=1), poisson_arrivals(10.0, 5.0, 100, seed=1))
    assert not np.array_equal(poisson_arrivals(10.0, 5.0, 30, seed=1), poisson_arrivals(10.0, 5.0, 30, seed=2))


def test_the_number_of_calls_is_bounded() -> None:
    assert len(poisson_arrivals(1000.0, 100.0, 42, seed=0)) == 42
    assert len(constant_arrivals(1000.0, 100.0, 42)) == 42


def test_every_learner_calls_equally_often() -> None:
    order = shuffled_rounds(70, 700, seed=5)
    assert set(Counter(order).values()) == {10}
    assert order[:70] != order[70:140]
    assert shuffled_rounds(70, 0, seed=5) == []


def test_quantiles_are_milliseconds() -> None:
    assert quantiles(np.array([0.001, 0.002, 0.003])) == {
        "p50": 2.0, "p90": pytest.approx(2.8), "p99": pytest.approx(2.98), "p999": pytest.approx(2.998), "max": 3.0,
    }  # fmt: skip
    assert quantiles(np.empty(0)) == {}
