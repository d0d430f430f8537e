"""What the statistics of Parquet files tell before any row is read: the order of learners, and the newest event."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from covey.events_mapping import EventMapping
from covey.events_parquet import EventFile
from covey.events_values import Place, is_text, times_us

LearnerKey = Any
"""An id as it sorts: a number, or UTF-8 bytes; all ids of a folder are of one kind."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group and the learners that its statistics promise.

    Attributes:
        file: position among the files.
        number: position in the file.
        row_count: its rows.
        first, last: smallest and largest id.
    """

    file: int
    number: int
    row_count: int
    first: LearnerKey
    last: LearnerKey


def row_groups_by_learner(files: Sequence[EventFile]) -> list[RowGroup] | None:
    """All row groups in the order of their learners, where no two overlap except in one learner at their border.

    Returns:
        None where they overlap, or where a file does not tell.
    """
    groups = []
    for position, file in enumerate(files):
        name = file.names["learner"]
        kind = file.schema.field(name).type
        for number in range(file.metadata.num_row_groups):
            statistics = _statistics(file, number, name)
            row_count = file.metadata.row_group(number).num_rows
            if row_count == 0:
                continue
            if statistics is None or not (is_text(kind) or pa.types.is_integer(kind)):
                return None
            groups.append(RowGroup(position, number, row_count, _key(statistics.min), _key(statistics.max)))
    groups.sort(key=lambda group: (group.first, group.last))
    for one, following in pairwise(groups):
        if one.last > following.first:
            return None
    return groups


def pieces_of(groups: Sequence[RowGroup], rows_per_piece: int) -> list[list[RowGroup]]:
    """Neighbouring row groups together, as many as do not exceed `rows_per_piece`, one at least."""
    pieces: list[list[RowGroup]] = []
    rows = 0
    for group in groups:
        if not pieces or rows + group.row_count > rows_per_piece:
            pieces.append([])
            rows = 0
        pieces[-1].append(group)
        rows += group.row_count
    return pieces


def newest_by_statistics(files: Sequence[EventFile], mapping: EventMapping) -> int | None:
    """Time of the newest event in microseconds as the files' statistics have it, or None where they do not tell."""
    newest = []
    for file in files:
        name = file.names["time"]
        kind = file.schema.field(name).type
        for number in range(file.metadata.num_row_groups):
            if file.metadata.row_group(number).num_rows == 0:
                continue
            statistics = _statistics(file, number, name)
            if statistics is None or pa.types.is_floating(kind):
                return None
            try:
                latest = pa.array([statistics.max], type=kind)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                return None
            newest.append(int(times_us(latest, mapping.time_unit, Place(str(file.path), name))[0]))
    return max(newest)


def newest_by_reading(files: Sequence[EventFile], mapping: EventMapping) -> int:
    """Time of the newest event in microseconds, from the times of all rows."""
    newest: list[int] = []
    for batch in _time_batches(files):
        times = times_us(batch.columns["time"], mapping.time_unit, Place(batch.source, batch.names["time"]))
        newest.append(int(np.max(times)))
    return max(newest)


def _time_batches(files: Sequence[EventFile]) -> Generator[Any, None, None]:
    for file in files:
        only_times = replace(file, names={"time": file.names["time"]})
        yield from only_times.batches(range(file.metadata.num_row_groups))


def _statistics(file: EventFile, number: int, name: str) -> Any:
    """Statistics of a column with its smallest and largest value, or None."""
    group = file.metadata.row_group(number)
    for position in range(group.num_columns):
        column = group.column(position)
        if column.path_in_schema == name:
            statistics = column.statistics
            return statistics if statistics is not None and statistics.has_min_max else None
    return None


def _key(value: Any) -> LearnerKey:
    return value.encode() if isinstance(value, str) else value
