"""More of the same is more evidence, totals are all that counts where theory says so, and units do not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from covey.rollout.verify.judge import clopper_pearson
from covey.stats import (
    asymptotic_cs,
    bernoulli_level,
    design_effect,
    e_bh,
    heterogeneity,
    mixture_sprt,
    multinomial_srm,
    rate_ratio,
    rate_ratio_interval,
    ratio_delta,
)

ROLLOUTS, TICKS = 1500, 120


@settings(max_examples=60)
@given(st.integers(0, 2000), st.integers(1, 200), st.floats(0.02, 0.98))
def test_a_split_further_from_the_plan_is_more_evidence(total: int, more: int, share: float) -> None:
    """Beyond the plan every learner on the same side counts against it, for totals of one size."""
    beyond = math.ceil(share * total)
    assume(beyond + more <= total)
    near, far = (multinomial_srm([mine, total - mine], [share, 1 - share]) for mine in (beyond, beyond + more))
    assert far >= near - 1e-9


@settings(max_examples=60)
@given(st.floats(0, 5), st.floats(0, 5), st.floats(0.01, 10), st.floats(0.01, 4))
def test_a_larger_difference_is_more_evidence(one: float, other: float, variance: float, tau2: float) -> None:
    low, high = sorted((one, other))
    assert mixture_sprt(high, variance, tau2) >= mixture_sprt(low, variance, tau2) - 1e-12
    assert mixture_sprt(-high, variance, tau2) == mixture_sprt(high, variance, tau2)


@settings(max_examples=60)
@given(
    st.floats(-5, 5), st.floats(-5, 5), st.floats(0.01, 9), st.integers(2, 10**6), st.sampled_from([0.01, 0.05, 0.2])
)
def test_confidence_sequences_follow_the_mean_and_narrow(
    mean: float, shift: float, variance: float, n: int, alpha: float
) -> None:
    lower, upper = asymptotic_cs(mean, variance, n, alpha)
    moved = asymptotic_cs(mean + shift, variance, n, alpha)
    assert moved[0] == pytest.approx(lower + shift, abs=1e-6)
    assert moved[1] == pytest.approx(upper + shift, abs=1e-6)
    later, noisier, surer = (
        asymptotic_cs(mean, variance, 4 * n, alpha),
        asymptotic_cs(mean, 2 * variance, n, alpha),
        asymptotic_cs(mean, variance, n, alpha / 2),
    )
    width = upper - lower
    assert later[1] - later[0] < width < noisier[1] - noisier[0]
    assert surer[1] - surer[0] > width


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.floats(0.05, 0.9))
def test_intervals_of_ratios_follow_the_events(x: int, y: int, more: int, share: float) -> None:
    lower, upper = rate_ratio_interval(x, y, share, alpha=0.05)
    worse = rate_ratio_interval(x + more, y, share, alpha=0.05)
    better = rate_ratio_interval(x, y + more, share, alpha=0.05)
    assert worse[0] >= lower - 1e-9
    assert worse[1] >= upper - 1e-9
    assert better[0] <= lower + 1e-9
    assert better[1] <= upper + 1e-9


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(10, 90)), min_size=2, max_size=12), st.integers(1, 11))
def test_levels_need_totals_only(ticks: list[tuple[int, int]], cut: int) -> None:
    """However ticks are merged; the ratio's may be where the share stays, and the design effect's must not be."""
    x, n = (np.array(column) for column in zip(*ticks, strict=True))
    cut = min(cut, len(x) - 1)
    merged = [np.array([column[:cut].sum(), column[cut:].sum()]) for column in (x, n)]
    for side in ("greater", "less"):
        whole = bernoulli_level(x.cumsum(), n.cumsum(), 0.1, alternative=side)[-1]  # type: ignore[arg-type]
        assert bernoulli_level(merged[0].sum(), merged[1].sum(), 0.1, alternative=side) == whole  # type: ignore[arg-type]
    ratios = [rate_ratio(a, b, 0.2, ratios=[2.0, 5.0]) for a, b in ((x, n), (merged[0], merged[1]))]
    assert ratios[0] == pytest.approx(ratios[1], abs=1e-9)


def test_the_design_effect_needs_ticks_as_they_came() -> None:
    random = np.random.default_rng(1)
    events = random.binomial(100, random.beta(1, 99, 400)).astype(float)
    trials = np.full(400, 100.0)
    apart = design_effect(events, trials)
    assert apart > 1.5
    # The same failures cut into halves of ticks: a burst is no longer one count.
    halves = np.repeat(events / 2, 2)
    assert design_effect(halves, np.repeat(trials / 2, 2)) < apart


@pytest.mark.parametrize("side", ["two", "lower", "upper"])
def test_confidence_sequences_seldom_miss_at_any_look(side: str) -> None:
    """From 100 observations on: the guarantee is asymptotic."""
    x = np.random.default_rng(8).exponential(size=(ROLLOUTS, 20 * TICKS))
    n = np.arange(1, x.shape[1] + 1)
    mean = x.cumsum(axis=1) / n
    variance = np.maximum((x**2).cumsum(axis=1) / n - mean**2, 1e-9)
    lower, upper = asymptotic_cs(mean, variance, n, 0.05, side=side)  # type: ignore[arg-type]
    missed = ((lower > 1) | (upper < 1))[:, 300:].any(axis=1)
    assert clopper_pearson(int(missed.sum()), ROLLOUTS, 0.9999)[0] <= 0.05


@settings(max_examples=30)
@given(st.floats(-3, 3), st.floats(0.05, 2), st.floats(0.05, 2))
def test_the_mixture_is_the_integral_over_its_prior(difference: float, variance: float, tau2: float) -> None:
    def ratio(effect: float) -> float:
        at = norm.logpdf(difference, effect, math.sqrt(variance)) - norm.logpdf(difference, 0, math.sqrt(variance))
        return float(np.exp(at) * norm.pdf(effect, 0, math.sqrt(tau2)))

    value = quad(ratio, -12 * math.sqrt(tau2), 12 * math.sqrt(tau2), limit=400, points=[0.0, difference])[0]
    assert float(mixture_sprt(difference, variance, tau2)) == pytest.approx(math.log(value), abs=1e-6)


@settings(max_examples=40)
@given(st.lists(st.floats(-2, 8), min_size=1, max_size=12))
def test_fewer_hypotheses_or_more_alpha_reject_no_less(log_e: list[float]) -> None:
    few, many = set(e_bh(log_e, 0.05).tolist()), set(e_bh(log_e, 0.2).tolist())
    assert few <= many
    assert set(e_bh([*log_e, -5.0], 0.05).tolist()) <= few


@settings(max_examples=40)
@given(st.floats(0.5, 5), st.floats(0.5, 5), st.floats(0.1, 4), st.integers(2, 1000), st.floats(0.01, 100))
def test_relative_effects_have_no_unit(mine: float, other: float, variance: float, n: int, unit: float) -> None:
    plain = ratio_delta(mine, variance, n, other, variance, n)
    scaled = ratio_delta(unit * mine, unit**2 * variance, n, unit * other, unit**2 * variance, n)
    assert scaled[0] == pytest.approx(plain[0], rel=1e-9, abs=1e-9)
    assert scaled[1] == pytest.approx(plain[1], rel=1e-9)


def test_the_bound_of_the_spread_misses_seldom() -> None:
    random, missed = np.random.default_rng(9), 0
    for _ in range(400):
        errors = random.uniform(0.02, 0.05, 8)
        effects = random.normal(0.0, 0.03, 8) + random.normal(size=8) * errors
        missed += heterogeneity(effects, errors).tau_upper < 0.03
    assert clopper_pearson(missed, 400, 0.9999)[0] <= 0.05
