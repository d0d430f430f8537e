"""Revenue, engagement and segments from moments."""

from __future__ import annotations

import pytest

from covey.rollout.state import State
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import OutcomeMoments, Verdict

from .world import SHORT_PLAN, World, ended, started

TEXT = (
    SHORT_PLAN.replace("hold: 20s", "hold: 40s\n    max_hold: 10m")
    .replace("- p99 < 200 ms", "- revenue > -3 %\n      - segments(engagement) < 5 %")
    .replace("- statement: critical_incidents > 0", "- statement: revenue < -5 %\n    sustained: 5s")
)


def moments(metric: str, variant: str, mean: float, learners: int, segment: str = "") -> OutcomeMoments:
    """Of values with a standard deviation of 1, centred at 2."""
    total = (mean - 2) * learners
    squares = learners - 1 + total**2 / learners
    return OutcomeMoments(
        metric=metric,
        variant=variant,
        segment=segment,
        learner_count=learners,
        sum=total,
        sum_of_squares=squares,
        center=2,
        nonzero_count=learners // 2,
    )


def world_with(effect: float, learners: int, segment_effects: tuple[float, ...] = (0.0, 0.0, 0.0)) -> World:
    world = started(TEXT, requests_per_second=1000)
    for variant, relative in (("variants/native", 1 + effect), ("variants/reference", 1.0)):
        world.outcomes.append(moments("revenue", variant, 2 * relative, learners))
    for index, own in enumerate(segment_effects):
        world.outcomes.append(moments("engagement", "variants/native", 2 * (1 + own), learners, f"s{index}"))
        world.outcomes.append(moments("engagement", "variants/reference", 2.0, learners, f"s{index}"))
    return world


def verdict_of(world: World, statement: str) -> Verdict:
    return next(found for found in current_verdicts(world.journal.state) if found.statement == statement)


def test_many_learners_without_an_effect_pass() -> None:
    world = world_with(0.0, 100_000)
    world.run(lambda state: state.phase == "rollout" or state.is_terminal)
    entered = [entry.phase_entered for entry in world.journal.entries if entry.HasField("phase_entered")][-1]
    results = {verdict.statement: verdict for verdict in entered.verdicts}
    assert results["revenue > -3 %"].result == Verdict.RESULT_PASS
    assert results["revenue > -3 %"].lower > -0.03
    assert results["segments(engagement) < 5 %"].result == Verdict.RESULT_PASS
    assert results["revenue < -5 %"].result == Verdict.RESULT_PASS


@pytest.mark.parametrize("learners", [50, 2_000])
def test_few_learners_are_not_enough(learners: int) -> None:
    world = world_with(0.0, learners)
    for _ in range(60):
        world.look()
    for statement in ("revenue > -3 %", "segments(engagement) < 5 %"):
        verdict = verdict_of(world, statement)
        assert verdict.result == Verdict.RESULT_INSUFFICIENT
        assert "not enough evidence" in verdict.sentence
    assert world.journal.state.state == State.STATE_HOLDING


def test_lost_revenue_rolls_back() -> None:
    world = world_with(-0.2, 50_000)
    state = world.run(ended)
    assert state.state == State.STATE_ROLLED_BACK
    started_back = next(entry.rollback_started for entry in world.journal.entries if entry.HasField("rollback_started"))
    assert started_back.statement == "revenue < -5 %"
    assert "-20 %" in started_back.explanation


def test_the_burn_in_keeps_a_wild_first_look_from_rolling_back() -> None:
    world = world_with(-0.2, 50_000)
    for _ in range(20):
        world.look()
    assert world.journal.state.in_phase
    assert verdict_of(world, "revenue < -5 %").literal_rule_holds
    assert "30 looks" in verdict_of(world, "revenue < -5 %").sentence


def test_segments_that_differ_are_refuted() -> None:
    world = world_with(0.0, 100_000, (0.3, -0.3, 0.0))
    world.run(ended)
    verdict = verdict_of(world, "segments(engagement) < 5 %")
    assert verdict.result == Verdict.RESULT_FAIL
    assert "differs by" in verdict.sentence


def test_a_baseline_that_earns_nothing_gives_no_ratio() -> None:
    world = world_with(0.0, 1000)
    world.outcomes[1].CopyFrom(moments("revenue", "variants/reference", 0.0, 1000))
    for _ in range(3):
        world.look()
    assert "no outcomes" in verdict_of(world, "revenue > -3 %").sentence
