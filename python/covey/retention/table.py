"""Shares of learners who came back, by group and interval: only over those who have completed the interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.engine import thread_count
from covey.retention.activity import Activity
from covey.retention.groups import Groups
from covey.retention.intervals import Interval
from covey.stats.proportions import wilson_interval

FEW_LEARNERS = 20


class CellVerdict(StrEnum):
    """What a share may be taken for."""

    known = "known"
    few = "few"
    """Fewer learners than asked for have completed the interval: the interval says how little is known."""
    not_complete = "not complete"
    """No learner of the group has completed the interval yet."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One group and one interval.

    Attributes:
        interval: days after the start.
        eligible_count: learners who have completed it.
        retained_count: of these, who were active in it.
        share: retained over eligible; None without eligible learners.
        low: lower limit of the share, Wilson, for this cell alone.
        high: upper limit.
        verdict: what the share may be taken for.
    """

    interval: Interval
    eligible_count: int
    retained_count: int
    share: float | None
    low: float
    high: float
    verdict: CellVerdict


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """One group of learners.

    Attributes:
        group: its name.
        learner_count: learners in it, whatever they have completed.
        cells: one per interval.
    """

    group: str
    learner_count: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RetentionTable:
    """Groups by intervals.

    Attributes:
        intervals: the columns.
        rows: one per group, in their order.
        total: all learners of the groups together.
        confidence: of each cell's limits.
        few_learners: cells of fewer eligible learners are marked.
    """

    intervals: tuple[Interval, ...]
    rows: tuple[RetentionRow, ...]
    total: RetentionRow
    confidence: float
    few_learners: int


def retention_table(
    activity: Activity,
    groups: Groups,
    intervals: Sequence[Interval],
    confidence: float = 0.95,
    few_learners: int = FEW_LEARNERS,
    threads: int | None = None,
) -> RetentionTable:
    """Count who came back.

    A learner is active on day N if they have an event on the N-th day after their first. A bracket counts a learner
    once, an unbounded interval whoever is active on its first day or later: that share rises as data come in, and is
    higher for groups that have been watched for longer.

    Args:
        activity: with bits for every bounded interval.
        groups: of the learners of `activity`.
        intervals: the columns.
        confidence: of each cell's limits.
        few_learners: cells of fewer eligible learners are marked.
        threads: one per processor by default.
    """
    eligible, retained = counts(activity, groups.codes, len(groups.names), intervals, threads)
    sizes = np.bincount(groups.codes[groups.codes >= 0], minlength=len(groups.names))
    low, high = wilson_interval(retained, eligible, confidence)

    def row(name: str, size: int, columns: Sequence[NDArray[Any]]) -> RetentionRow:
        known, back, low, high = (column.tolist() for column in columns)
        cells = zip(intervals, known, back, low, high, strict=True)
        return RetentionRow(name, size, tuple(_cell(i, n, x, a, b, few_learners) for i, n, x, a, b in cells))

    rows = tuple(
        row(name, int(sizes[code]), (eligible[code], retained[code], low[code], high[code]))
        for code, name in enumerate(groups.names)
    )
    all_eligible, all_retained = eligible.sum(axis=0), retained.sum(axis=0)
    all_low, all_high = wilson_interval(all_retained, all_eligible, confidence)
    total = row("all", int(sizes.sum()), (all_eligible, all_retained, all_low, all_high))
    return RetentionTable(tuple(intervals), rows, total, confidence, few_learners)


def counts(
    activity: Activity,
    codes: NDArray[np.int32],
    group_count: int,
    intervals: Sequence[Interval],
    threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Eligible and retained learners, each of shape (groups, intervals)."""
    return _core.count_retained(
        activity.first_day,
        activity.last_day,
        activity.active,
        codes,
        group_count,
        [(interval.first, interval.last) for interval in intervals],
        activity.last_complete_day,
        thread_count(threads),
    )


def _cell(interval: Interval, eligible: int, retained: int, low: float, high: float, few_learners: int) -> Cell:
    if not eligible:
        return Cell(interval, 0, 0, None, 0.0, 1.0, CellVerdict.not_complete)
    verdict = CellVerdict.few if eligible < few_learners else CellVerdict.known
    return Cell(interval, eligible, retained, retained / eligible, low, high, verdict)
