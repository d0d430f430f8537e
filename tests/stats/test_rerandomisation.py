"""A/A splits: uniform where the test is right, and seen where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from covey import _core
from covey.reference.moments import candidate_rows
from covey.stats.drift import drift_of
from covey.stats.rerandomisation import rejection_band, rerandomisation_check, uniformity_p, welch

SIZE = 20_000
HASHES = _core.hash_integers(np.arange(SIZE))


def outcomes(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"spend": random.lognormal(0, 1, SIZE), "far": (random.normal(1e6, 1, SIZE))}


def test_each_split_is_welchs_test_of_its_arms() -> None:
    metrics = outcomes()
    report = rerandomisation_check(metrics, HASHES, seed=5, splits=12, share_basis_points=3000)
    for split in range(12):
        rows = candidate_rows(5, split, 3000, HASHES)
        assert report.candidate_counts[split] == rows.sum()
        for check in report.metrics:
            values = metrics[check.name]
            truth = scipy_stats.ttest_ind(values[rows], values[~rows], equal_var=False)
            assert check.z[split] == pytest.approx(truth.statistic, rel=1e-6)
            assert check.p[split] == pytest.approx(truth.pvalue, rel=1e-6)
            assert check.effects[split] == pytest.approx(values[rows].mean() / values[~rows].mean() - 1, rel=1e-6)


def test_honest_data_pass_and_effects_are_found_at_the_power_promised() -> None:
    metrics = outcomes(1)
    detectable = rerandomisation_check(metrics, HASHES, seed=1, splits=10).metrics[0].detectable_effect
    report = rerandomisation_check(metrics, HASHES, seed=2, splits=2000, injected_effect=detectable)
    for check in report.metrics:
        assert check.uniformity_p > 0.001
        assert check.within_band
    assert report.metrics[0].detection_rate == pytest.approx(0.8, abs=0.04)
    assert report.srm_rejections <= 8  # 2 expected
    falling = rerandomisation_check(metrics, HASHES, seed=2, splits=500, injected_effect=-detectable)
    assert falling.metrics[0].detection_rate == pytest.approx(0.8, abs=0.06)


def test_learners_counted_twenty_times_are_seen() -> None:
    """The twin: rows of one learner are drawn alike, so a test that takes them as independent must fail here."""
    metrics = {"spend": np.repeat(outcomes(2)["spend"][: SIZE // 20], 20)}
    check = rerandomisation_check(metrics, np.repeat(HASHES[: SIZE // 20], 20), seed=3, splits=500).metrics[0]
    assert not check.within_band
    assert check.uniformity_p < 1e-6


def test_welch_without_variance_and_against_scipy() -> None:
    random = np.random.default_rng(3)
    one, other = random.normal(0, 1, 7), random.normal(1, 3, 5)
    found = welch(*(np.float64(v) for v in (one.mean(), one.var(ddof=1), 7, other.mean(), other.var(ddof=1), 5)))
    assert float(found.p) == pytest.approx(scipy_stats.ttest_ind(one, other, equal_var=False).pvalue)
    zero, three = np.zeros(2), np.full(2, 3.0)
    still = welch(np.array([1.0, 2.0]), zero, three, np.array([1.0, 1.0]), zero, three)
    assert still.z.tolist() == [0.0, np.inf]
    assert still.p.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("count", [20, 200, 2000])
def test_uniformity_equals_scipys(count: int) -> None:
    values = np.random.default_rng(count).random(count) ** 1.05
    assert uniformity_p(values) == pytest.approx(scipy_stats.kstest(values, "uniform").pvalue, rel=0.05, abs=0.01)


def test_the_band_holds_its_share() -> None:
    low, high = rejection_band(1000, 0.05)
    inside = scipy_stats.binom.cdf(high, 1000, 0.05) - scipy_stats.binom.cdf(low - 1, 1000, 0.05)
    assert inside >= 0.99
    narrower = scipy_stats.binom.cdf(high - 1, 1000, 0.05) - scipy_stats.binom.cdf(low, 1000, 0.05)
    assert narrower < 0.99


def test_nothing_is_relative_to_a_mean_that_is_the_rounding_of_a_sum_around_zero() -> None:
    values = np.random.default_rng(3).normal(size=SIZE)
    metrics = {"change": values - values.mean(), "zero": np.where(np.arange(SIZE) % 2, 1.0, -1.0)}
    report = rerandomisation_check(metrics, HASHES, seed=0, splits=20)
    for check in report.metrics:
        assert np.isnan(check.effects).all()
        assert np.isnan(check.detectable_effect)
        assert drift_of(report, check) is None
        assert 0 < check.p.min() < 1


def test_what_cannot_be_tested_is_refused() -> None:
    metrics = outcomes()
    with pytest.raises(ValueError, match="metric 'flat' is the same for all learners"):
        rerandomisation_check({"flat": np.full(SIZE, 2.0)}, HASHES, seed=0, splits=2)
    with pytest.raises(ValueError, match="leave an arm below two learners"):
        rerandomisation_check({"spend": metrics["spend"][:5].copy()}, HASHES[:5].copy(), seed=0, splits=50)
    with pytest.raises(ValueError, match="share_basis_points / 10000 is 1"):
        rerandomisation_check(metrics, HASHES, seed=0, share_basis_points=10_000)
    with pytest.raises(ValueError, match="p_values must be"):
        uniformity_p(np.array([0.5, 1.5]))
    metrics["spend"][8] = np.nan
    with pytest.raises(ValueError, match=r"spend\[8\] is nan"):
        rerandomisation_check(metrics, HASHES, seed=0)
