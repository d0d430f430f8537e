"""Journals made by the real decide() in virtual time: made-up counters in, real decisions out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from covey.client import Client
from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.spec import load_spec, with_defaults
from covey.rollout.state import RolloutState, apply, fold
from covey.v1.evidence_pb2 import (
    LearnerCount,
    OverLimitCount,
    ProbeCounts,
    ReplicaReading,
    ShadowCounters,
    VariantCounters,
)
from covey.v1.journal_pb2 import Entry
from covey.v1.rollouts_pb2 import Rollout

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

PLAN = """\
target: analyzer
description: {description}
baseline: reference
candidate: native
tick_interval: {tick}
soak_tick_interval: 1m
on_call: {{primary: ada, secondary: grace, escalation: edsger}}
phases:
  - name: canary
    traffic_share: 10 %
    hold: 10m
    checkpoints: [5m, 10m]
    approvals: {{roles: [engineering, operations]}}
    criteria:
      - {{statement: error_rate < 1 %, margin: 0}}
      - p99 < 200 ms
      - availability > 99.5 %
      - {{statement: mismatch < 1 %, defer: ramp}}
  - name: ramp
    traffic_share: 50 %
    hold: 15m
    checkpoints: [5m]
    criteria: [{{statement: error_rate < 0.5 %, margin: 0}}, p99 < 200 ms, mismatch < 1 %]
  - name: rollout
    traffic_share: 100 %
    hold: 30m
    soak: true
    criteria: [{{statement: error_rate < 0.5 %, margin: 0}}, p99 < 200 ms]
triggers:
  - {{statement: error_rate > 1.5 %, tolerance: 0, sustained: 2m}}
  - {{statement: p99 > 250 ms, sustained: 2m}}
  - critical_incidents > 0
"""


def plan(description: str = "The native engine takes over", tick: str = "10s") -> str:
    return PLAN.format(description=description, tick=tick)


@dataclass
class Traffic:
    """A server's counters under a steady load.

    Attributes:
        error_rate: of the candidate, by seconds since the start.
        slow_rate: share of the candidate's requests above 200 ms (a tenth of it above 250 ms).
        requests_per_second: of both variants.
    """

    error_rate: Callable[[float], float] = lambda _: 0.001
    slow_rate: float = 0.002
    requests_per_second: float = 60.0
    elapsed: float = 0.0

    def __post_init__(self) -> None:
        # Without chance, so that a journal is the same wherever and whenever it is made.
        self._counts = {name: [0.0, 0.0, 0.0, 0.0] for name in ("variants/native", "variants/reference")}
        self._equal = 0

    def look(self, state: RolloutState, now: datetime) -> Evidence:
        """Serves one tick's requests and reads the page."""
        seconds = state.tick_interval_seconds
        self.elapsed += seconds
        share = state.candidate_weight_bp / 10_000
        total = round(self.requests_per_second * seconds)
        for name, part, errors, slow in (
            ("variants/native", share, self.error_rate(self.elapsed), self.slow_rate),
            ("variants/reference", 1 - share, 0.001, 0.003),
        ):
            requests = round(total * part)
            for index, rate in enumerate((1.0, errors, slow, slow / 10)):
                self._counts[name][index] += requests * rate
        self._equal += round(total * 0.3)
        return self._evidence(seconds, state.candidate_weight_bp, now)

    def _evidence(self, seconds: float, weight_bp: int, now: datetime) -> Evidence:
        variants = [
            VariantCounters(
                variant=name,
                request_count=round(requests),
                error_count=int(errors),
                over_limits=[
                    OverLimitCount(limit_seconds=0.2, request_count=int(slow)),
                    OverLimitCount(limit_seconds=0.25, request_count=int(slower)),
                ],
            )
            for name, (requests, errors, slow, slower) in self._counts.items()
        ]
        reading = ReplicaReading(
            replica="127.0.0.1:50051",
            server_start_time_seconds=1000.0,
            candidate_weight_bp=weight_bp,
            variants=variants,
            shadow=ShadowCounters(equal_count=self._equal),
        )
        probes = [ProbeCounts(replica="127.0.0.1:50051", variant=name, answered_count=2) for name in self._counts]
        exposed = LearnerCount(variant="variants/native", learner_count=int(self._counts["variants/native"][0] / 20))
        return Evidence(seconds, now, [reading], probes, learners=[exposed])


class World:
    """A rollout in virtual time, and the journal that it leaves."""

    def __init__(
        self, traffic: Traffic | None = None, description: str = "The native engine takes over", spec: str = ""
    ) -> None:
        self.traffic = traffic or Traffic()
        self.journal: list[Entry] = []
        self.now = START
        self.spec = with_defaults(load_spec(spec or plan(description), "plan.yaml"))
        self.state: RolloutState | None = None
        self.write(commands.create("rollouts/native-over-reference", "u1d", self.spec), "ada")

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
            reason = "looked at the dashboard"
            self.write(commands.approve(self.state, self.now, phase=phase, role=role, reason=reason), f"{role}-lead")

    def start(self) -> None:
        """Signatures and the start."""
        self.approve("engineering", "operations")
        assert self.state is not None
        self.write(commands.start(self.state, self.now, reason="release 7"), "ada")

    def run(self, seconds: float) -> None:
        """Ticks until so much time has passed or the rollout has ended."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end and self.state is not None and not self.state.is_terminal:
            self.now += timedelta(seconds=self.state.tick_interval_seconds)
            evidence = self.traffic.look(self.state, self.now)
            self.write(decide(self.spec, self.state, evidence, self.now), "controller", epoch=1)


class Clock:
    """A wall clock moved by hand. It begins now, for the commands beside it read the real one."""

    def __init__(self) -> None:
        self.begin = self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return (self.now - self.begin).total_seconds()


class Controller:
    """Drives a rollout of a real control port in virtual time: lease, decide(), commit."""

    def __init__(self, client: Client, clock: Clock, traffic: Traffic | None = None) -> None:
        self.client = client
        self.clock = clock
        self.traffic = traffic or Traffic()

    def tick(self, name: str, times: int = 1, until: Rollout.State.ValueType | None = None) -> Rollout:
        """So many looks, or fewer where the rollout ends or is in the state `until`."""
        rollout = self.client.get_rollout(name)
        state = fold(self.client.list_entries(name))
        for _ in range(times):
            if state.is_terminal or state.state == until:
                break
            self.clock.now += timedelta(seconds=state.tick_interval_seconds)
            lease = self.client.acquire_lease("analyzer", "controller-1", time_to_live=timedelta(minutes=5))
            entries = decide(state.spec, state, self.traffic.look(state, self.clock.now), self.clock.now)
            answer = self.client.commit_decision(
                name, entries, epoch=lease.epoch, expected_sequence=state.last_sequence
            )
            rollout = answer.rollout
            for entry in answer.entries:
                state = apply(state, entry)
        return rollout


def succeeded() -> World:
    """Through all three phases."""
    world = World()
    world.start()
    world.run(4 * 3600)
    return world


def rolled_back(description: str = "The native engine takes over") -> World:
    """Good in the canary, 4 % errors from a while into the ramp."""
    world = World(Traffic(error_rate=lambda elapsed: 0.04 if elapsed > 900 else 0.001), description)
    world.start()
    world.run(4 * 3600)
    return world


def holding() -> World:
    """No traffic at all: nothing is ever proven."""
    world = World(Traffic(requests_per_second=0.0))
    world.start()
    world.run(900)
    return world
