"""A plan's statements as rows of arrays, so that all of them are judged in a few vectorised steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.rollout.counts import Counts
from covey.rollout.gates.formulas import LevelTable, level_table
from covey.rollout.gates.values import ComparedByValue
from covey.rollout.statement import Kind, Statement
from covey.stats.special import Floats
from covey.v1.rollout_spec_pb2 import RolloutSpec

# Metrics whose bursts are measured: these two by shards, then each latency limit, then each relative quantile.
ERROR, UNAVAILABLE, FIRST_LIMIT = 0, 1, 2
# The last place of arrays over metrics is for statements that have none.
NO_METRIC = -1


@dataclass(frozen=True)
class Metrics:
    """What both arms are counted by.

    Attributes:
        limits_seconds: absolute latency limits.
        slower_shares: of relative latencies: the share of requests that is slower than the quantile, 0.01 for p99.
    """

    limits_seconds: tuple[float, ...]
    slower_shares: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many metrics there are."""
        return FIRST_LIMIT + len(self.limits_seconds) + len(self.slower_shares)

    def index(self, statement: Statement) -> int:
        """The statement's metric; NO_METRIC where only one arm is counted."""
        if statement.kind is Kind.ERROR_RATE:
            return ERROR
        if statement.kind is Kind.AVAILABILITY:
            return UNAVAILABLE
        if statement.kind is Kind.LATENCY:
            return FIRST_LIMIT + self.limits_seconds.index(statement.limit)
        if statement.kind is Kind.RELATIVE_LATENCY:
            return FIRST_LIMIT + len(self.limits_seconds) + self.slower_shares.index(statement.event_limit)
        return NO_METRIC


@dataclass(frozen=True, eq=False)
class Rows(ComparedByValue):
    """Statements of one role.

    Attributes:
        statements: one per row.
        metric: index into Metrics, NO_METRIC where bursts are not measured.
        limit: probability of the bad event at the limit; 1/2 where the row has no level test.
        has_level: whether an absolute level is tested.
        null_ratio: tolerance of a trigger, margin of a criterion; 0 where the baseline is not compared.
        table: of level tests by fixed alternatives.
        comparisons: the rows that have a ratio test; compared_metric: their metrics.
        counter: where a tick's events and trials of each row stand.
    """

    statements: tuple[Statement, ...]
    metric: NDArray[np.intp]
    limit: Floats
    has_level: NDArray[np.bool_]
    null_ratio: Floats
    table: LevelTable
    comparisons: NDArray[np.intp]
    compared_metric: NDArray[np.intp]
    counter: NDArray[np.intp]

    @classmethod
    def of(cls, statements: Sequence[Statement], ratios: Sequence[float], metrics: Metrics) -> Rows:
        """The rows of these statements.

        Args:
            statements: of criteria, or of triggers.
            ratios: tolerance or margin of each; 0: not compared.
            metrics: of the plan.
        """
        has_level = np.array([statement.counts_events for statement in statements], dtype=bool)
        limit = np.array([s.event_limit if s.counts_events else 0.5 for s in statements], dtype=np.float64)
        compared = [
            ratio if statement.kind in {Kind.ERROR_RATE, Kind.RELATIVE_LATENCY} else 0.0
            for statement, ratio in zip(statements, ratios, strict=True)
        ]
        metric = np.array([metrics.index(statement) for statement in statements], dtype=np.intp)
        comparisons = np.flatnonzero(compared)
        return cls(
            tuple(statements),
            metric,
            limit,
            has_level,
            np.array(compared, dtype=np.float64),
            level_table(limit),
            comparisons,
            metric[comparisons],
            np.array([_counter_of(statement, metrics) for statement in statements], dtype=np.intp),
        )

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Which rows have a ratio test."""
        return self.null_ratio > 0

    def counted(self, counts: Counts, metrics: Metrics, *, with_probes: bool = False) -> Floats:
        """Events and trials of each row, shape (2, rows); 0 where it counts none."""
        table = np.array(_counters(counts, metrics, with_probes=with_probes), dtype=np.float64)
        return table[:, self.counter]

    def counted_exactly(self, counts: Counts, metrics: Metrics) -> list[tuple[int, int]]:
        """Events and trials of each row, as whole numbers."""
        events, trials = _counters(counts, metrics, with_probes=False)
        return [(events[column], trials[column]) for column in self.counter.tolist()]


def _counters(counts: Counts, metrics: Metrics, *, with_probes: bool) -> tuple[list[int], list[int]]:
    """`Counts.events_and_trials` of error rate, availability, each limit, mismatch; last of statements without."""
    probed = with_probes * counts.probes
    requests, compared = counts.requests, counts.equal + counts.different + counts.failed
    slow = [min(late, requests) for late in counts.over or (0,) * len(metrics.limits_seconds)]
    events = [counts.errors, counts.unavailable + with_probes * counts.probes_failed, *slow]
    events += [counts.different + counts.failed, 0]
    trials = [requests, requests + probed, *[requests] * len(slow), compared, 0]
    return events, trials


def _counter_of(statement: Statement, metrics: Metrics) -> int:
    """Place in `_counters`."""
    if statement.kind is Kind.MISMATCH:
        return FIRST_LIMIT + len(metrics.limits_seconds)
    return metrics.index(statement) if statement.counts_events else -1


def metrics_of(limits_seconds: tuple[float, ...], statements: Sequence[Statement]) -> Metrics:
    """The metrics of a plan."""
    relative = {statement.event_limit for statement in statements if statement.kind is Kind.RELATIVE_LATENCY}
    return Metrics(limits_seconds, tuple(sorted(relative)))


def planned_ticks(spec: RolloutSpec) -> int:
    """Looks over which a late regression is expected to set in: all phases, at most one day's (GATES section 2)."""
    from covey.rollout.units import seconds_of

    ticks = 0.0
    for phase in spec.phases:
        interval = seconds_of(spec.soak_tick_interval if phase.soak else spec.tick_interval)
        ticks += seconds_of(phase.hold) / interval
    a_day = 86_400 / seconds_of(spec.tick_interval)
    return max(1, round(min(ticks, a_day)))
