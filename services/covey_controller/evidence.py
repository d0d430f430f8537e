"""From metrics pages to evidence: a replica's counters are believed whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from covey.rollout.codes import classify
from covey.rollout.spec import active_limits_seconds
from covey.rollout.statement import Kind
from covey.v1 import evidence_pb2 as pb
from covey.v1 import rollout_spec_pb2
from covey_controller import page as names
from covey_controller.outcomes import outcome_metrics, read_learners, read_outcomes, statements_of
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError
from covey_controller.spread import read_durations, read_shards

GATED_METHODS = frozenset({"AnalyzeLearner", "AnalyzeLearners"})
"""Methods whose requests are judged."""

_BASIS_POINTS = 10_000


@dataclass(frozen=True)
class Subject:
    """What is looked for on a page.

    Attributes:
        rollout: its name, as labels carry it.
        variants: baseline and candidate.
        limits_seconds: latency limits that must have been counted exactly.
        outcome_metrics: outcomes that the spec has statements about.
        compares_latencies: whether a statement compares latencies with the baseline's.
    """

    rollout: str
    variants: tuple[str, str]
    limits_seconds: tuple[float, ...]
    outcome_metrics: frozenset[str]
    compares_latencies: bool = False

    @classmethod
    def of(cls, rollout: str, spec: rollout_spec_pb2.RolloutSpec) -> Self:
        """The subject of a rollout."""
        return cls(
            rollout=rollout,
            variants=(spec.baseline, spec.candidate),
            limits_seconds=active_limits_seconds(spec),
            outcome_metrics=outcome_metrics(spec),
            compares_latencies=any(statement.kind is Kind.RELATIVE_LATENCY for statement in statements_of(spec)),
        )


@dataclass(frozen=True)
class Gathered:
    """What one look at all replicas found."""

    readings: tuple[pb.ReplicaReading, ...]
    outcomes: tuple[pb.OutcomeMoments, ...]
    learners: tuple[pb.LearnerCount, ...]
    absences: tuple[pb.Absence, ...]


def gather(
    pages: Sequence[tuple[str, Page | AbsenceError]], subject: Subject, previous: Mapping[str, pb.ReplicaReading]
) -> Gathered:
    """Turns pages into readings and absences; never raises for what is on a page.

    Args:
        pages: by replica, the page or why there is none.
        subject: what the rollout needs to know.
        previous: the last believed reading of each replica, from the journal.

    Outcome moments and learner counts come from the store that all replicas share: the first page that has them speaks.
    """
    readings: list[pb.ReplicaReading] = []
    absences: list[pb.Absence] = []
    outcomes: tuple[pb.OutcomeMoments, ...] = ()
    learners: tuple[pb.LearnerCount, ...] = ()
    for replica, page in pages:
        if isinstance(page, AbsenceError):
            absences.append(page.message(replica))
            continue
        try:
            reading = read_counters(page, replica, subject)
            check_against(reading, previous.get(replica))
            readings.append(reading)
            learners = learners or read_learners(page, subject.variants)
            outcomes = outcomes or read_outcomes(page, subject.variants, subject.outcome_metrics)
        except AbsenceError as absence:
            absences.append(absence.message(replica))
    return Gathered(tuple(readings), outcomes, learners, tuple(absences))


def read_counters(page: Page, replica: str, subject: Subject) -> pb.ReplicaReading:
    """The counters that gates judge, all of them.

    Raises:
        AbsenceError: when any is missing, doubled, broken or contradicts another.
    """
    start = page.single(names.START_TIME, lambda labels: True)
    if start <= 0:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, names.START_TIME, f"{start} is no time")
    ratio = page.single(names.WEIGHT, lambda labels: labels.get("rollout") == subject.rollout)
    if not 0 <= ratio <= 1:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, names.WEIGHT, f"{ratio} is no share")
    reading = pb.ReplicaReading(
        replica=replica,
        server_start_time_seconds=start,
        candidate_weight_bp=round(ratio * _BASIS_POINTS),
        variants=[_variant(page, name, subject.limits_seconds) for name in subject.variants],
        shadow=_shadow(page, subject.rollout),
        shards=read_shards(page, subject.variants),
        durations=read_durations(page, subject.variants, GATED_METHODS) if subject.compares_latencies else (),
    )
    for counters, shards in zip(reading.variants, reading.shards, strict=False):
        if sum(shards.request_counts) > counters.request_count:
            detail = f"{sum(shards.request_counts)} requests in shards of {shards.variant} among "
            raise AbsenceError(
                pb.ABSENCE_TYPE_SCRAPE_FAILED, names.SHARDS, f"{detail}{counters.request_count}: torn page"
            )
    return reading


def _variant(page: Page, variant: str, limits_seconds: Sequence[float]) -> pb.VariantCounters:
    counters = pb.VariantCounters(variant=variant)
    samples = page.counters(
        names.REQUESTS, lambda labels: labels.get("variant") == variant and labels.get("method") in GATED_METHODS
    )
    if not samples:
        # The server shows zeros for what a rollout counts, so a missing series is no zero.
        raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, names.REQUESTS, f"no series of {variant}")
    for labels, count in samples:
        kind = classify(labels.get("code", ""))
        counters.shed_count += count if kind == "shed" else 0
        counters.request_count += count if kind != "shed" else 0
        counters.error_count += count if kind in {"error", "unavailable"} else 0
        counters.unavailable_count += count if kind == "unavailable" else 0
    for limit in limits_seconds:
        slower = _over_limit(page, variant, limit)
        if slower > counters.request_count + counters.shed_count:
            detail = f"{slower} requests of {variant} slower than {limit:g} s among {counters.request_count}: torn page"
            raise AbsenceError(pb.ABSENCE_TYPE_SCRAPE_FAILED, names.OVER_LIMIT, detail)
        counters.over_limits.add(limit_seconds=limit, request_count=slower)
    return counters


def _over_limit(page: Page, variant: str, limit: float) -> int:
    samples = page.counters(
        names.OVER_LIMIT,
        lambda labels: (
            labels.get("variant") == variant
            and labels.get("method") in GATED_METHODS
            and _same_number(labels.get("limit_seconds", ""), limit)
        ),
    )
    if not samples:
        raise AbsenceError(
            pb.ABSENCE_TYPE_NO_SERIES, names.OVER_LIMIT, f"limit {limit:g} s of {variant} is not counted"
        )
    return sum(count for _, count in samples)


def _same_number(text: str, number: float) -> bool:
    try:
        return math.isclose(float(text), number, rel_tol=1e-9)
    except ValueError:
        return False


def _shadow(page: Page, rollout: str) -> pb.ShadowCounters:
    shadow = pb.ShadowCounters()
    samples = page.counters(names.SHADOW, lambda labels: labels.get("rollout") == rollout)
    if not samples:
        raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, names.SHADOW, f"no series of {rollout}")
    for labels, count in samples:
        result = labels.get("result")
        if result == "equal":
            shadow.equal_count += count
        elif result == "different":
            shadow.different_count += count
        elif result == "failed":
            shadow.failed_count += count
    return shadow


def check_against(reading: pb.ReplicaReading, previous: pb.ReplicaReading | None) -> None:
    """Compares with the reading before: counters of one process never fall.

    Raises:
        AbsenceError: COUNTER_RESET when one fell though the process is the same, STALE when the page is from a process
            older than the one seen before.
    """
    if previous is None or reading.server_start_time_seconds > previous.server_start_time_seconds:
        return
    if reading.server_start_time_seconds < previous.server_start_time_seconds:
        seconds = previous.server_start_time_seconds - reading.server_start_time_seconds
        detail = f"the page is of a process started {seconds:.0f} s before the one seen last"
        raise AbsenceError(pb.ABSENCE_TYPE_STALE, names.START_TIME, detail)
    before = _numbers(previous)
    for key, count in _numbers(reading).items():
        if count < before.get(key, 0):
            metric, what = key
            detail = f"{what} fell from {before[key]} to {count} without a restart"
            raise AbsenceError(pb.ABSENCE_TYPE_COUNTER_RESET, metric, detail)


def _numbers(reading: pb.ReplicaReading) -> dict[tuple[str, str], int]:
    numbers = {
        (names.SHADOW, "equal"): reading.shadow.equal_count,
        (names.SHADOW, "different"): reading.shadow.different_count,
        (names.SHADOW, "failed"): reading.shadow.failed_count,
    }
    for counters in reading.variants:
        name = counters.variant
        numbers[names.REQUESTS, f"requests of {name}"] = counters.request_count
        numbers[names.REQUESTS, f"errors of {name}"] = counters.error_count
        numbers[names.REQUESTS, f"unavailable of {name}"] = counters.unavailable_count
        numbers[names.REQUESTS, f"shed of {name}"] = counters.shed_count
        for over in counters.over_limits:
            numbers[names.OVER_LIMIT, f"{name} over {over.limit_seconds:g} s"] = over.request_count
    for shards in reading.shards:
        numbers[names.SHARDS, f"requests in shards of {shards.variant}"] = sum(shards.request_counts)
    for durations in reading.durations:
        numbers[names.DURATION_BUCKETS, f"durations of {durations.variant}"] = sum(durations.request_counts)
    return numbers
