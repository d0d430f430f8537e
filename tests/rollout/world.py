"""A rollout in virtual time: a journal that stamps like the server, and traffic drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.spec import active_limits_seconds, load_spec, with_defaults
from covey.rollout.state import RolloutState, State, apply, fold
from covey.rollout.units import timestamp_of
from covey.v1.evidence_pb2 import (
    Absence,
    OutcomeMoments,
    ProbeCounts,
    ReplicaReading,
    ShadowCounters,
    VariantCounters,
)
from covey.v1.journal_pb2 import Entry
from covey.v1.rollout_spec_pb2 import RolloutSpec

START = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
ROLES = ("engineering", "operations", "product", "finance")

SHORT_PLAN = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 1s
soak_tick_interval: 1s
metrics_grace: 10s
phases:
  - name: canary
    traffic_share: 5 %
    hold: 20s
    checkpoints: [10s, 20s]
    criteria:
      - {statement: error_rate < 2 %, margin: 0}
      - p99 < 200 ms
    approvals: {roles: [operations]}
  - name: rollout
    traffic_share: 100 %
    soak: true
    hold: 15s
    criteria: [{statement: error_rate < 2 %, margin: 0}]
    approvals: {roles: [operations], unless_every_criterion_passes: true}
triggers:
  - statement: error_rate > 3 %
    tolerance: 0
    sustained: 5s
  - statement: p99 > 250 ms
  - statement: availability < 97 %
  - statement: critical_incidents > 0
"""


def plan(text: str = SHORT_PLAN) -> RolloutSpec:
    return load_spec(text, "plan.yaml")


class Journal:
    """Stamps entries as the server does and folds them."""

    def __init__(self, spec: RolloutSpec, *, effective_after: timedelta = timedelta(seconds=1)) -> None:
        self.now = START
        self.entries: list[Entry] = []
        self.effective_after = effective_after
        self._state: RolloutState | None = None
        self.append(commands.create("rollouts/test", "uid-1", spec), epoch=0)

    @property
    def state(self) -> RolloutState:
        assert self._state is not None
        return self._state

    def append(self, entries: Iterable[Entry], *, epoch: int = 0, actor: str = "op") -> list[Entry]:
        recorded = []
        for entry in entries:
            stamped = Entry()
            stamped.CopyFrom(entry)
            stamped.sequence = len(self.entries) + 1
            stamped.epoch = epoch
            stamped.actor = "controller" if epoch else actor
            stamped.time.CopyFrom(timestamp_of(self.now))
            kind = stamped.WhichOneof("payload")
            if kind == "phase_entered":
                stamped.effective_at.CopyFrom(timestamp_of(self.now + self.effective_after))
            elif kind == "rollback_started":
                stamped.effective_at.CopyFrom(timestamp_of(self.now))
            self._state = apply(self._state, stamped)
            self.entries.append(stamped)
            recorded.append(stamped)
        return recorded

    def restore(self, entries: Iterable[Entry]) -> None:
        """Takes recorded entries as they are."""
        for entry in entries:
            self._state = apply(self._state, entry)
            self.entries.append(entry)

    def command(self, verb: Callable[..., list[Entry]], **arguments: object) -> list[Entry]:
        """A verb, by a person of the role that it is signed in."""
        actor = f"{arguments['role']}-lead" if "role" in arguments else "op"
        return self.append(verb(self.state, self.now, **arguments), actor=actor)

    def approve(self, phase: str, *roles: str) -> None:
        for role in roles:
            self.command(commands.approve, phase=phase, role=role)

    def kinds(self) -> list[str]:
        return [str(entry.WhichOneof("payload")) for entry in self.entries if entry.WhichOneof("payload") != "tick"]

    def refold(self) -> RolloutState:
        return fold(self.entries)


@dataclass
class Replica:
    """Cumulative counters of one server process."""

    name: str
    started: float = 1000.0
    share: float = 1.0
    baseline: VariantCounters = field(default_factory=VariantCounters)
    candidate: VariantCounters = field(default_factory=VariantCounters)
    shadow: ShadowCounters = field(default_factory=ShadowCounters)
    weight_bp: int = 0


