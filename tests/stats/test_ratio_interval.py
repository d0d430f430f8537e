from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import ADVANCE_RATIOS, ROLLBACK_RATIOS, rate_ratio_interval

BOTH = sorted({*ADVANCE_RATIOS, *ROLLBACK_RATIOS})


def log_e(x: np.ndarray, y: np.ndarray, share: np.ndarray, r0: float) -> float:
    """The mixture over both sides, straight from its definition."""

    def log_theta(r: float) -> tuple[np.ndarray, np.ndarray]:
        return np.log(r * share / (r * share + 1 - share)), np.log((1 - share) / (r * share + 1 - share))

    null = log_theta(r0)
    terms = []
    for r in BOTH:
        alternative = log_theta(r)
        terms.append(float(np.sum(x * (alternative[0] - null[0]) + y * (alternative[1] - null[1]))))
    return float(np.logaddexp.reduce(terms)) - math.log(len(BOTH))


ticks_of_counts = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 3000), st.floats(0.005, 0.9)), min_size=1, max_size=5
)


@settings(max_examples=40)
@given(ticks_of_counts, st.sampled_from([0.01, 0.05, 0.3]))
def test_it_ends_where_the_test_begins_to_reject(ticks: list[tuple[int, int, float]], alpha: float) -> None:
    x, y, share = (np.array(column, dtype=float) for column in zip(*ticks, strict=True))
    lower, upper = (float(end) for end in rate_ratio_interval(x, y, share, alpha))
    assert 0 <= lower < upper
    threshold = math.log(1 / alpha)
    for end, events, outwards in ((lower, x.sum(), 0.999), (upper, y.sum(), 1.001)):
        if not events:
            assert end in {0.0, math.inf}
            continue
        assert log_e(x, y, share, end) == pytest.approx(threshold, abs=1e-6)
        assert log_e(x, y, share, end * outwards) > threshold
        assert log_e(x, y, share, end / outwards) < threshold


def test_without_events_an_end_is_open() -> None:
    lower, upper = rate_ratio_interval([[0], [5], [0], [5]], [[7], [0], [0], [7]], 0.25, 0.05)
    assert (lower[[0, 2]] == 0).all()
    assert (upper[[1, 2]] == math.inf).all()
    assert 0 < lower[1] < lower[1] * 2 < math.inf
    assert 0 < upper[0] < 5
    assert 0 < lower[3] < 15 / 7 < upper[3] < math.inf


def test_ticks_of_one_arm_do_not_count() -> None:
    found = rate_ratio_interval([4, 90, 0], [9, 0, 80], [0.2, 1.0, 0.0], 0.05)
    expected = rate_ratio_interval([4], [9], [0.2], 0.05)
    assert np.stack(found) == pytest.approx(np.stack(expected), rel=1e-12)
    assert np.stack(rate_ratio_interval([3], [0], [1.0], 0.05)).tolist() == [0.0, math.inf]


def test_extreme_counts() -> None:
    """1e9 errors a side pin the ratio; a ratio far beyond the alternatives is inside, with one wide end."""
    lower, upper = (float(end) for end in rate_ratio_interval([10**9], [10**9], 0.5, 0.05))
    assert 0.999 < lower < 1 < upper < 1.001
    lower, upper = (float(end) for end in rate_ratio_interval([10**6], [1], 0.5, 0.05))
    assert 1 < lower < 10**6
    assert upper == math.inf  # beyond what a double holds
    lower, upper = (float(end) for end in rate_ratio_interval([1], [10**12], 1e-9, 0.05))
    assert 0 <= lower < 1e-3 < upper < 1


@settings(max_examples=30)
@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.05, 0.95))
def test_more_confidence_is_wider_and_arms_may_change_names(x: int, y: int, share: float) -> None:
    lower, upper = rate_ratio_interval(x, y, share, 0.05)
    wider_lower, wider_upper = rate_ratio_interval(x, y, share, 0.01)
    assert wider_lower <= lower
    assert upper <= wider_upper
    ratios = [0.2, 0.5, 1.0, 2.0, 5.0]
    mine = rate_ratio_interval(x, y, share, 0.05, ratios=ratios)
    mirrored = rate_ratio_interval(y, x, 1 - share, 0.05, ratios=ratios)
    if x and y:
        assert float(mine[0]) == pytest.approx(1 / float(mirrored[1]), rel=1e-8)
        assert float(mine[1]) == pytest.approx(1 / float(mirrored[0]), rel=1e-8)


@pytest.mark.parametrize("true", [0.6, 1.0, 4.0])
def test_the_ratio_is_seldom_missed_however_often_one_looks(true: float) -> None:
    random = np.random.default_rng(4)
    x = random.poisson(0.4 * true, (300, 120)).cumsum(axis=1)[:, 4::5, np.newaxis]
    y = random.poisson(1.6, (300, 120)).cumsum(axis=1)[:, 4::5, np.newaxis]
    lower, upper = rate_ratio_interval(x, y, 0.2, 0.1)
    missed = ((lower > true) | (upper < true)).any(axis=1).mean()
    assert missed <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 300)
    assert np.median(upper[:, -1] / lower[:, -1]) < 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rate_ratio_interval([1], [1], 0.5, 0.0), "alpha"),
        (lambda: rate_ratio_interval([1], [1], 0.5, 1.0), "alpha"),
        (lambda: rate_ratio_interval([1], [-1], 0.5, 0.05), "baseline_events"),
        (lambda: rate_ratio_interval([1], [1], 1.0, 0.05), "no exposure"),
        (lambda: rate_ratio_interval([], [], 0.5, 0.05), "length 0"),
        (lambda: rate_ratio_interval([1], [1], 0.5, 0.05, ratios=[]), "one or more"),
        (lambda: rate_ratio_interval([1], [1], 0.5, 0.05, ratios=[0.5, 2], weights=[1, 1]), "sum to 1"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
