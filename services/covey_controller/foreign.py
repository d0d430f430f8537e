"""Evidence of a foreign service: counters of its processes, each of one variant, and the weight that routers show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import grpc

from covey.rollout.codes import classify
from covey.rollout.statement import Kind
from covey.rollout.traffic import Side, limit_sides
from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import MetricsSource, RolloutSpec
from covey_controller.evidence import Gathered, check_against
from covey_controller.histogram import Histogram, read_histogram, safe_edge
from covey_controller.outcomes import statements_of
from covey_controller.page import Labels, Page
from covey_controller.scrape import AbsenceError
from covey_controller.traffic.actuator import RouterReading

_NAME_OF_NUMBER = {str(code.value[0]): code.name for code in grpc.StatusCode}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Pages of others are not copied at once: so many requests may be in one counter and not yet in the other.
_UNDER_WAY_COUNT = 10
_UNDER_WAY_SHARE = 0.01


@dataclass(frozen=True)
class Process:
    """One process of a foreign service and what it shows.

    Attributes:
        name: names it in readings and absences.
        variant: baseline or candidate, as the spec has it.
        page: its series, or why there are none.
    """

    name: str
    variant: str
    page: Page | AbsenceError


@dataclass(frozen=True)
class ForeignSubject:
    """What is looked for on the page of a process.

    Attributes:
        metrics: names, from the spec with defaults.
        limits: latency limits, and on which side of each an edge may stand in for it.
        compares_latencies: whether a statement compares latencies with the baseline's.
    """

    metrics: MetricsSource
    limits: Mapping[float, frozenset[Side]]
    compares_latencies: bool

    @classmethod
    def of(cls, spec: RolloutSpec) -> Self:
        """The subject of a rollout; `spec` with defaults."""
        compares = any(statement.kind is Kind.RELATIVE_LATENCY for statement in statements_of(spec))
        return cls(spec.metrics, limit_sides(spec), compares)

    @property
    def needs_durations(self) -> bool:
        """Whether a statement is about latency."""
        return bool(self.limits) or self.compares_latencies

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that are read."""
        durations = {f"{self.metrics.durations}_bucket"} if self.needs_durations else set()
        return frozenset({self.metrics.requests, self.metrics.start_time} | durations)

    def counts(self, labels: Labels) -> bool:
        """Whether a series counts."""
        return all(labels.get(label.name) == label.value for label in self.metrics.labels)


def gather_foreign(
    processes: Sequence[Process],
    routers: Sequence[RouterReading],
    subject: ForeignSubject,
    previous: Mapping[str, pb.ReplicaReading],
) -> Gathered:
    """Readings of routers and processes, and what is missing; never raises for what they show.

    Args:
        processes: all of both variants.
        routers: weights as read back in the same look.
        subject: what the rollout needs to know.
        previous: the last believed reading of each, from the journal.
    """
    shown = [reading for _, reading in routers if isinstance(reading, pb.ReplicaReading)]
    absences = [reading.message(name) for name, reading in routers if isinstance(reading, AbsenceError)]
    weight_bp = max((reading.candidate_weight_bp for reading in shown), default=0)
    readings = list(shown)
    for process in processes:
        if isinstance(process.page, AbsenceError):
            absences.append(process.page.message(process.name))
            continue
        try:
            reading = read_process(process.page, process.name, process.variant, subject)
            reading.candidate_weight_bp = weight_bp
            check_against(reading, previous.get(process.name))
            readings.append(reading)
        except AbsenceError as absence:
            absences.append(absence.message(process.name))
    return Gathered(tuple(readings), (), (), tuple(absences))


def read_process(page: Page, name: str, variant: str, subject: ForeignSubject) -> pb.ReplicaReading:
    """The counters of one process, all of them.

    Raises:
        AbsenceError: when any is missing, doubled, broken or contradicts another.
    """
    start = page.single(subject.metrics.start_time, lambda _: True)
    if start <= 0:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, subject.metrics.start_time, f"{start} is no time")
    counters = _requests(page, variant, subject)
    reading = pb.ReplicaReading(replica=name, server_start_time_seconds=start, behind_router=True)
    if subject.needs_durations:
        histogram = _durations(page, counters, subject)
        counters.over_limits.extend(_over_limits(histogram, counters, subject))
        if subject.compares_latencies and histogram is not None:
            reading.durations.add(
                variant=variant, edges_seconds=histogram.edges_seconds, request_counts=histogram.counts
            )
    reading.variants.append(counters)
    return reading


def canonical_code(text: str) -> str:
    """The name of a gRPC code that is written as a number or in Go's way."""
    if text in _NAME_OF_NUMBER:
        return _NAME_OF_NUMBER[text]
    name = _HUMP.sub("_", text).upper()
    return "CANCELLED" if name == "CANCELED" else name


def _requests(page: Page, variant: str, subject: ForeignSubject) -> pb.VariantCounters:
    """A process that was never called may show the metric without a series: that is 0."""
    counters = pb.VariantCounters(variant=variant)
    name, label = subject.metrics.requests, subject.metrics.code_label
    for labels, count in page.counters(name, subject.counts):
        if label not in labels:
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, name, f"a series has no label {label}: {dict(labels)}")
        kind = classify(canonical_code(labels[label]))
        counters.shed_count += count if kind == "shed" else 0
        counters.request_count += count if kind != "shed" else 0
        counters.error_count += count if kind in {"error", "unavailable"} else 0
        counters.unavailable_count += count if kind == "unavailable" else 0
    return counters


def _durations(page: Page, counters: pb.VariantCounters, subject: ForeignSubject) -> Histogram | None:
    """The histogram; None where there was no request yet."""
    name = subject.metrics.durations
    histogram = read_histogram(page, name, subject.counts)
    requests = counters.request_count + counters.shed_count
    if histogram is None:
        if requests:
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, f"{name}_bucket", "there is no such histogram")
        return None
    if abs(histogram.total - requests) > max(_UNDER_WAY_COUNT, _UNDER_WAY_SHARE * requests):
        detail = f"{histogram.total} durations of {requests} requests: they are not of the same calls"
        raise AbsenceError(pb.ABSENCE_TYPE_SCRAPE_FAILED, f"{name}_bucket", detail)
    return histogram


def _over_limits(
    histogram: Histogram | None, counters: pb.VariantCounters, subject: ForeignSubject
) -> list[pb.OverLimitCount]:
    found = []
    for limit, sides in subject.limits.items():
        if histogram is None:
            found.append(pb.OverLimitCount(limit_seconds=limit))
            continue
        edge = safe_edge(histogram.edges_seconds, limit, sides)
        if edge is None:
            where = "at" if len(sides) > 1 else f"at or {max(sides)}"
            detail = f"the histogram has no edge {where} {limit:g} s"
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, f"{subject.metrics.durations}_bucket", detail)
        slower = min(histogram.slower_than(edge), counters.request_count + counters.shed_count)
        found.append(pb.OverLimitCount(limit_seconds=limit, request_count=slower, edge_seconds=edge))
    return found
