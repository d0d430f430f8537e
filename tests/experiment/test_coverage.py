"""Do intervals cover as often as they say, and do sequential readings hold however often one looks?

COVEY_EXPERIMENT_RUNS=5000 (`make experiments-verify`) for the full count; the suite tries fewer. A count must lie in
the 99.9 % binomial band of a right interval.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from covey.experiment import Design, parse_outcome, read_units
from covey.experiment.cells import cells_of
from covey.experiment.compared import compare_cells, compare_hazards
from covey.experiment.effects import (
    Arm,
    effect_of,
    fixed_log_p,
    mean_arm,
    newcombe_interval,
    pooled_theta,
    proportion_effect,
    ratio_arm,
)
from covey.experiment.quantiles import quantile_arm
from covey.experiment.readings import always_valid_log_e, always_valid_multiplier, fixed_multiplier
from covey.experiment.spending import boundaries
from covey.experiment.survival import survival_arm
from covey.stats.rerandomisation import rejection_band

Floats = NDArray[np.float64]
RUNS = int(os.environ.get("COVEY_EXPERIMENT_RUNS", "1000"))
SLOW_RUNS = RUNS if RUNS >= 5000 else 200
ALPHA = 0.05


def misses_fit(low: Floats, high: Floats, truth: float) -> None:
    misses = int(((low > truth) | (high < truth)).sum())
    fewest, most = rejection_band(len(low), ALPHA, 0.999)
    print(f"{misses} of {len(low)} miss, {fewest} to {most} are right")
    assert fewest <= misses <= most, f"{misses} of {len(low)} intervals miss; a right one misses {fewest} to {most}"


def interval(candidate: Arm, control: Arm) -> tuple[Floats, Floats]:
    effect = effect_of(candidate, control)
    half = fixed_multiplier(effect, ALPHA) * np.sqrt(effect.variance)
    return effect.difference - half, effect.difference + half


def mean_of(values: Floats) -> Arm:
    return mean_arm(np.full(len(values), values.shape[1]), values.mean(axis=1), values.var(axis=1, ddof=1))


def test_means_of_skewed_outcomes_with_unlike_spreads() -> None:
    random = np.random.default_rng(1)
    candidate, control = random.gamma(2.0, 1.5, (RUNS, 150)), random.gamma(2.0, 1.0, (RUNS, 250))
    misses_fit(*interval(mean_of(candidate), mean_of(control)), 1.0)


def test_relative_means() -> None:
    random = np.random.default_rng(2)
    effect = effect_of(mean_of(random.gamma(4.0, 1.1, (RUNS, 300))), mean_of(random.gamma(4.0, 1.0, (RUNS, 300))))
    half = 1.959964 * np.sqrt(effect.relative_variance)
    misses_fit(effect.relative - half, effect.relative + half, 0.1)


def test_means_adjusted_by_a_covariate() -> None:
    random = np.random.default_rng(3)
    n = 200
    x = random.normal(0, 1, (2, RUNS, n))
    y = 0.8 * x + random.normal(0, 0.6, (2, RUNS, n))
    y[0] += 0.3
    total = y.sum(axis=(0, 2)), x.sum(axis=(0, 2)), (y * y).sum(axis=(0, 2)), (x * x).sum(axis=(0, 2))
    theta, rho2 = pooled_theta(*total, (x * y).sum(axis=(0, 2)), np.full(RUNS, 2.0 * n))
    overall = x.mean(axis=(0, 2))

    def arm(v: int) -> Arm:
        covariance = ((x[v] - x[v].mean(axis=1, keepdims=True)) * y[v]).sum(axis=1) / (n - 1)
        shift = x[v].mean(axis=1) - overall
        return mean_arm(
            np.full(RUNS, n), y[v].mean(axis=1), y[v].var(axis=1, ddof=1), shift, theta, covariance,
            x[v].var(axis=1, ddof=1),
        )  # fmt: skip

    misses_fit(*interval(arm(0), arm(1)), 0.3)
    assert 0.5 < rho2.mean() < 0.7
    plain = interval(mean_of(y[0]), mean_of(y[1]))
    adjusted = interval(arm(0), arm(1))
    assert (adjusted[1] - adjusted[0]).mean() < 0.75 * (plain[1] - plain[0]).mean()


def proportion_arms(seed: int, p_c: float, p_b: float, n: int) -> tuple[Arm, Arm]:
    random = np.random.default_rng(seed)
    shares = random.binomial(n, p_c, RUNS) / n, random.binomial(n, p_b, RUNS) / n
    size = np.full(RUNS, float(n))
    return Arm(shares[0], shares[0] * (1 - shares[0]), size), Arm(shares[1], shares[1] * (1 - shares[1]), size)


def test_proportions() -> None:
    candidate, control = proportion_arms(4, 0.13, 0.10, 1000)
    misses_fit(*newcombe_interval(candidate, control, ALPHA), 0.03)
    effect = proportion_effect(candidate, control)
    half = 1.959964 * np.sqrt(effect.relative_variance)
    misses_fit(np.log1p(effect.relative) - half, np.log1p(effect.relative) + half, np.log(1.3))


def test_ratios_of_sums() -> None:
    random = np.random.default_rng(5)
    n = 400

    def arm(rate: float) -> Arm:
        sessions = 1 + random.poisson(3.0, (RUNS, n))
        # Clicks of one learner hang together: a test that took sessions as independent would be too sure.
        clicks = random.poisson(sessions * random.gamma(2.0, rate / 2.0, (RUNS, n)))
        joint = (clicks - clicks.mean(axis=1, keepdims=True)) * sessions
        return ratio_arm(
            np.full(RUNS, n), clicks.mean(axis=1), sessions.mean(axis=1), clicks.var(axis=1, ddof=1),
            sessions.var(axis=1, ddof=1), joint.sum(axis=1) / (n - 1),
        )  # fmt: skip

    misses_fit(*interval(arm(0.6), arm(0.5)), 0.1)


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantiles(q: float) -> None:
    random = np.random.default_rng(6)
    candidate = quantile_arm(random.exponential(1.2, (RUNS, 500)), q)
    control = quantile_arm(random.exponential(1.0, (RUNS, 500)), q)
    effect = effect_of(candidate, control)
    half = 1.959964 * np.sqrt(effect.variance)
    misses_fit(effect.difference - half, effect.difference + half, -0.2 * np.log(1 - q))


def censored(random: np.random.Generator, scale: float, n: int) -> tuple[Floats, Floats]:
    time, end = random.exponential(scale, n), random.uniform(0.2, 3.0, n)
    return np.minimum(time, end), (time <= end).astype(np.float64)


def test_shares_free_of_an_event_at_a_horizon() -> None:
    random = np.random.default_rng(7)
    rows = []
    for _ in range(RUNS):
        arms = [survival_arm(*censored(random, scale, 250), 1.0) for scale in (1.5, 1.0)]
        rows.append([[float(part) for part in arm] for arm in arms])
    candidate, control = (Arm(*np.array(rows)[:, side].T) for side in (0, 1))
    effect = effect_of(candidate, control)
    half = 1.959964 * np.sqrt(effect.variance)
    misses_fit(effect.difference - half, effect.difference + half, np.exp(-1 / 1.5) - np.exp(-1.0))


def test_hazard_ratios() -> None:
    random = np.random.default_rng(8)
    outcome = parse_outcome("churn=time:days,came")
    design = Design((outcome,))
    found = []
    for _ in range(SLOW_RUNS):
        (time_c, came_c), (time_b, came_b) = censored(random, 1.5, 150), censored(random, 1.0, 150)
        table = {
            "unit": np.arange(300),
            "variant": np.repeat([1, 0], 150),
            "days": np.r_[time_c, time_b],
            "came": np.r_[came_c, came_b],
        }
        (one,) = compare_hazards(read_units(table, design), outcome, None, 1, ALPHA)
        found.append((one.low[0], one.high[0]))
    low, high = np.array(found).T
    misses_fit(low, high, np.log(1 / 1.5))


def test_formulas_by_the_bootstrap() -> None:
    random = np.random.default_rng(9)
    outcome = parse_outcome("value=formula:revenue / (1 - kept)")
    design = Design((outcome,))
    found, n = [], 400
    for run in range(SLOW_RUNS):
        table = {
            "unit": np.arange(2 * n) + run * 10_000,
            "variant": np.repeat([1, 0], n),
            "revenue": np.r_[random.exponential(1.1, n), random.exponential(1.0, n)],
            "kept": random.random(2 * n) < 0.6,
        }
        units = read_units(table, design)
        (one,) = compare_cells(outcome, cells_of(units, [outcome])["value"], ALPHA)
        found.append((one.low[0], one.high[0]))
    low, high = np.array(found).T
    misses_fit(low, high, 0.1 / 0.4)


def looks_at_a_null(seed: int, looks: int, per_look: int) -> tuple[Floats, Floats, Floats]:
    """(z, estimates, units of both arms) by run and look, of two arms of exponential outcomes without an effect."""
    random = np.random.default_rng(seed)
    n = per_look * np.arange(1, looks + 1)
    estimates, variances = np.empty((RUNS, looks)), np.empty((RUNS, looks))
    # The sum of m exponentials is a gamma; sums of squares are needed only for a variance that is near 1 throughout.
    for first in range(0, RUNS, 250):
        part = slice(first, min(first + 250, RUNS))
        draws = random.exponential(1.0, (2, part.stop - part.start, looks, per_look)).astype(np.float32)
        sums = np.cumsum(draws.sum(axis=3, dtype=np.float64), axis=2)
        squares = np.cumsum((draws * draws).sum(axis=3, dtype=np.float64), axis=2)
        spread = (squares - sums**2 / n) / (n - 1)
        estimates[part] = (sums[0] - sums[1]) / n
        variances[part] = spread.sum(axis=0) / n
    return estimates / np.sqrt(variances), estimates, np.broadcast_to(2.0 * n, estimates.shape)


def test_group_sequential_looks_spend_their_alpha_and_no_more() -> None:
    z, _, _ = looks_at_a_null(10, 5, 200)
    limits = np.array(boundaries((0.2, 0.4, 0.6, 0.8, 1.0), ALPHA))
    rejections = int((np.abs(z) >= limits).any(axis=1).sum())
    fewest, most = rejection_band(RUNS, ALPHA, 0.999)
    assert fewest <= rejections <= most


def test_the_always_valid_reading_holds_under_peeking_and_the_fixed_one_does_not() -> None:
    """The twin: the same data at the same looks, with the normal quantile."""
    z, estimates, units = looks_at_a_null(11, 40, 100)
    variance = (estimates / z) ** 2
    multiplier = always_valid_multiplier(units, ALPHA, 5000.0)
    outside = np.abs(z) >= multiplier
    _, most = rejection_band(RUNS, ALPHA, 0.999)
    assert int(outside.any(axis=1).sum()) <= most
    assert int((np.abs(z) >= 1.959964).any(axis=1).sum()) > 3 * most
    effect = effect_of(Arm(*(np.zeros(1),) * 2, np.ones(1)), Arm(*(np.zeros(1),) * 2, np.ones(1)))
    log_e = always_valid_log_e(effect._replace(difference=estimates, variance=variance), units, ALPHA, 5000.0)
    np.testing.assert_array_equal(log_e >= np.log(1 / ALPHA), outside)


def test_group_sequential_intervals_cover_at_every_look() -> None:
    """Repeated intervals: estimate +- boundary x standard error, all of them at once."""
    z, _, _ = looks_at_a_null(12, 3, 300)
    limits = np.array(boundaries((1 / 3, 2 / 3, 1.0), ALPHA))
    misses = int((np.abs(z) > limits).any(axis=1).sum())
    fewest, most = rejection_band(RUNS, ALPHA, 0.999)
    assert fewest <= misses <= most


@pytest.mark.parametrize("test", [lambda c, b: fixed_log_p(effect_of(c, b))])
def test_p_values_of_a_null_are_uniform(test: Callable[[Arm, Arm], Floats]) -> None:
    random = np.random.default_rng(13)
    p = np.exp(test(mean_of(random.normal(0, 1, (RUNS, 40))), mean_of(random.normal(0, 3, (RUNS, 60)))))
    for alpha in (0.01, 0.05, 0.2):
        fewest, most = rejection_band(RUNS, alpha, 0.999)
        assert fewest <= int((p < alpha).sum()) <= most