@dataclass
class World:
    """Traffic on some replicas while a journal is driven through decide()."""

    journal: Journal
    requests_per_second: float = 400.0
    error_rate: float = 0.0005
    unavailable_rate: float = 0.0
    slow_rate: float = 0.002
    mismatch_rate: float = 0.0
    shadow_share: float = 0.01
    probes_answered: bool = True
    seed: int = 7
    replicas: list[Replica] = field(default_factory=lambda: [Replica("a")])
    outcomes: list[OutcomeMoments] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    epoch: int = 1

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.spec = with_defaults(self.journal.state.spec)
        self.limits = active_limits_seconds(self.spec)

    def serve(self, seconds: float) -> None:
        """Adds what happens in that time at the weight that each replica applies."""
        for replica in self.replicas:
            total = self.requests_per_second * seconds * replica.share
            # Weight changes arrive when they take effect, as on a server.
            state = self.journal.state
            if state.effective_at is None or self.journal.now >= state.effective_at:
                replica.weight_bp = state.candidate_weight_bp
            count = int(self.random.poisson(total * replica.weight_bp / 10_000))
            self._count(replica.candidate, self.spec.candidate, count)
            self._count(replica.baseline, self.spec.baseline, int(total) - count, healthy=True)
            shadow = int(self.random.poisson(total * self.shadow_share))
            different = int(self.random.binomial(shadow, self.mismatch_rate))
            replica.shadow.equal_count += shadow - different
            replica.shadow.different_count += different

    def _count(self, counters: VariantCounters, variant: str, count: int, *, healthy: bool = False) -> None:
        count = max(0, count)
        counters.variant = variant
        unavailable = 0 if healthy else int(self.random.binomial(count, self.unavailable_rate))
        errors = unavailable + int(self.random.binomial(count - unavailable, 0.0005 if healthy else self.error_rate))
        counters.request_count += count
        counters.error_count += errors
        counters.unavailable_count += unavailable
        slow = int(self.random.binomial(count, 0.002 if healthy else self.slow_rate))
        for index, limit in enumerate(self.limits):
            if len(counters.over_limits) <= index:
                counters.over_limits.add(limit_seconds=limit)
            counters.over_limits[index].request_count += slow

    def readings(self) -> list[ReplicaReading]:
        return [
            ReplicaReading(
                replica=replica.name,
                server_start_time_seconds=replica.started,
                candidate_weight_bp=replica.weight_bp,
                variants=[replica.baseline, replica.candidate],
                shadow=replica.shadow,
            )
            for replica in self.replicas
        ]

    def probes(self, seconds: float) -> list[ProbeCounts]:
        count = max(1, int(seconds / 5))
        result = []
        for replica in self.replicas:
            result.append(ProbeCounts(replica=replica.name, variant=self.spec.baseline, answered_count=count))
            mine = {"answered_count": count} if self.probes_answered else {"unanswered_count": count}
            result.append(ProbeCounts(replica=replica.name, variant=self.spec.candidate, **mine))
        return result

    def look(self, **changes: object) -> list[Entry]:
        """One tick of the controller."""
        seconds = self.journal.state.tick_interval_seconds
        self.journal.now += timedelta(seconds=seconds)
        self.serve(seconds)
        parts: dict[str, object] = {
            "observed_seconds": seconds,
            "observed_at": self.journal.now,
            "readings": self.readings(),
            "probes": self.probes(seconds),
            "outcomes": self.outcomes,
            "absences": self.absences,
        }
        evidence = Evidence(**{**parts, **changes})  # type: ignore[arg-type]
        state = self.journal.state
        return self.journal.append(decide(state.spec, state, evidence, self.journal.now), epoch=self.epoch)

    def run(self, until: Callable[[RolloutState], bool], *, most_ticks: int = 10_000) -> RolloutState:
        """Ticks until the state is as asked."""
        for _ in range(most_ticks):
            if until(self.journal.state):
                return self.journal.state
            self.look()
        raise AssertionError(f"not within {most_ticks} ticks: {self.journal.state.explanation}")


def started(text: str = SHORT_PLAN, **world: object) -> World:
    """A rollout that is started and approved, with its world."""
    journal = Journal(plan(text))
    journal.command(commands.start)
    first = journal.state.spec.phases[0]
    journal.approve(first.name, *first.approvals.roles)
    return World(journal, **world)  # type: ignore[arg-type]


def in_phase(name: str) -> Callable[[RolloutState], bool]:
    return lambda state: state.in_phase and state.phase == name and state.weight_confirmed


def ended(state: RolloutState) -> bool:
    return state.is_terminal


def is_state(*names: State.ValueType) -> Callable[[RolloutState], bool]:
    return lambda state: state.state in names
