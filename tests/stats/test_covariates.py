from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import cuped


def sums(y: np.ndarray, x: np.ndarray) -> tuple[float, float, float, float, float, int]:
    return y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum(), y.size


pairs = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=2, max_size=30)


@settings(max_examples=150)
@given(pairs)
def test_it_is_what_the_observations_say(observations: list[tuple[int, int]]) -> None:
    """Slope and residual variance from the observations themselves, not from sums."""
    y, x = (np.array(column, dtype=float) for column in zip(*observations, strict=True))
    found = cuped(*sums(y, x))
    assert float(found.variance) == pytest.approx(np.var(y, ddof=1), rel=1e-9, abs=1e-6)
    if np.ptp(x) == 0:
        assert float(found.theta) == 0
        assert float(found.rho2) == 0
        assert float(found.adjusted_variance) == float(found.variance)
        return
    covariance = np.cov(x, y)
    assert float(found.theta) == pytest.approx(covariance[0, 1] / covariance[0, 0], rel=1e-9, abs=1e-9)
    residuals = y - float(found.theta) * x
    assert float(found.adjusted_variance) == pytest.approx(np.var(residuals, ddof=1), rel=1e-7, abs=1e-6)
    assert 0 <= float(found.rho2) <= 1
    if np.ptp(y) > 0:
        assert float(found.rho2) == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, rel=1e-7, abs=1e-9)


@settings(max_examples=60)
@given(pairs, st.sampled_from([1e-6, 3.0, 1e9]), st.sampled_from([1e-4, 7.0, 1e6]))
def test_units(observations: list[tuple[int, int]], unit_y: float, unit_x: float) -> None:
    y, x = (np.array(column, dtype=float) for column in zip(*observations, strict=True))
    plain, scaled = cuped(*sums(y, x)), cuped(*sums(y * unit_y, x * unit_x))
    slope_unit = unit_y / unit_x
    assert float(scaled.theta) == pytest.approx(float(plain.theta) * slope_unit, rel=1e-6, abs=1e-9 * slope_unit)
    assert float(scaled.variance) == pytest.approx(float(plain.variance) * unit_y**2, rel=1e-6, abs=1e-6 * unit_y**2)
    if np.ptp(y) > 0:
        assert float(scaled.rho2) == pytest.approx(float(plain.rho2), rel=1e-6, abs=1e-9)


def test_sums_of_replicas_add_up_and_axes_are_kept() -> None:
    random = np.random.default_rng(18)
    x = random.exponential(1.0, (2, 3, 400))
    y = 2 * x + random.normal(0, 1, x.shape)
    arguments = [y.sum(-1), x.sum(-1), (y * y).sum(-1), (x * x).sum(-1), (x * y).sum(-1), np.full((2, 3), 400)]
    found = cuped(*arguments)
    assert found.theta.shape == found.rho2.shape == (2, 3)
    merged = cuped(*(part.sum() for part in arguments))
    whole = cuped(*sums(y.ravel(), x.ravel()))
    assert float(merged.theta) == pytest.approx(float(whole.theta), rel=1e-9)
    assert float(merged.adjusted_variance) == pytest.approx(float(whole.adjusted_variance), rel=1e-9)
    assert float(merged.theta) == pytest.approx(2.0, abs=0.1)
    assert float(merged.rho2) == pytest.approx(0.8, abs=0.03)


def test_a_constant_covariate_far_from_zero_adjusts_nothing() -> None:
    """Its spread is rounding, and dividing by rounding would give any slope."""
    random = np.random.default_rng(19)
    y = random.normal(5, 1, 100_000)
    for constant in (0.1, 0.3, 1.1, 1e6 + 0.1):
        found = cuped(*sums(y, np.full(100_000, constant)))
        assert float(found.theta) == 0
    assert float(found.adjusted_variance) == pytest.approx(1.0, abs=0.03)


def test_the_difference_of_arms_is_adjusted_without_bias() -> None:
    """Over 400 experiments with an effect of 0.2 the adjusted difference is right, and varies by 1 - rho2 as much."""
    random = np.random.default_rng(20)
    x = random.normal(0, 1, (400, 2, 500))
    y = 0.9 * x + random.normal(0, 0.5, x.shape)
    y[:, 0] += 0.2
    pooled = [value.sum(axis=(1, 2)) for value in (y, x, y * y, x * x, x * y)]
    found = cuped(pooled[0], pooled[1], pooled[2], pooled[3], pooled[4], 1000)
    plain = y[:, 0].mean(axis=-1) - y[:, 1].mean(axis=-1)
    adjusted = plain - found.theta * (x[:, 0].mean(axis=-1) - x[:, 1].mean(axis=-1))
    assert adjusted.mean() == pytest.approx(0.2, abs=4 * adjusted.std() / 20)
    assert np.var(adjusted) / np.var(plain) == pytest.approx(float(1 - found.rho2.mean()), rel=0.25)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cuped(1, 1, 1, 1, 1, 1), "n must be 2"),
        (lambda: cuped(10, 0, 1, 1, 0, 4), "sum_yy"),
        (lambda: cuped(0, 10, 1, 1, 0, 4), "sum_xx"),
        (lambda: cuped(0, 0, 1, 1, 2, 4), "sum_xy"),
        (lambda: cuped(math.nan, 0, 1, 1, 0, 4), "sum_y must be finite"),
        (lambda: cuped(0, 0, 1, 1, math.inf, 4), "sum_xy must be finite"),
        (lambda: cuped(0, 0, 1, 1, 0, math.nan), "n must be finite"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
