"""Journals made by the real decide() in virtual time: made-up counters in, real decisions out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.spec import load_spec, with_defaults
from covey.rollout.state import RolloutState, apply
from covey.v1.evidence_pb2 import (
    LearnerCount,
    OverLimitCount,
    ProbeCounts,
    ReplicaReading,
    ShadowCounters,
    VariantCounters,
)
from covey.v1.journal_pb2 import Entry

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

PLAN = """\
target: analyzer
description: {description}
baseline: reference
candidate: native
tick_interval: 10s
soak_tick_interval: 1m
on_call: {{primary: ada, secondary: grace, escalation: edsger}}
phases:
  - name: canary
    traffic_share: 10 %
    hold: 10m
    checkpoints: [5m, 10m]
    approvals: {{roles: [engineering, operations]}}
    criteria:
      - error_rate < 1 %
      - p99 < 200 ms
      - availability > 99.5 %
      - {{statement: mismatch < 1 %, defer: ramp}}
  - name: ramp
    traffic_share: 50 %
    hold: 15m
    checkpoints: [5m]
    criteria: [error_rate < 0.5 %, p99 < 200 ms, mismatch < 1 %]
  - name: rollout
    traffic_share: 100 %
    hold: 30m
    soak: true
    criteria: [error_rate < 0.5 %, p99 < 200 ms]
triggers:
  - {{statement: error_rate > 1.5 %, sustained: 2m}}
  - {{statement: p99 > 250 ms, sustained: 2m}}
  - critical_incidents > 0
"""


def plan(description: str = "The native engine takes over") -> str:
    return PLAN.format(description=description)


@dataclass
class World:
    """A server's counters under a steady load, and the journal of the rollout that it goes through.

    Attributes:
        error_rate: of the candidate, by seconds since the start.
        slow_rate: share of the candidate's requests above 200 ms (a tenth of it above 250 ms).
        requests_per_second: of both variants.
    """

    error_rate: Callable[[float], float] = lambda _: 0.001
    slow_rate: float = 0.002
    requests_per_second: float = 60.0
    description: str = "The native engine takes over"
    shadow: bool = True
    journal: list[Entry] = field(default_factory=list)
    state: RolloutState | None = None
    now: datetime = START

    def __post_init__(self) -> None:
        self._random = random.Random(7)
        self._counts = {name: [0, 0, 0, 0] for name in ("variants/native", "variants/reference")}
        self._shadow = [0, 0]
        spec = with_defaults(load_spec(plan(self.description), "plan.yaml"))
        self.write(commands.create("rollouts/native-over-reference", "u1d", spec), "ada")
        self.spec = spec

    def write(self, entries: Iterable[Entry], actor: str, epoch: int = 0) -> None:
        """Commits entries as the server would."""
        for entry in entries:
            made = Entry()
            made.CopyFrom(entry)
            made.sequence, made.schema_version, made.version = len(self.journal) + 1, 1, "0.1.0"
            made.actor, made.epoch = actor, epoch
            made.time.FromDatetime(self.now)
            made.effective_at.FromDatetime(self.now)
            self.state = apply(self.state, made)
            self.journal.append(made)

    def approve(self, *roles: str, phase: str = "canary") -> None:
        """Signs as the person of that role."""
        for role in roles:
            assert self.state is not None
            person = f"{role}-lead"
            reason = "looked at the dashboard"
            self.write(commands.approve(self.state, self.now, phase=phase, role=role, reason=reason), person)

    def start(self) -> None:
        """Signatures and the start."""
        self.approve("engineering", "operations")
        assert self.state is not None
        self.write(commands.start(self.state, self.now, reason="release 7"), "ada")

    def run(self, seconds: float) -> None:
        """Ticks until so much time has passed or the rollout has ended."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end and self.state is not None and not self.state.is_terminal:
            step = self.state.tick_interval_seconds
            self.now += timedelta(seconds=step)
            self._serve(step)
            evidence = self._evidence(step)
            self.write(decide(self.spec, self.state, evidence, self.now), "controller", epoch=1)

    def _serve(self, seconds: float) -> None:
        assert self.state is not None
        elapsed = (self.now - START).total_seconds()
        share = self.state.candidate_weight_bp / 10_000
        total = round(self.requests_per_second * seconds)
        for name, part, errors, slow in (
            ("variants/native", share, self.error_rate(elapsed), self.slow_rate),
            ("variants/reference", 1 - share, 0.001, 0.003),
        ):
            requests = round(total * part)
            counts = self._counts[name]
            counts[0] += requests
            counts[1] += sum(self._random.random() < errors for _ in range(requests))
            counts[2] += sum(self._random.random() < slow for _ in range(requests))
            counts[3] += sum(self._random.random() < slow / 10 for _ in range(requests))
        if self.shadow:
            self._shadow[0] += round(total * 0.3)

    def _evidence(self, seconds: float) -> Evidence:
        assert self.state is not None
        variants = [
            VariantCounters(
                variant=name, request_count=requests, error_count=errors,
                over_limits=[
                    OverLimitCount(limit_seconds=0.2, request_count=slow),
                    OverLimitCount(limit_seconds=0.25, request_count=slower),
                ],
            )
            for name, (requests, errors, slow, slower) in self._counts.items()
        ]  # fmt: skip
        reading = ReplicaReading(
            replica="127.0.0.1:50051", server_start_time_seconds=1000.0,
            candidate_weight_bp=self.state.candidate_weight_bp, variants=variants,
            shadow=ShadowCounters(equal_count=self._shadow[0], different_count=self._shadow[1]),
        )  # fmt: skip
        probes = [ProbeCounts(replica="127.0.0.1:50051", variant=name, answered_count=2) for name in self._counts]
        exposed = LearnerCount(variant="variants/native", learner_count=self._counts["variants/native"][0] // 20)
        return Evidence(seconds, self.now, [reading], probes, learners=[exposed])


def succeeded() -> World:
    """Through all three phases."""
    world = World()
    world.start()
    world.run(4 * 3600)
    return world


def rolled_back(description: str = "The native engine takes over") -> World:
    """Good in the canary, 4 % errors from a while into the ramp."""
    world = World(error_rate=lambda elapsed: 0.04 if elapsed > 900 else 0.001, description=description)
    world.start()
    world.run(4 * 3600)
    return world


def holding() -> World:
    """No traffic at all: nothing is ever proven."""
    world = World(requests_per_second=0.0)
    world.start()
    world.run(900)
    return world
