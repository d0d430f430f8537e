"""What a plan can see: exact power against simulation through the same tests, and the figures of the design."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covey.rollout.outlook import (
    GOOD_POWER,
    CriterionOutlook,
    Traffic,
    count_grid,
    criteria_outlook,
    literal_alarm,
    triggers_outlook,
)
from covey.rollout.spec import load_spec
from covey.stats import bernoulli_level
from covey.v1.rollout_spec_pb2 import RolloutSpec

DEFAULT = Path(__file__).parents[2] / "examples" / "default-plan.yaml"
TRAFFIC = Traffic(42.0, error=0.0008, unavailable=0.0001, slow=0.002)


def default_plan() -> RolloutSpec:
    return load_spec(DEFAULT.read_text(), DEFAULT.name)


def criterion(statement: str, traffic: Traffic = TRAFFIC) -> CriterionOutlook:
    return next(row for row in criteria_outlook(default_plan(), traffic) if row.statement == statement)


def test_the_default_canary_needs_five_per_cent_or_six_hours() -> None:
    row = criterion("availability > 99.9 %")
    assert row.trials == 3024
    assert row.power == 0.0
    assert row.share == 0.05
    assert 6.0 <= row.seconds / 3600 <= 6.6


def test_a_baseline_beyond_the_limit_makes_the_gate_impossible() -> None:
    row = criterion("error_rate < 1 %", Traffic(42.0, error=0.02))
    assert "the baseline itself, at 2 %" in row.impossible
    assert row.power == 0.0


def test_without_requests_nothing_is_shown() -> None:
    row = criterion("error_rate < 1 %", Traffic(0.0, error=0.0008))
    assert (row.trials, row.power, row.seconds) == (0, 0.0, float("inf"))


def test_power_is_what_simulated_counts_say() -> None:
    traffic = Traffic(42.0, unavailable=0.0002)
    row = next(
        row
        for row in criteria_outlook(default_plan(), traffic)
        if (row.phase, row.statement) == ("ramp", "availability > 99.95 %")
    )
    events = np.random.default_rng(5).binomial(row.trials, 0.0002, 20_000)
    shown = bernoulli_level(events, np.full(events.shape, row.trials), 0.0005, alternative="less") >= np.log(20)
    assert row.power == pytest.approx(shown.mean(), abs=0.015)
    assert 0.2 < shown.mean() < 0.95


@pytest.mark.parametrize(("trials", "rate"), [(0, 0.1), (10, 0.0), (380, 0.001), (3024, 0.0008), (10**7, 0.002)])
def test_a_grid_of_counts_has_the_binomials_mean(trials: int, rate: float) -> None:
    counts, chances = count_grid(trials, rate)
    assert chances.sum() == pytest.approx(1.0)
    assert float((counts * chances).sum()) == pytest.approx(trials * rate, rel=0.01, abs=1e-9)


def test_more_traffic_sees_smaller_harm_sooner() -> None:
    def error_trigger(per_second: float) -> tuple[float, float]:
        traffic = Traffic(per_second, error=0.0008)
        row = next(row for row in triggers_outlook(default_plan(), traffic) if row.phase == "ramp")
        assert row.ratio is not None
        return row.ratio, row.triple_seconds

    small, large = error_trigger(20.0), error_trigger(200.0)
    assert large[0] < small[0]
    assert large[1] < small[1] < float("inf")


def test_a_literal_rule_has_its_price() -> None:
    text = DEFAULT.read_text().replace(
        "- statement: error_rate > 1.5 %\n    sustained: 2m",
        "- statement: error_rate > 1.5 %\n    sustained: 2m\n    literal: rollback\n    literal_minimum_count: 40",
    )
    spec = load_spec(text, "p.yaml")
    # 12.6 candidate requests a tick: one error is "beyond 1.5 %", four ticks in a row roll back.
    quiet, noisy = (literal_alarm(spec, 0, 0, Traffic(42.0, error=rate)) for rate in (0.0008, 0.01))
    assert 0 < quiet < 1e-4
    beyond = 1 - (1 - 0.01) ** 13
    random = np.random.default_rng(11).random((4000, 240)) < beyond
    runs = random[:, 3:] & random[:, 2:-1] & random[:, 1:-2] & random[:, :-3]
    assert noisy == pytest.approx(runs.any(axis=1).mean(), abs=0.02)
    assert GOOD_POWER > noisy > 0.01
