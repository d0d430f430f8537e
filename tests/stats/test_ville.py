"""What every e-process promises: seldom large under its null however often one looks, whatever the load."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import fixed_quad, quad
from scipy.stats import beta, binom

from covey.rollout.verify.judge import clopper_pearson
from covey.stats import (
    ADVANCE_RATIOS,
    ROLLBACK_RATIOS,
    bernoulli_level,
    level_increments,
    mixture_sprt,
    multinomial_srm,
    over_start_times,
    rate_ratio,
    rate_ratio_increments,
)

ROLLOUTS, TICKS, ALPHA = 1500, 120, 0.05


def assert_seldom(log_e: np.ndarray, alpha: float = ALPHA) -> None:
    """Not more of the rows ever reach 1 / alpha than chance allows where alpha is the truth."""
    found = int((log_e.max(axis=-1) >= math.log(1 / alpha)).sum())
    assert clopper_pearson(found, len(log_e), 0.9999)[0] <= alpha, f"{found} of {len(log_e)}"


def counts(rate: float, mean: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    trials = random.poisson(mean * (1 + 0.5 * np.sin(np.arange(TICKS) / 9)), (ROLLOUTS, TICKS))
    return random.binomial(trials, rate), trials


@pytest.mark.parametrize(("rate", "mean"), [(0.015, 20), (0.015, 400), (0.3, 20)])
def test_levels_and_their_mixtures_over_start_times(rate: float, mean: float) -> None:
    events, trials = counts(rate, mean, 1)
    steps = level_increments(events, trials, rate)
    assert_seldom(over_start_times(steps, planned_ticks=60))
    assert_seldom(over_start_times(steps, planned_ticks=TICKS, share_at_start=1.0))


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize(("rate", "mean"), [(0.01, 50), (0.4, 8)])
def test_bernoulli_level(alternative: str, rate: float, mean: float) -> None:
    events, trials = (array.cumsum(axis=1) for array in counts(rate, mean, 2))
    assert_seldom(bernoulli_level(events, trials, rate, alternative=alternative))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.0025, 0.05])
@pytest.mark.parametrize(("ratio", "share"), [(1.0, 0.01), (1.0, 0.5), (2.0, 0.01), (2.0, 0.1)])
def test_ratios_of_rates_up_to_five_percent(rate: float, ratio: float, share: float) -> None:
    """At the null's edge, both ways; the share of the traffic changes midway."""
    random = np.random.default_rng(3)
    shares = np.where(np.arange(TICKS) < TICKS // 2, share, min(0.5, 3 * share))
    mine = random.poisson(4000 * shares, (ROLLOUTS, TICKS))
    theirs = random.poisson(4000 * (1 - shares), (ROLLOUTS, TICKS))
    x, y = random.binomial(mine, rate), random.binomial(theirs, rate / ratio)
    s = mine / np.maximum(mine + theirs, 1)
    rollback = rate_ratio_increments(x, y, s, ratio, ratios=np.array(ROLLBACK_RATIOS) * ratio)
    assert_seldom(over_start_times(rollback, planned_ticks=TICKS))
    if ratio > max(ADVANCE_RATIOS):
        advance = rate_ratio_increments(x, y, s, ratio, ratios=ADVANCE_RATIOS)
        assert_seldom(over_start_times(advance, planned_ticks=TICKS, share_at_start=1.0))


@pytest.mark.parametrize("planned", [(0.01, 0.99), (0.2, 0.3, 0.5)])
def test_splits(planned: tuple[float, ...]) -> None:
    random = np.random.default_rng(4)
    learners = random.multinomial(random.poisson(60, (ROLLOUTS, TICKS)), planned).cumsum(axis=1)
    assert_seldom(multinomial_srm(learners, planned, 500))


def test_mixture_sprt() -> None:
    variance = 1 / np.arange(1, TICKS + 1)
    means = np.random.default_rng(5).normal(size=(ROLLOUTS, TICKS)).cumsum(axis=1) * variance
    assert_seldom(mixture_sprt(means, variance, 0.05))


@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.01, 0.9), st.sampled_from(["greater", "less"]))
def test_bernoulli_level_is_the_integral_over_its_prior(events: int, others: int, p0: float, side: str) -> None:
    prior = beta(20 * p0, 20 * (1 - p0))
    low, high, mass = (p0, 1.0, prior.sf(p0)) if side == "greater" else (0.0, p0, prior.cdf(p0))

    def integrand(u: np.ndarray) -> np.ndarray:
        # Substituted so that a density that is infinite at an end does no harm.
        left, right = u**8, (1 - u) ** 8
        # Rounded, it may lie a last bit beyond 1, where nothing is defined.
        q = np.minimum(low + (high - low) * left / (left + right), np.nextafter(1.0, 0.0))
        slope = (high - low) * 8 * (u * (1 - u)) ** 7 / (left + right) ** 2
        at_null = binom.logpmf(events, events + others, p0)
        density: np.ndarray = np.exp(binom.logpmf(events, events + others, q) - at_null) * prior.pdf(q) / mass * slope
        return density

    value, _ = fixed_quad(integrand, 0.0, 1.0, n=400)
    found = bernoulli_level(events, events + others, p0, alternative=side, prior=20.0)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(math.log(value), abs=1e-8)


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.1, 0.9))
def test_the_split_is_the_integral_over_its_prior(mine: int, other: int, share: float) -> None:
    prior = beta(30 * share, 30 * (1 - share))
    total = mine + other
    value = quad(
        lambda q: np.exp(binom.logpmf(mine, total, q) - binom.logpmf(mine, total, share)) * prior.pdf(q),
        0,
        1,
        points=[share, (mine + 1) / (total + 2)],
        limit=400,
    )[0]
    assert float(multinomial_srm([mine, other], [share, 1 - share], 30)) == pytest.approx(math.log(value), abs=1e-6)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=8), st.floats(0.02, 0.9))
