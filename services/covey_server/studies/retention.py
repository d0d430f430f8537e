"""GetRetention: the request as arguments of the library, its answer as a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from covey.retention.activity import date_of
from covey.retention.groups import Period
from covey.retention.intervals import Interval
from covey.retention.measure import DEFAULT_LANDMARK_DAYS, GroupBy, Retention, measure
from covey.retention.table import Cell, CellVerdict, RetentionRow
from covey.v1 import retention_pb2
from covey_server.errors import invalid
from covey_server.studies.fields import confidence_of, instant_of, k_of, or_default, seed_of

if TYPE_CHECKING:
    from covey.events import Events
    from covey.retention.curves import Curves, GroupCurve

_MOST_INTERVALS = 100
_Request = retention_pb2.GetRetentionRequest
_GROUPINGS = {
    _Request.GROUPING_UNSPECIFIED: (GroupBy.start, Period.week),
    _Request.GROUPING_START_DAY: (GroupBy.start, Period.day),
    _Request.GROUPING_START_WEEK: (GroupBy.start, Period.week),
    _Request.GROUPING_START_MONTH: (GroupBy.start, Period.month),
    _Request.GROUPING_ARCHETYPE: (GroupBy.archetype, Period.week),
    _Request.GROUPING_NONE: (GroupBy.none, Period.week),
}
_VERDICTS = {
    CellVerdict.known: retention_pb2.RetentionCell.VERDICT_KNOWN,
    CellVerdict.few: retention_pb2.RetentionCell.VERDICT_FEW,
    CellVerdict.not_complete: retention_pb2.RetentionCell.VERDICT_NOT_COMPLETE,
}


def get_retention(
    request: retention_pb2.GetRetentionRequest, events: Callable[[], Events], threads: int
) -> retention_pb2.GetRetentionResponse:
    """Measure and answer.

    Args:
        request: what is asked.
        events: loads them, once the request is known to be sound.
        threads: at most so many.

    Raises:
        CallError: INVALID_ARGUMENT for a field out of range.
        InputError: the request does not fit the events.
    """
    if request.grouping not in _GROUPINGS:
        raise invalid("grouping", f"{request.grouping} is no grouping")
    if abs(request.day_start_seconds) >= 86_400:
        raise invalid("day_start_seconds", f"{request.day_start_seconds} is not within one day")
    by, period = _GROUPINGS[request.grouping]
    as_of_us = instant_of(request.as_of, "as_of", request.HasField("as_of"))
    intervals, k, confidence = _intervals(request.intervals), k_of(request), confidence_of(request)
    landmark_days = or_default(request.landmark_days, DEFAULT_LANDMARK_DAYS, "landmark_days")
    seed = seed_of(request.seed)
    away_after_days = or_default(request.away_after_days, 0, "away_after_days") or None
    found = measure(
        events(),
        intervals or None,
        by,
        period=period,
        landmark_days=landmark_days,
        away_after_days=away_after_days,
        k=k,
        seed=seed,
        as_of=as_of_us,
        day_start_seconds=request.day_start_seconds,
        confidence=confidence,
        threads=threads,
    )
    return _message(found)


def _intervals(given: Sequence[retention_pb2.DayInterval]) -> tuple[Interval, ...]:
    if len(given) > _MOST_INTERVALS:
        raise invalid("intervals", f"{len(given)} are more than {_MOST_INTERVALS}")
    for number, own in enumerate(given):
        if own.first_day < 1 or (own.HasField("last_day") and own.last_day < own.first_day):
            raise invalid(f"intervals[{number}]", "days are from 1 on, the last not before the first")
    return tuple(Interval(own.first_day, own.last_day if own.HasField("last_day") else None) for own in given)


def _message(found: Retention) -> retention_pb2.GetRetentionResponse:
    message = retention_pb2.GetRetentionResponse(
        last_complete_date=date_of(found.activity.last_complete_day).isoformat(),
        ignored_event_count=found.activity.ignored_event_count,
        groups=[_group(row) for row in found.table.rows],
        total=_group(found.table.total),
        curves_problem=found.curves_problem,
    )
    message.as_of.FromMicroseconds(found.activity.as_of_us)
    if found.curves is not None:
        _add_curves(message, found.curves)
    return message


def _group(row: RetentionRow) -> retention_pb2.RetentionGroup:
    return retention_pb2.RetentionGroup(
        group=row.group, learner_count=row.learner_count, cells=[_cell(cell) for cell in row.cells]
    )


def _cell(cell: Cell) -> retention_pb2.RetentionCell:
    interval = retention_pb2.DayInterval(first_day=cell.interval.first, last_day=cell.interval.last)
    return retention_pb2.RetentionCell(
        interval=interval,
        eligible_count=cell.eligible_count,
        retained_count=cell.retained_count,
        share=cell.share,
        low=cell.low,
        high=cell.high,
        verdict=_VERDICTS[cell.verdict],
    )


def _add_curves(message: retention_pb2.GetRetentionResponse, found: Curves) -> None:
    lines = found.groups if len(found.groups) > 1 else ()
    message.curves.extend(_curve(line) for line in (*lines, found.total))
    message.log_rank_problem = found.test_problem
    if found.test is not None:
        message.log_rank.chi_squared = found.test.statistic
        message.log_rank.degrees_of_freedom = found.test.degrees_of_freedom
        message.log_rank.p_value = found.test.p_value


def _curve(line: GroupCurve) -> retention_pb2.SurvivalCurve:
    curve = line.curve
    columns = (curve.durations, curve.at_risk, curve.events, curve.survival, curve.low, curve.high)
    return retention_pb2.SurvivalCurve(
        group=line.group,
        learner_count=line.learner_count,
        left_count=line.left_count,
        watched_days=int(curve.longest),
        steps=[
            retention_pb2.SurvivalStep(
                day=int(day), at_risk_count=at_risk, left_count=left, survival=survival, low=low, high=high
            )
            for day, at_risk, left, survival, low, high in zip(*(c.tolist() for c in columns), strict=True)
        ],
    )
