"""`covey gates verify` holds for the gates as they are, and finds each way to break them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from covey.report.gates_picture import draw
from covey.rollout.verify.gate import Broken
from covey.rollout.verify.judge import clopper_pearson, judge_world
from covey.rollout.verify.latency import edge_above
from covey.rollout.verify.run import Task, tasks_of, verify
from covey.rollout.verify.simulate import Block, run_block
from covey.rollout.verify.traffic import Traffic
from covey.rollout.verify.words import tables_of
from covey.rollout.verify.worlds import LOOKS, SHARDS, Claim, Kind, World, all_worlds

WORLDS = {world.name: world for world in all_worlds()}


def test_worlds_are_told_apart_and_healthy_ones_promise_something() -> None:
    assert len(WORLDS) == len(all_worlds())
    unpromised = {name for name, world in WORLDS.items() if world.is_healthy and not world.claims}
    assert {name.partition(":")[0] for name in unpromised} == {
        "half of the margin",
        "exactly at the limit",  # for learners who differ much, and are few
        "500 learners, CV 3, exactly at the limit of 1.5 %",
    }


@pytest.mark.parametrize(("found", "rollouts"), [(0, 10_000), (37, 10_000), (300, 300), (5, 7)])
def test_bounds_are_those_of_clopper_and_pearson(found: int, rollouts: int) -> None:
    lower, upper = clopper_pearson(found, rollouts)
    assert lower == pytest.approx(beta.ppf(0.01, found, rollouts - found + 1) if found else 0.0)
    assert upper == pytest.approx(beta.ppf(0.99, found + 1, rollouts - found) if found < rollouts else 1.0)


@pytest.mark.parametrize(("found", "rollouts"), [(2, 1), (-1, 5), (0, 0)])
def test_impossible_counts_are_refused(found: int, rollouts: int) -> None:
    with pytest.raises(ValueError, match="found is"):
        clopper_pearson(found, rollouts)


def test_a_claim_holds_up_to_its_bound() -> None:
    world = World("w", claims=(Claim("g", Kind.FALSE, 0.01), Claim("g", Kind.MEDIAN_MINUTES, 3.0)))
    first = np.zeros(10_000, dtype=np.int16)
    first[:70] = 6
    assert judge_world(world, [Block("w", first.size, {"g": first})], full=True).holds
    first[:95] = 6
    assert not judge_world(world, [Block("w", first.size, {"g": first})], full=True).holds
    first[:] = 0
    first[:70] = 7
    assert not judge_world(world, [Block("w", first.size, {"g": first})], full=True).holds


def test_decisions_before_harm_set_in_are_not_finds() -> None:
    world = World("w", ratio=3.0, onset_tick=100, claims=(Claim("g", Kind.POWER, 0.5),))
    first = np.array([0, 50, 100, 101, 120], dtype=np.int16)
    result = judge_world(world, [Block("w", 5, {"g": first})], full=True)
    assert result.rates["g"].found == 2
    assert result.rates["g"].median_minutes == pytest.approx(5.25)
    assert not result.holds


def test_traffic_has_the_rates_and_the_bursts_of_its_world() -> None:
    world = World("w", error_rate=0.02, requests_per_tick=200, ratio=2.0, correlation=0.01)
    traffic = Traffic(world, 400, np.random.default_rng(1))
    ticks = [traffic.tick(number) for number in range(1, 41)]
    trials = np.stack([tick.candidate_trials for tick in ticks])
    events = np.stack([tick.candidate_events for tick in ticks])
    assert trials.mean() == pytest.approx(200, rel=0.01)
    assert events.sum() / trials.sum() == pytest.approx(0.04, rel=0.03)
    slices = np.stack([tick.shard_events[:, 0] for tick in ticks])
    expected = 198 * 0.02
    assert slices.mean() == pytest.approx(expected, rel=0.03)
    assert slices.var() / expected == pytest.approx(1 + 198 * 0.01 * 0.98, rel=0.1)


def test_a_missing_page_comes_with_the_next() -> None:
    world = World("w", missing=0.4)
    traffic = Traffic(world, 200, np.random.default_rng(2))
    trials = np.stack([traffic.tick(number).candidate_trials for number in range(1, 101)])
    assert 0.35 < (trials == 0).mean() < 0.45
    assert trials.sum() == pytest.approx(100 * 100 * 200, rel=0.02)


def test_learners_that_differ_make_lasting_differences() -> None:
    world = World("w", error_rate=0.02, learner_variation=3.0)
    traffic = Traffic(world, 2000, np.random.default_rng(3))
    ticks = [traffic.tick(number) for number in range(1, 61)]
    rates = sum(tick.candidate_events for tick in ticks) / sum(tick.candidate_trials for tick in ticks)
    lasting = rates.var() / rates.mean() ** 2 - 1 / (rates.mean() * 6000)
    assert math.sqrt(lasting) == pytest.approx(3 / math.sqrt(500), rel=0.1)


def test_the_threshold_is_that_of_the_live_gate() -> None:
    from covey.rollout.gates.look import Durations

    counts = np.random.default_rng(4).poisson([900.0, 60, 20, 10, 5, 3, 2, 1], (50, 8)).astype(float)
    counts[0] = 0
    counts[1, -1] = 1000
    edges = tuple(0.1 * (number + 1) for number in range(7))
    live = [Durations(edges, row).edge_above(0.01) for row in counts]
    assert edge_above(counts).tolist() == [-1 if edge is None else edge for edge in live]


def test_a_block_is_the_same_wherever_it_runs() -> None:
    task = Task(WORLDS["healthy, 0.5 % errors, rc 100"], 20, (1, 2, 3))
    one, other = task.run(), task.run()
    assert {name: first.tolist() for name, first in one.first.items()} == {
        name: first.tolist() for name, first in other.first.items()
    }


def test_every_world_has_a_row_whether_it_promises_something_or_not(tmp_path: Path) -> None:
    tasks = [Task(world, 2, (1, number, 0)) for number, world in enumerate(WORLDS.values())]
    result = verify(tasks, full=True, seed=1)
    text = "\n".join(tables_of(result))
    assert [name for name in WORLDS if f"| {name} |" not in text] == []
    draw(result, tmp_path / "gates.svg")
    assert (tmp_path / "gates.svg").stat().st_size > 1000


def test_the_smoke_run_passes_and_says_so_in_tables() -> None:
    result = verify(tasks_of(full=False, seed=1), full=False, seed=1)
    assert result.holds, [line for line in tables_of(result) if "saw" in line]
    text = "\n".join(tables_of(result))
    assert "healthy, 0.5 % errors, rc 100" in text
    assert "| NO |" not in text
    data = result.as_data()
    assert data["holds"] is True
    assert data["looks_per_rollout"] == LOOKS
    beside = next(found for found in result.results if found.world.name == "healthy, 0.5 % errors, rc 100")
    assert beside.rates["any tick"].share > 0.9
    assert beside.rates["last 2 min"].share > 0.3


SHOWN_IN = {
    Broken.START_WEIGHTS: "healthy, 0.5 % errors, rc 100",
    Broken.DESIGN_EFFECT: "bursts, correlation 0.01, one pool, rc 100",
    Broken.LEARNERS: "500 learners whose errors differ, CV 3",
    Broken.ADVANCE: "exactly at the margin: 0.17 % against 0.085 %, rc 1000",
    Broken.OUTCOMES: "engagement, CV 1, no effect, 100 learners a look",
    Broken.SEGMENTS: "8 segments alike, CV 1",
}


@pytest.mark.parametrize("broken", list(Broken), ids=lambda fault: fault.value)
def test_a_broken_gate_fails_the_smoke_run(broken: Broken) -> None:
    tasks = [task for task in tasks_of(full=False, seed=1, broken=broken) if task.world.name == SHOWN_IN[broken]]
    result = verify(tasks, full=False, seed=1)
    assert not result.holds
    assert any("| NO |" in line for line in tables_of(result))
    assert any("saw" in line for line in tables_of(result))


def test_what_nobody_gets_shows_nothing() -> None:
    world = World("w", requests_per_tick=0.0)
    block = run_block(world, 5, np.random.default_rng(0))
    assert not any(first.any() for first in block.first.values())
    assert SHARDS == 100
