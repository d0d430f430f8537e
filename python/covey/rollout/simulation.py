"""Rollouts of made-up traffic in virtual time, through the live decide(). Chance comes from the caller's generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from covey.rollout.evidence import Evidence
from covey.rollout.rehearsal import Operator, Rehearsal
from covey.rollout.spec import active_limits_seconds, with_defaults
from covey.rollout.words import state_word
from covey.stats.special import Floats
from covey.v1.evidence_pb2 import DurationHistogram, OverLimitCount, ReplicaReading, ShadowCounters, VariantCounters
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollout_spec_pb2 import RolloutSpec

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
DAY_SECONDS = 86_400.0
MOST_TICKS = 200_000
# Edges of the histogram of durations, 5 % apart as the server's.
EDGES_SECONDS = tuple(round(float(edge), 6) for edge in 0.001 * 1.05 ** np.arange(190))


@dataclass(frozen=True)
class Variant:
    """How a variant answers.

    Attributes:
        error: share of requests that fail.
        unavailable: share that get no answer; they fail too.
        p99_seconds: of its log-normal durations.
    """

    error: float = 0.0008
    unavailable: float = 0.0001
    p99_seconds: float = 0.12


@dataclass(frozen=True)
class World:
    """What a simulated rollout meets.

    Attributes:
        per_second: learner requests of both variants, on average over a day.
        baseline, candidate: how they answer; the candidate as the baseline until `onset_seconds`.
        onset_seconds: after the first phase began.
        daily: amplitude of the daily load, 0 (none) to below 1.
        bursts: correlation of failures within a tick, the same for both variants; 0: independent requests.
        learners: distinct learners of both variants, of whom each request is one.
        spread: standard deviation of ln duration.
        watch_ticks: looks at the baseline before the first phase; 120 let triggers look for a late onset.
    """

    per_second: float
    baseline: Variant = Variant()
    candidate: Variant = Variant()
    onset_seconds: float = 0.0
    daily: float = 0.0
    bursts: float = 0.0
    learners: int = 10_000
    spread: float = 0.7
    watch_ticks: int = 150


@dataclass(frozen=True)
class Ending:
    """How one simulated rollout ended.

    Attributes:
        outcome: SUCCEEDED or ROLLED BACK (or the state in which the simulation gave up).
        cause: of a rollback, in words; else empty.
        statement: what was shown, of a rollback by evidence.
        phase: the last one in force.
        seconds: since the first phase began.
        since_onset: from the onset of the candidate's own rates to the rollback; None without one, or before the onset.
        candidate_requests: that the candidate served.
        learners: of whom it served so many, about.
    """

    outcome: str
    cause: str
    statement: str
    phase: str
    seconds: float
    since_onset: float | None
    candidate_requests: int
    learners: int


def simulate(
    spec: RolloutSpec, world: World, random: np.random.Generator, *, operator: Operator = Operator.ACCEPT
) -> Ending:
    """One rollout, from its creation to its end.

    Args:
        spec: the plan.
        world: the traffic.
        random: source of chance; the same state gives the same ending.
        operator: what the people do.
    """
    return _Run(with_defaults(spec), world, random, operator).ending()


class _Run:
    def __init__(self, spec: RolloutSpec, world: World, random: np.random.Generator, operator: Operator) -> None:
        begins = START + world.watch_ticks * spec.tick_interval.ToTimedelta()
        self.rehearsal = Rehearsal(spec, START, operator=operator, begins=begins, keeps_ticks=False)
        self.world, self.random = world, random
        self.limits = active_limits_seconds(spec)
        self.now = START
        self.began: datetime | None = None
        self.day_phase = float(random.uniform(0, 2 * math.pi))
        self.counters = {name: self._zero(name) for name in (spec.candidate, spec.baseline)}
        self.shadow = ShadowCounters()
        # Statements that compare with the baseline's own quantiles need durations, others do without.
        self.durations: dict[str, DurationHistogram] = {}
        if self.rehearsal.state.plan.gates.metrics.slower_shares:
            self.durations = {
                name: DurationHistogram(
                    variant=name, edges_seconds=EDGES_SECONDS, request_counts=[0] * (len(EDGES_SECONDS) + 1)
                )
                for name in self.counters
            }
        self.learners = 0.0

    def _zero(self, name: str) -> VariantCounters:
        return VariantCounters(variant=name, over_limits=[OverLimitCount(limit_seconds=limit) for limit in self.limits])

    def ending(self) -> Ending:
        for _ in range(MOST_TICKS):
            if self.rehearsal.state.is_terminal:
                break
            self._tick()
        state, spec = self.rehearsal.state, self.rehearsal.state.spec
        cause = statement = ""
        ended = self.now
        for entry in self.rehearsal.entries:
            if entry.WhichOneof("payload") == "rollback_started":
                cause = RollbackStarted.Cause.Name(entry.rollback_started.cause).removeprefix("CAUSE_").lower()
                statement = entry.rollback_started.statement
                ended = entry.time.ToDatetime(UTC)
        began = self.began or self.now
        seconds = (ended - began).total_seconds()
        late = seconds - self.world.onset_seconds
        return Ending(
            state_word(state.state),
            cause.replace("_", " "),
            statement,
            state.phase,
            seconds,
            late if cause and late >= 0 else None,
            self.counters[spec.candidate].request_count,
            round(self.learners),
        )

    def _tick(self) -> None:
        seconds = self.rehearsal.state.tick_interval_seconds
        weight_bp = self.rehearsal.state.candidate_weight_bp
        self.now += timedelta(seconds=seconds)
        self._serve(seconds, weight_bp / 10_000)
        spec = self.rehearsal.state.spec
        reading = ReplicaReading(
            replica="simulated",
            server_start_time_seconds=1.0,
            candidate_weight_bp=weight_bp,
            variants=[self.counters[spec.candidate], self.counters[spec.baseline]],
            shadow=self.shadow,
            durations=self.durations.values(),
        )
        self.rehearsal.look(Evidence(seconds, self.now, [reading]))
        if self.began is None and self.rehearsal.state.in_phase:
            self.began = self.now

    def _serve(self, seconds: float, share: float) -> None:
        world, random, spec = self.world, self.random, self.rehearsal.state.spec
        day = 1 + world.daily * math.sin(
            2 * math.pi * (self.now - START).total_seconds() / DAY_SECONDS + self.day_phase
        )
        mean = world.per_second * seconds * day
        late = self.began is not None and (self.now - self.began).total_seconds() > world.onset_seconds
        burst = self._burst()
        mine = int(random.poisson(mean * share))
        self._count(self.counters[spec.candidate], mine, world.candidate if late else world.baseline, burst)
        self._count(self.counters[spec.baseline], int(random.poisson(mean * (1 - share))), world.baseline, burst)
        self.shadow.equal_count += int(random.poisson(mean * spec.shadow_share))
        mine_of_all = world.learners * share
        if mine_of_all > 0:
            # Each request is of one of those learners, whichever: so many of them are new.
            self.learners = min(mine_of_all, max(0.0, self.learners))
            self.learners += (mine_of_all - self.learners) * -math.expm1(-mine / mine_of_all)

    def _burst(self) -> float:
        """What failure rates are multiplied by in this tick: mean 1, more varied the more failures come in bursts."""
        rate, correlation = self.world.baseline.error, self.world.bursts
        if correlation <= 0 or rate <= 0:
            return 1.0
        total = (1 - correlation) / correlation
        return float(self.random.beta(rate * total, (1 - rate) * total)) / rate

    def _count(self, counters: VariantCounters, requests: int, variant: Variant, burst: float) -> None:
        random = self.random
        errors = int(random.binomial(requests, min(1.0, variant.error * burst)))
        part = min(1.0, variant.unavailable / variant.error) if variant.error > 0 else 0.0
        counters.request_count += requests
        counters.error_count += errors
        counters.unavailable_count += int(random.binomial(errors, part))
        if counters.variant in self.durations:
            counted = self.durations[counters.variant].request_counts
            drawn = random.multinomial(requests, _interval_shares(variant.p99_seconds, self.world.spread))
            counted[:] = (np.array(counted) + drawn).tolist()
        left, before = requests, 1.0
        for over in counters.over_limits:
            slower = float(ndtr(-(math.log(over.limit_seconds / variant.p99_seconds) / self.world.spread + _Z99)))
            left = int(random.binomial(left, min(1.0, slower / before))) if before > 0 else 0
            over.request_count += left
            before = slower


@lru_cache(maxsize=16)
def _interval_shares(p99_seconds: float, spread: float) -> Floats:
    """Share of the requests in each interval between the edges."""
    below = ndtr(np.log(np.array(EDGES_SECONDS) / p99_seconds) / spread + _Z99)
    return np.diff(below, prepend=0.0, append=1.0)


_Z99 = float(ndtri(0.99))
