"""A rollout whose ticks are given as numbers instead of drawn: both arms' counts, shards, durations, learners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.state import RolloutState
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import LearnerCount, OutcomeMoments, ReplicaReading, Verdict
from covey.v1.journal_pb2 import Entry, RollbackStarted

from .world import Journal, plan

Array = NDArray[Any]

PLAN = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 30s
soak_tick_interval: 30s
metrics_grace: 1d
{head}
phases:
  - name: canary
    traffic_share: {share}
    hold: {hold}
    max_hold: 10d
    criteria: [{criteria}]
    approvals: {{roles: [operations]}}
triggers:
{triggers}
"""


def plan_text(
    *triggers: str,
    criteria: Sequence[str] = ("{statement: error_rate < 40 %, margin: 0}",),
    share: str = "1 %",
    hold: str = "2h",
    head: str = "",
) -> str:
    """One phase of 240 looks, which waits for one signature."""
    lines = "\n".join(f"  - {trigger}" for trigger in triggers)
    return PLAN.format(share=share, hold=hold, criteria=", ".join(criteria), triggers=lines, head=head)


@dataclass(frozen=True)
class Part:
    """One arm in one tick.

    Attributes:
        slow: beyond each of the plan's limits.
        shards: requests and errors by shard, shape (2, shards).
        durations: requests by interval between the edges.
    """

    requests: int = 0
    errors: int = 0
    unavailable: int = 0
    shed: int = 0
    slow: int | Sequence[int] = 0
    shards: Array | None = None
    durations: Array | None = None


class Lane:
    """Drives decide() with what a test says, on one replica."""

    def __init__(self, text: str, *, edges: Sequence[float] = ()) -> None:
        self.journal = Journal(plan(text))
        self.journal.command(commands.start)
        spec, self.limits = self.state.spec, self.state.plan.limits_seconds
        self.page = ReplicaReading(replica="a", server_start_time_seconds=1000.0)
        for variant in (spec.candidate, spec.baseline):
            counters = self.page.variants.add(variant=variant)
            for limit in self.limits:
                counters.over_limits.add(limit_seconds=limit)
        self.edges = tuple(edges)
        self.outcomes: list[OutcomeMoments] = []
        self.learners: list[LearnerCount] = []

    @property
    def state(self) -> RolloutState:
        return self.journal.state

    def wait(self, baseline: Sequence[Part]) -> None:
        """Ticks before the first phase, then its signature and the two looks in which its weight arrives."""
        self.tick()
        for part in baseline:
            self.tick(baseline=part)
        self.journal.approve("canary", "operations")
        self.tick()
        self.tick()
        assert self.state.in_phase
        assert self.state.weight_confirmed

    def enter(self) -> None:
        """The first phase, with nothing seen before."""
        self.wait([])

    def tick(self, candidate: Part | None = None, baseline: Part | None = None) -> list[Entry]:
        """One look."""
        before = self.state
        self.journal.now += timedelta(seconds=before.tick_interval_seconds)
        for index, part in enumerate((candidate, baseline)):
            if part is not None:
                self._count(index, part)
        self.page.candidate_weight_bp = before.candidate_weight_bp
        evidence = Evidence(
            before.tick_interval_seconds,
            self.journal.now,
            readings=[self.page],
            outcomes=self.outcomes,
            learners=self.learners,
        )
        return self.journal.append(decide(before.spec, before, evidence, self.journal.now), epoch=1)

    def run(self, candidate: Sequence[Part], baseline: Sequence[Part]) -> int | None:
        """All of these ticks, or until the phase ends; the tick that ended it, from 1, or None."""
        for number, (mine, rival) in enumerate(zip(candidate, baseline, strict=True), start=1):
            self.tick(mine, rival)
            if not self.state.in_phase:
                return number
        return None

    def _count(self, index: int, part: Part) -> None:
        counters = self.page.variants[index]
        counters.request_count += part.requests
        counters.error_count += part.errors
        counters.unavailable_count += part.unavailable
        counters.shed_count += part.shed
        slow = [part.slow] * len(self.limits) if isinstance(part.slow, int) else part.slow
        for over, count in zip(counters.over_limits, slow, strict=True):
            over.request_count += count
        if part.shards is not None:
            shards = next((s for s in self.page.shards if s.variant == counters.variant), None)
            if shards is None:
                zeros = [0] * part.shards.shape[1]
                shards = self.page.shards.add(variant=counters.variant, request_counts=zeros)
                shards.error_counts.extend(zeros)
                shards.unavailable_counts.extend(zeros)
            _add(shards.request_counts, part.shards[0])
            _add(shards.error_counts, part.shards[1])
        if part.durations is not None:
            durations = next((d for d in self.page.durations if d.variant == counters.variant), None)
            if durations is None:
                durations = self.page.durations.add(variant=counters.variant, edges_seconds=self.edges)
                durations.request_counts.extend([0] * (len(self.edges) + 1))
            _add(durations.request_counts, part.durations)

    def verdict(self, statement: str) -> Verdict:
        return next(found for found in current_verdicts(self.state) if found.statement == statement)

    def rollback(self) -> RollbackStarted:
        return next(e.rollback_started for e in self.journal.entries if e.HasField("rollback_started"))


def _add(counts: Any, more: Array) -> None:
    counts[:] = (np.array(counts, dtype=np.int64) + more).tolist()


def counted(requests: int, errors: Sequence[int] | Array) -> list[Part]:
    """Ticks of so many requests each."""
    return [Part(requests, int(count)) for count in errors]


def spread(requests: int, errors: Array | Sequence[int]) -> Part:
    """A tick whose requests fall evenly on the shards, with the errors given by shard."""
    found = np.asarray(errors, dtype=np.int64)
    trials = np.full(len(found), requests // len(found))
    return Part(int(trials.sum()), int(found.sum()), shards=np.stack([trials, found]))


def poisson(seed: int, mean: float, ticks: int) -> Array:
    """Errors by tick."""
    return np.random.default_rng(seed).poisson(mean, ticks)


def finite(message: Message) -> bool:
    """Whether every number in a message is one."""
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                if not finite(item):
                    return False
            elif isinstance(item, float) and not math.isfinite(item):
                return False
    return True
