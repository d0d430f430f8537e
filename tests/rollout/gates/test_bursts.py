"""Design effects: measured before the tick that they divide, on what is of the candidate's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.rollout.gates.bursts import Bursts, design_effects
from covey.rollout.gates.formulas import FEWEST_OWN_TICKS, DispersionSums
from covey.rollout.gates.look import Shards
from covey.stats import (
    ROLLBACK_RATIOS,
    design_effect,
    level_increments,
    over_start_times,
    rate_ratio_increments,
)

from ..lane import Array, Lane, plan_text, spread

RATE = 0.005
SHARDS = 100


def bursty(random: np.random.Generator, ticks: int, shards: int = SHARDS, trials: int = 90) -> list[Array]:
    """Errors by shard and tick; a tick's rate is Beta-distributed, so that they come together."""
    return [random.binomial(trials, np.full(shards, random.beta(0.5, 0.5 / RATE))) for _ in range(ticks)]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=40),
    st.integers(0, 40),
)
def test_running_sums_are_the_design_effect(ticks: list[tuple[int, int]], cut: int) -> None:
    first, second = DispersionSums.zeros((1,)), DispersionSums.zeros((1,))
    for number, (events, trials) in enumerate(ticks):
        step = np.array([float(events)]), np.array([float(trials)])
        if number < cut:
            first = first.plus(*step)
        else:
            second = second.plus(*step)
    x, n = np.array(ticks, dtype=float).T
    assert first.joined(second).effect()[0] == pytest.approx(design_effect(x, n), rel=1e-6)


@pytest.mark.parametrize("per_tick", [0.085, 0.5, 5.0])
def test_chance_is_no_burst_and_bursts_are_shown(per_tick: float) -> None:
    """Few events meet in one tick by chance, which looks like a burst: it must not cost evidence."""
    random = np.random.default_rng(7)
    calm = bursty_sums = DispersionSums.zeros((4000,))
    trials = np.full(4000, 100.0)
    for _ in range(120):
        calm = calm.plus(random.poisson(per_tick, 4000).astype(float), trials)
        rates = random.gamma(0.5, per_tick / 0.5, 4000)  # a burst in most ticks that have any failure
        bursty_sums = bursty_sums.plus(np.minimum(random.poisson(rates).astype(float), trials), trials)
    two_errors = 1 + 2 * np.sqrt(2 / 119)
    noise = (calm.shown_effect() > 1).mean()
    assert noise < 0.004
    assert noise < 0.2 * (calm.effect() > two_errors).mean(), "what the bound replaces would count more of it"
    if per_tick >= 0.5:
        assert (bursty_sums.shown_effect() > 1).mean() > 0.8


def test_the_slice_is_of_the_candidates_size() -> None:
    random = np.random.default_rng(4)
    looks = bursty(random, 60)
    trials = np.full(SHARDS, 90.0)
    bursts = Bursts.none(weights=3, metrics=2)
    for errors in looks:
        table = np.stack([trials, errors, np.zeros(SHARDS)])
        bursts = bursts.plus(table[1:].sum(axis=1), trials.sum(), Shards(table), (100, 1000, 10_000))
    table = np.stack(looks).astype(float)
    for number, (weight_bp, shards) in enumerate([(100, 1), (1000, 10), (10_000, SHARDS)]):
        mine = design_effect(table[:, :shards].sum(axis=1), np.full(60, 90.0 * shards))
        assert bursts.effects(number, weight_bp) == pytest.approx([float(mine), 1.0])


def test_without_shards_the_whole_is_scaled_to_the_candidates_size() -> None:
    random = np.random.default_rng(5)
    totals = [float(errors.sum()) for errors in bursty(random, 60)]
    bursts = Bursts.none(weights=1, metrics=2)
    for total in totals:
        bursts = bursts.plus(np.array([total, 0.0]), 9000.0, None, (1000,))
    whole = float(design_effect(np.array(totals), np.full(60, 9000.0)))
    assert whole > 3
    assert bursts.effects(0, 1000)[0] == pytest.approx(1 + (whole - 1) / 9)


def test_the_phases_own_bursts_count_from_the_tenth_tick() -> None:
    calm, own = Bursts.none(1, 2), Bursts.none(1, 2)
    for tick in range(FEWEST_OWN_TICKS + 5):
        calm = calm.plus(np.array([5.0, 0.0]), 1000.0, None, (5000,))
        found = design_effects(calm.effects(0, 5000), own, 0, 5000)[0]
        assert (found > 1) == (tick >= FEWEST_OWN_TICKS)
        own = own.plus(np.array([50.0 * (tick % 2), 0.0]), 1000.0, None, (5000,))


def test_each_ticks_increments_are_divided_before_they_are_mixed() -> None:
    """Ln E of a whole rollout, made again by the public functions of covey.stats from what each tick was given."""
    random = np.random.default_rng(6)
    lane = Lane(plan_text("error_rate > 1.5 %", share="10 %", hold="30m"))
    lane.wait([spread(10_000, errors) for errors in bursty(random, 130, trials=100)])
    assert lane.state.gates.over_start_times
    effects, counts = [], []
    for errors in bursty(random, 50):
        mine = random.binomial(10, 0.007, SHARDS)
        lane.tick(spread(1000, mine), spread(9000, errors))
        effects.append(lane.state.gates.effects[0])
        counts.append((mine.sum(), 1000, errors.sum(), 9000))
        assert lane.state.in_phase
    assert min(effects) > 1.05
    assert len(set(effects)) > 5, "it goes on being measured"
    assert lane.state.gates.learner_errors[0] <= 0.1
    x, n, y, m = np.array(counts, dtype=float).T
    by_tick = np.array(effects)[:, np.newaxis]
    levels = level_increments(x, n, 0.015) / by_tick
    ratios = rate_ratio_increments(x, y, n / (n + m), 1.0, ratios=ROLLBACK_RATIOS) / by_tick
    # The two looks in which the weight arrived brought nothing but time.
    for log_e, increments in zip(lane.state.gates.log_e[:, 0], (levels, ratios), strict=True):
        quiet = np.zeros((lane.state.gates.tick - len(x), increments.shape[-1]))
        expected = over_start_times(np.concatenate([quiet, increments]), planned_ticks=60)
        assert log_e == pytest.approx(expected[-1], rel=1e-9)
