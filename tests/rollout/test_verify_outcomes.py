"""Outcomes and segments in the verification: as they are said to be, and judged as the live gates judge."""

from __future__ import annotations

import numpy as np
import pytest

from covey.rollout.outcomes import ArmSums, effects_of_sums, relative_effect, variance_against
from covey.rollout.verify.outcomes import GATES, SHAPES, OutcomeGate, closed_windows
from covey.rollout.verify.run import Task
from covey.rollout.verify.segments import SHARES
from covey.rollout.verify.worlds import LOOKS, Tried, World, all_worlds
from covey.v1.evidence_pb2 import OutcomeMoments, Verdict

from .lane import Lane, Part, plan_text

WORLDS = {world.name: world for world in all_worlds() if world.tried in (Tried.OUTCOME, Tried.SEGMENTS)}
CRITERIA = ("{statement: error_rate < 40 %, margin: 0}", "{statement: engagement > -3 %, accept_by: product}")
TICKS = 45
ROLLOUTS = 6


@pytest.mark.parametrize(("name", "variation"), [("engagement", 1.0), ("revenue", 11.6)])
def test_learners_bring_what_their_shape_says(name: str, variation: float) -> None:
    shape = SHAPES[name]
    mean, expected = shape.moments()
    assert expected == pytest.approx(variation, rel=0.01)
    closed = closed_windows(shape, 40_000, 1.0, 50, np.random.default_rng(1))
    (plain, capped), paying = (ArmSums(*kind) for kind in closed.sums), closed.nonzero
    n, total = plain.n.sum(), plain.y.sum()
    assert n == pytest.approx(50 * 40_000, rel=0.001)
    assert total / n == pytest.approx(mean, rel=0.02)
    assert np.sqrt(plain.yy.sum() / n / (total / n) ** 2 - 1) == pytest.approx(variation, rel=0.1)
    assert (capped.y <= plain.y).all()
    assert (capped.yy < plain.yy).any()
    assert (paying.sum() / n) == pytest.approx(0.02 if name == "revenue" else 0.8, rel=0.01)
    other = closed_windows(shape, 40_000, 1.0, 50, np.random.default_rng(2))
    explained = effects_of_sums(capped, ArmSums(*other.sums[1]), np.ones(50, dtype=bool)).explained
    assert explained.mean() > (0.1 if name == "revenue" else 0.2), "the covariate is worth something"


def test_an_estimate_that_chance_makes_fall_is_held_against_the_noise_of_the_limit() -> None:
    """With payers of CV 1.3 the delta method alone understates what a fall of 30 % by chance is worth."""
    own = variance_against(-0.3, 0.01, 0.007, 0.0)
    assert own == pytest.approx(0.01 + (1 - 0.49) * 0.007)
    assert variance_against(0.3, 0.01, 0.007, 0.0) == 0.01, "upwards it is large enough"
    generator = np.random.default_rng(5)
    gate = OutcomeGate(2000)
    for _ in range(30):
        arms = [closed_windows(SHAPES["revenue"], 400, 1.0, 2000, generator) for _ in range(2)]
        gate.look(*arms)
    effect = effects_of_sums(*(ArmSums(*gate.arms[arm, 1]) for arm in (0, 1)), np.zeros(2000, dtype=bool))
    careful = variance_against(effect.estimate, effect.variance, effect.baseline_part, 0.0)
    fallen = [np.mean(effect.estimate / np.sqrt(variance) < -2.33) for variance in (effect.variance, careful)]
    assert fallen[0] > 0.02, "twice what it should be"
    assert fallen[1] < 0.015


def moments(gate: OutcomeGate, row: int) -> list[OutcomeMoments]:
    """What a server would tell of one rollout, winsorised and with its covariate."""
    found = []
    for arm, variant in enumerate(("variants/native", "variants/reference")):
        sums = ArmSums(*gate.arms[arm, 1, :, row].tolist())
        found.append(
            OutcomeMoments(
                metric="engagement",
                variant=variant,
                learner_count=int(sums.n),
                sum=sums.y,
                sum_of_squares=sums.yy,
                nonzero_count=int(gate.nonzero[arm, row]),
                covariate="interaction_frequency",
                covariate_sum=sums.x,
                covariate_sum_of_squares=sums.xx,
                cross_sum=sums.xy,
            )
        )
    return found


@pytest.mark.parametrize("ratio", [1.0, 0.94, 0.9])
def test_the_live_gates_decide_on_the_same_sums_alike(ratio: float) -> None:
    generator = np.random.default_rng(4)
    gate = OutcomeGate(ROLLOUTS)
    text = plan_text("error_rate > 20 %", "engagement < 0 %", criteria=CRITERIA, share="50 %")
    lanes = [Lane(text) for _ in range(ROLLOUTS)]
    for lane in lanes:
        lane.enter()
    rolled_back = 0
    for _ in range(TICKS):
        arms = [closed_windows(SHAPES["engagement"], 100, factor, ROLLOUTS, generator) for factor in (ratio, 1.0)]
        shown = gate.look(*arms)
        assert tuple(sorted(shown)) == tuple(sorted(GATES))
        for row, lane in enumerate(lanes):
            if not lane.state.in_phase:
                continue
            lane.outcomes[:] = moments(gate, row)
            passed = lane.tick(Part(100), Part(100))
            assert passed
            assert lane.state.in_phase is not bool(shown["adjusted"][row])
            rolled_back += not lane.state.in_phase
            if lane.state.in_phase:
                verdict = lane.verdict("engagement > -3 %")
                assert (verdict.result == Verdict.RESULT_PASS) is bool(shown["advance"][row])
    effect = relative_effect((moments(gate, 0)[0], moments(gate, 0)[1]))
    assert effect is not None
    assert effect.explained > 0.1
    assert (rolled_back > 0) is (ratio < 0.95)


def test_a_harmed_segment_is_found_and_no_other() -> None:
    block = Task(WORLDS["one of 8 segments -15 %, the others +3 %"], 20, (1, 0, 0)).run()
    assert (block.first["harm"] > 0).all()
    assert not block.first["false harm"].any()
    assert not block.first["consistent"].any()
    assert sum(SHARES) == pytest.approx(1)


def test_a_range_between_segments_fails_by_chance_where_the_spread_is_shown_to_be_small() -> None:
    block = Task(WORLDS["8 segments alike, CV 1"], 60, (1, 0, 0)).run()
    assert "harm" not in block.first
    assert np.mean(block.first["consistent"] == LOOKS) > 0.9
    assert np.mean(block.first["range"] == LOOKS) > 0.15


def test_before_the_burn_in_nothing_is_said() -> None:
    world = World("few", Tried.OUTCOME, requests_per_tick=10, ratio=0.0001, outcome="revenue")
    block = Task(world, 50, (1, 0, 0)).run()
    assert not any(first.any() for first in block.first.values())
