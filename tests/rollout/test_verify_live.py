"""The simulated gates are the live ones: the same counts give the same evidence and the same decisions."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from covey.rollout import commands
from covey.rollout.answers import answer_criteria
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.questions import criterion_questions
from covey.rollout.verify.gate import ErrorGate
from covey.rollout.verify.traffic import Counted, Traffic
from covey.rollout.verify.worlds import BASELINE_TICKS, LOOKS, SHARDS, World
from covey.v1.evidence_pb2 import ReplicaReading, ShardCounters, VariantCounters, Verdict

from .world import Journal, plan

PLAN = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 30s
phases:
  - name: canary
    traffic_share: 1 %
    hold: 2h
    criteria: [error_rate < 0.5 %]
    approvals: {roles: [operations]}
triggers: [error_rate > 1.5 %]
"""
TICKS = 60
ROLLOUTS = 9


class Pages:
    """One rollout's cumulative page from the counts of a block."""

    def __init__(self, row: int) -> None:
        self.row = row
        self.totals = np.zeros((2, 2))
        self.shards = np.zeros((2, 2, SHARDS))

    def add(self, counted: Counted) -> None:
        row = self.row
        self.totals[0] += counted.candidate_trials[row], counted.candidate_events[row]
        self.totals[1] += SHARDS * counted.shard_trials[row, 0], counted.shard_events[row].sum()
        self.shards[1, 0] += counted.shard_trials[row, 0]
        self.shards[1, 1] += counted.shard_events[row]
        # All that the gates read of the candidate's shards is which have a failure.
        self.shards[0] = counted.affected_shards[row]

    def reading(self, weight_bp: int) -> ReplicaReading:
        names = ("variants/native", "variants/reference")
        variants = [
            VariantCounters(variant=name, request_count=int(n), error_count=int(x))
            for name, (n, x) in zip(names, self.totals, strict=True)
        ]
        shards = [
            ShardCounters(
                variant=name,
                request_counts=trials.astype(int).tolist(),
                error_counts=events.astype(int).tolist(),
                unavailable_counts=[0] * SHARDS,
            )
            for name, (trials, events) in zip(names, self.shards, strict=True)
        ]
        return ReplicaReading(
            replica="a", server_start_time_seconds=1.0, candidate_weight_bp=weight_bp, variants=variants, shards=shards
        )


class Live:
    """A journal that is fed a block's counts of one rollout."""

    def __init__(self, row: int) -> None:
        self.journal, self.pages = Journal(plan(PLAN)), Pages(row)
        self.journal.command(commands.start)
        self._look(0)  # the first page is only the base

    def wait(self, counted: Counted, *, approve: bool) -> None:
        if approve:
            self.journal.approve("canary", "operations")
        self.pages.add(counted)
        self._look(0)

    def look(self, counted: Counted) -> None:
        self.pages.add(counted)
        self._look(100)

    @property
    def rolled_back(self) -> bool:
        return "rollback_started" in self.journal.kinds()

    def _look(self, weight_bp: int) -> None:
        self.journal.now += timedelta(seconds=30)
        evidence = Evidence(
            observed_seconds=30.0,
            observed_at=self.journal.now,
            readings=[self.pages.reading(weight_bp)],
        )
        state = self.journal.state
        self.journal.append(decide(state.spec, state, evidence, self.journal.now), epoch=1)


@pytest.mark.parametrize(
    "world",
    [
        World("harm sets in amid bursts", error_rate=0.003, ratio=6, onset_tick=20, correlation=0.01, pools=2),
        World("learners differ", error_rate=0.01, requests_per_tick=40, learner_variation=3, ratio=4, daily=True),
        World("healthy, much traffic", error_rate=0.00085, requests_per_tick=2000),
    ],
    ids=lambda world: world.name,
)
def test_simulation_and_decide_agree(world: World) -> None:
    traffic, gate = Traffic(world, ROLLOUTS, np.random.default_rng(5)), ErrorGate(world, ROLLOUTS)
    lives = [Live(row) for row in range(ROLLOUTS)]
    alpha = lives[0].journal.state.plan.ledger.trigger_alphas[0]
    assert lives[0].journal.state.plan.gates.planned_ticks == world.planned_ticks == LOOKS
    for tick in range(1 - BASELINE_TICKS, 1):
        counted = traffic.tick(tick)
        gate.wait(counted)
        for live in lives:
            live.wait(counted, approve=tick == 0)
    assert gate.over_start_times
    assert all(live.journal.state.in_phase and live.journal.state.gates.over_start_times for live in lives)
    decided = passes = 0
    open_ = set(range(ROLLOUTS))
    for tick in range(1, TICKS + 1):
        counted = traffic.tick(tick)
        gate.look(counted)
        shown = gate.shown(counted.affected_shards, alpha)["trigger"]
        passed = gate.passed(np.ones(ROLLOUTS, dtype=bool)) if tick in {2, 25, TICKS} else None
        for row in sorted(open_):
            live = lives[row]
            live.look(counted)
            memory = live.journal.state.gates
            assert memory.log_e[:, 0] == pytest.approx(gate.log_e[:, row], rel=1e-9, abs=1e-6)
            assert memory.effects[0] == pytest.approx(gate.effects[row], rel=1e-9)
            assert memory.learner_errors[0] == pytest.approx(gate.errors[row], rel=1e-9)
            assert live.rolled_back == bool(shown[row])
            if live.rolled_back:
                open_.remove(row)
                decided += 1
            elif passed is not None:
                (answer,) = answer_criteria(live.journal.state, criterion_questions(live.journal.state))
                assert [test.log_e for test in answer.tests] == pytest.approx(gate.proofs[:, row], rel=1e-6, abs=1e-6)
                assert (answer.result == Verdict.RESULT_PASS) == bool(passed[row])
                passes += bool(passed[row])
    # The worlds show every kind of decision.
    assert decided > 0 or passes > 0
