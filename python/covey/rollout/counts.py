"""Counters of the variants, and what may be believed of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add, attrgetter, sub

from covey.rollout.statement import Kind, Statement
from covey.v1.evidence_pb2 import ProbeCounts, ReplicaReading, ShadowCounters, VariantCounters

# Two limits are the same if they differ by less: metrics pages write them as text.
LIMIT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Counts:
    """What happened to a variant in some stretch of time, summed over replicas.

    Attributes:
        requests: without shed ones.
        errors: failures of error_rate.
        unavailable: failures of availability.
        over: requests slower than each of the spec's limits, rising limits.
        equal: shadow answers that agreed.
        different: shadow answers that differed.
        failed: shadow answers that one side could not give.
        probes: probes that say something about the candidate.
        probes_failed: of those, without an answer.
        shed: requests refused for overload; no trials of absolute tests.
    """

    requests: int = 0
    errors: int = 0
    unavailable: int = 0
    over: tuple[int, ...] = ()
    equal: int = 0
    different: int = 0
    failed: int = 0
    probes: int = 0
    probes_failed: int = 0
    shed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            self.unavailable + other.unavailable,
            tuple(map(add, self.over, other.over)) if self.over and other.over else self.over or other.over,
            self.equal + other.equal,
            self.different + other.different,
            self.failed + other.failed,
            self.probes + other.probes,
            self.probes_failed + other.probes_failed,
            self.shed + other.shed,
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.requests - other.requests,
            self.errors - other.errors,
            self.unavailable - other.unavailable,
            tuple(map(sub, self.over or (0,) * len(other.over), other.over)) if other.over else self.over,
            self.equal - other.equal,
            self.different - other.different,
            self.failed - other.failed,
            self.probes - other.probes,
            self.probes_failed - other.probes_failed,
            self.shed - other.shed,
        )

    @property
    def possible(self) -> bool:
        """Whether no counter is negative and failures are among the requests."""
        requests, errors, unavailable = self.requests, self.errors, self.unavailable
        return (
            0 <= unavailable <= errors <= requests
            and self.shed >= 0
            and min(self.equal, self.different, self.failed, *self.over) >= 0
            and max(self.over, default=0) <= requests + self.shed
        )

    @property
    def lowest(self) -> int:
        """The smallest counter: below 0 in a difference where one fell."""
        return min(
            self.requests,
            self.errors,
            self.unavailable,
            self.shed,
            self.equal,
            self.different,
            self.failed,
            *self.over,
        )

    def events_and_trials(
        self, statement: Statement, limits_seconds: Sequence[float], *, with_probes: bool = False
    ) -> tuple[int, int]:
        """Bad events and trials of a statement that counts events.

        Args:
            statement: about error_rate, availability, a latency quantile or mismatch.
            limits_seconds: the spec's limits, in the order of `over`.
            with_probes: whether probes count for availability, as they do for triggers.
        """
        if statement.kind is Kind.ERROR_RATE:
            return self.errors, self.requests
        if statement.kind is Kind.AVAILABILITY:
            if with_probes:
                return self.unavailable + self.probes_failed, self.requests + self.probes
            return self.unavailable, self.requests
        if statement.kind is Kind.LATENCY:
            slow = self.over[limits_seconds.index(statement.limit)] if self.over else 0
            # Shed requests may be slow too, and are no trials.
            return min(slow, self.requests), self.requests
        return self.different + self.failed, self.equal + self.different + self.failed


def counters_of(reading: ReplicaReading, variant: str) -> VariantCounters | None:
    """The reading's counters of a variant, where it has them."""
    return next((counters for counters in reading.variants if counters.variant == variant), None)


def counts_of(
    reading: ReplicaReading, variant: str, limits_seconds: Sequence[float], *, with_shadow: bool = True
) -> Counts:
    """The cumulative counters of a page; what is not there is 0, which `faults_of` has looked at before.

    Args:
        reading: the page.
        variant: whose counters.
        limits_seconds: latency limits.
        with_shadow: whether comparisons with the other variant are counted, as they are on the candidate's side.
    """
    counters = counters_of(reading, variant) or VariantCounters()
    shadow = reading.shadow if with_shadow else ShadowCounters()
    return Counts(
        counters.request_count,
        counters.error_count,
        counters.unavailable_count,
        tuple(count or 0 for count in _over_limits(counters, limits_seconds)),
        shadow.equal_count,
        shadow.different_count,
        shadow.failed_count,
        shed=counters.shed_count,
    )