def test_the_mixture_of_ratios_is_the_mean_of_likelihood_ratios(ticks: list[tuple[int, int]], share: float) -> None:
    x, y = (np.array(side) for side in zip(*ticks, strict=True))
    found = rate_ratio(x, y, share, ratios=ROLLBACK_RATIOS)

    def likelihood(ratio: float) -> float:
        theta = ratio * share / (ratio * share + 1 - share)
        return float(np.exp(binom.logpmf(x, x + y, theta).sum()))

    brute = np.mean([likelihood(ratio) for ratio in ROLLBACK_RATIOS]) / likelihood(1.0)
    assert float(found) == pytest.approx(math.log(brute), abs=1e-8)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(5, 60)), min_size=1, max_size=10),
    st.integers(0, 9),
    st.floats(0.01, 0.3),
)
def test_one_more_event_is_never_less_evidence_of_harm(ticks: list[tuple[int, int]], where: int, p0: float) -> None:
    events, trials = (np.array(side) for side in zip(*ticks, strict=True))
    more = events.copy()
    more[where % len(more)] += 1
    trials = np.maximum(trials, more)
    before, after = (over_start_times(level_increments(x, trials, p0), planned_ticks=5)[-1] for x in (events, more))
    assert after >= before
    mine, rival = (
        over_start_times(rate_ratio_increments(x, trials, 0.3, ratios=ROLLBACK_RATIOS), planned_ticks=5)[-1]
        for x in (events, more)
    )
    assert rival >= mine


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(5, 60)), min_size=2, max_size=10),
    st.integers(1, 9),
)
def test_ticks_before_any_start_may_be_merged_and_empty_ones_only_wait(ticks: list[tuple[int, int]], cut: int) -> None:
    """With all mass on the start the grouping of ticks does not matter; with start times it does, and may."""
    events, trials = (np.array(side) for side in zip(*ticks, strict=True))
    cut = min(cut, len(events))
    merged = [np.append(side[:cut].sum(), side[cut:]) for side in (events, trials)]
    whole, shorter = (
        over_start_times(level_increments(*series, 0.02), planned_ticks=5, share_at_start=1.0)[-1]
        for series in ((events, trials), merged)
    )
    assert shorter == pytest.approx(whole, abs=1e-8)
    nothing = over_start_times(np.zeros((7, 3)), planned_ticks=4)
    assert nothing == pytest.approx(0.0, abs=1e-9)
