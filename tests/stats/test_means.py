from __future__ import annotations

import math

import numpy as np
import pytest

from covey.stats import asymptotic_cs, chance_spread_bound, heterogeneity, ratio_delta


def test_the_confidence_sequence_is_its_formula() -> None:
    alpha, n, n_star = 0.05, 8000, 5000
    r2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / n_star
    width = 3 * math.sqrt(2 * (n * r2 + 1) / (n * n * r2) * math.log(math.sqrt(n * r2 + 1) / alpha))
    lower, upper = asymptotic_cs(1.0, 9.0, n, alpha)
    assert lower == pytest.approx(1 - width)
    assert upper == pytest.approx(1 + width)


def test_one_sided_sequences_are_tighter_and_open() -> None:
    two = asymptotic_cs(0.0, 1.0, 1000, 0.05)
    lower = asymptotic_cs(0.0, 1.0, 1000, 0.05, side="lower")
    upper = asymptotic_cs(0.0, 1.0, 1000, 0.05, side="upper")
    assert two[0] < lower[0] < 0 < upper[1] < two[1]
    assert lower[1] == math.inf
    assert upper[0] == -math.inf


def test_a_mean_is_seldom_missed_however_often_one_looks() -> None:
    random = np.random.default_rng(3)
    values = random.exponential(1.0, size=(400, 4000)).cumsum(axis=1)
    n = np.arange(200, 4001, 20)
    lower, upper = asymptotic_cs(values[:, n - 1] / n, 1.0, n, 0.05)
    missed = ((lower > 1) | (upper < 1)).any(axis=1)
    assert missed.mean() <= 0.05 + 3 * math.sqrt(0.05 / 400)


def test_ratio_of_means() -> None:
    effect, variance = ratio_delta(11.0, 4.0, 100, 10.0, 9.0, 300)
    assert effect == pytest.approx(0.1)
    assert variance == pytest.approx(4 / (100 * 100) + 121 * 9 / (300 * 10_000))
    random = np.random.default_rng(4)
    c = random.normal(11, 2, size=(4000, 100)).mean(axis=1)
    b = random.normal(10, 3, size=(4000, 300)).mean(axis=1)
    assert float(variance) == pytest.approx(np.var(c / b - 1), rel=0.1)


def test_equal_effects_are_homogeneous_and_different_ones_are_not() -> None:
    same = heterogeneity([0.01, 0.012, 0.011], [0.01, 0.01, 0.01])
    assert same.p > 0.5
    assert same.tau2 == 0
    different = heterogeneity([0.0, 0.2, -0.2], [0.01, 0.01, 0.01])
    assert different.p < 1e-6
    assert math.sqrt(different.tau2) == pytest.approx(0.2, rel=0.1)
    assert different.tau_upper > 0.2


def test_the_bound_of_the_spread_covers_it() -> None:
    random = np.random.default_rng(5)
    errors = np.array([0.02, 0.03, 0.05, 0.02, 0.04, 0.03])
    covered = 0
    for _ in range(300):
        effects = random.normal(0, 0.05, 6) + random.normal(0, errors)
        covered += heterogeneity(effects, errors).tau_upper >= 0.05
    assert covered / 300 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 300)


def test_lucky_agreement_is_no_evidence() -> None:
    assert heterogeneity([0.01, 0.01, 0.01], [0.5, 0.5, 0.5]).tau_upper == 0
    bound = chance_spread_bound([0.5, 0.5, 0.5])
    assert bound == pytest.approx(heterogeneity([0.5, 0.0, -0.5], [0.5, 0.5, 0.5]).tau_upper)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e6])
def test_the_spread_has_the_scale_of_the_effects(scale: float) -> None:
    effects, errors = [0.5, 0.1, -0.6, 0.9], [0.2, 0.3, 0.25, 0.2]
    plain = heterogeneity(effects, errors)
    scaled = heterogeneity([scale * effect for effect in effects], [scale * error for error in errors])
    assert scaled.tau_upper == pytest.approx(scale * plain.tau_upper, rel=1e-6)
    assert scaled.tau2 == pytest.approx(scale**2 * plain.tau2, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: asymptotic_cs(0, -1, 10, 0.05), "variance"),
        (lambda: asymptotic_cs(0, 1, 0, 0.05), "n must"),
        (lambda: asymptotic_cs(0, 1, 10, 0), "alpha"),
        (lambda: asymptotic_cs(math.nan, 1, 10, 0.05), "finite"),
        (lambda: asymptotic_cs(0, 1, 10, 0.05, side="both"), "side"),  # type: ignore[arg-type]
        (lambda: asymptotic_cs(0, 1, 10, 0.99, side="lower"), "alpha"),
        (lambda: ratio_delta(1, 1, 1, 0, 1, 1), "mean is 0"),
        (lambda: ratio_delta(math.nan, 1, 1, 1, 1, 1), "finite"),
        (lambda: ratio_delta(1, -1, 1, 1, 1, 1), "variances"),
        (lambda: ratio_delta(1, 1, 0, 1, 1, 1), "observations"),
        (lambda: heterogeneity([1], [1]), "two segments"),
        (lambda: chance_spread_bound([1]), "two or more"),
        (lambda: heterogeneity([1, 2], [1, 0]), "above 0"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()


def test_what_is_no_sequence_is_refused_by_name() -> None:
    for n_star in (0.0, -5.0, math.nan):
        with pytest.raises(ValueError, match="n_star must be"):
            asymptotic_cs(0.0, 1.0, 100, 0.05, n_star=n_star)
    with pytest.raises(ValueError, match=r"shapes do not broadcast: mean \(2,\), variance \(3,\)"):
        asymptotic_cs([0.0, 1.0], [1.0, 1.0, 1.0], 100, 0.05)