def plain_counts(
    reading: ReplicaReading, candidate: str, baseline: str, limits_seconds: Sequence[float]
) -> tuple[Counts, Counts] | None:
    """As `counts_of` of both, for a page that is as most are: two variants, every limit in order, possible counts.

    None for any other: `faults_of` looks closer.
    """
    found: dict[str, Counts] = {}
    limits = list(limits_seconds)
    for counters in reading.variants:
        overs = list(map(_limit_and_count, counters.over_limits))
        if [limit for limit, _ in overs] != limits:
            return None
        shadow = reading.shadow if counters.variant == candidate else _NO_SHADOW
        found[counters.variant] = Counts(
            counters.request_count,
            counters.error_count,
            counters.unavailable_count,
            tuple([count for _, count in overs]),
            shadow.equal_count,
            shadow.different_count,
            shadow.failed_count,
            shed=counters.shed_count,
        )
    mine, rival = found.get(candidate), found.get(baseline)
    if mine is None or rival is None or len(reading.variants) != 2 or not (mine.possible and rival.possible):
        return None
    return mine, rival


_NO_SHADOW = ShadowCounters()
_limit_and_count = attrgetter("limit_seconds", "request_count")


def _over_limits(counters: VariantCounters, limits_seconds: Sequence[float]) -> list[int | None]:
    """Requests slower than each limit; None where a limit is not counted."""
    return [_over_limit(counters, limit) for limit in limits_seconds]


def _over_limit(counters: VariantCounters, limit: float) -> int | None:
    for over in counters.over_limits:
        if abs(over.limit_seconds - limit) <= LIMIT_TOLERANCE * max(1.0, limit):
            return over.request_count
    return None


def faults_of(reading: ReplicaReading, candidate: str, limits_seconds: Sequence[float]) -> str:
    """Why a page cannot be true by itself; empty where it can."""
    names = [counters.variant for counters in reading.variants]
    for counters in reading.variants:
        if names.count(counters.variant) > 1:
            return f"it has {names.count(counters.variant)} series of {counters.variant}"
        numbers = [counters.request_count, counters.error_count, counters.unavailable_count, counters.shed_count]
        overs = [over.request_count for over in counters.over_limits]
        name = counters.variant
        if min(numbers + overs) < 0:
            return f"a counter of {name} is negative"
        if counters.error_count > counters.request_count:
            return f"{counters.error_count:,} errors of {name} among {counters.request_count:,} requests"
        if counters.unavailable_count > counters.error_count:
            return f"{counters.unavailable_count:,} unavailable answers of {name} among {counters.error_count:,} errors"
        if max(overs, default=0) > counters.request_count + counters.shed_count:
            return f"{max(overs):,} slow requests of {name} among {counters.request_count:,}"
        if name == candidate and counters.request_count:
            for limit, count in zip(limits_seconds, _over_limits(counters, limits_seconds), strict=True):
                if count is None:
                    return f"requests of {name} slower than {limit:g} s are not counted"
    shadow = reading.shadow
    if min(shadow.equal_count, shadow.different_count, shadow.failed_count) < 0:
        return "a shadow counter is negative"
    return ""


def fallen(before: ReplicaReading, after: ReplicaReading) -> str:
    """Which counter fell between two pages of one process, as only broken data does; empty where none did."""
    for counters in after.variants:
        earlier = counters_of(before, counters.variant)
        if earlier is None:
            continue
        for field in ("request_count", "error_count", "unavailable_count", "shed_count"):
            was, now = getattr(earlier, field), getattr(counters, field)
            if now < was:
                return f"{field} of {counters.variant} fell from {was:,} to {now:,} without a restart"
        limits = [over.limit_seconds for over in earlier.over_limits]
        for over, now in zip(earlier.over_limits, _over_limits(counters, limits), strict=True):
            if now is not None and now < over.request_count:
                was, name = over.request_count, counters.variant
                return f"slow requests of {name} fell from {was:,} to {now:,} without a restart"
    for field in ("equal_count", "different_count", "failed_count"):
        was, now = getattr(before.shadow, field), getattr(after.shadow, field)
        if now < was:
            return f"shadow {field} fell from {was:,} to {now:,} without a restart"
    return ""


def probe_counts(probes: Iterable[ProbeCounts], candidate: str, baseline: str) -> Counts:
    """Probes as evidence about the candidate.

    A probe without an answer is a failure, not missing data; but where the same replica left the baseline's probes
    unanswered too, that many are the replica's failures (a restart, the network), not the candidate's.
    """
    by_replica: dict[str, dict[str, ProbeCounts]] = {}
    for probe in probes:
        by_replica.setdefault(probe.replica, {})[probe.variant] = probe
    answered = failed = 0
    for variants in by_replica.values():
        mine, other = variants.get(candidate), variants.get(baseline)
        if mine is None:
            continue
        answered += mine.answered_count
        failed += max(0, mine.unanswered_count - (other.unanswered_count if other else 0))
    return Counts(probes=answered + failed, probes_failed=failed)
