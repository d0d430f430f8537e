"""Columns of several chunks as one, ordered by learner: the order in which a segment file finds a learner at once.

Learner ids of a segment are int64 where all are integers that fit, else uint64 where those fit, else text. The decimal
text of an integer is that integer, so 42 and "42" are one learner.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey_server.decoding import EventColumns, NamedColumn

LearnerColumn = NDArray[np.int64] | NDArray[np.uint64] | NamedColumn

_OTHER = 1
_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,19}")
_INT64 = np.iinfo(np.int64)
_UINT64 = np.iinfo(np.uint64)


@dataclass(frozen=True, slots=True)
class SortedColumns:
    """Events ordered by learner, every column present.

    Attributes:
        learner: ascending integers, or ascending positions in ascending names.
        time_us: int64.
        domain, capability: positions with their names.
        kind, action_taken: uint8.
        weight: float32 or float64.
    """

    learner: LearnerColumn
    time_us: NDArray[np.int64]
    domain: NamedColumn
    capability: NamedColumn
    kind: NDArray[np.uint8]
    action_taken: NDArray[np.uint8]
    weight: NDArray[Any]


def integer_of(text: str) -> int | None:
    """The integer of which `text` is the decimal text; None for any other text."""
    if not _DECIMAL.fullmatch(text):
        return None
    number = int(text)
    return number if _INT64.min <= number <= _UINT64.max else None


def merged(chunks: Sequence[EventColumns]) -> SortedColumns:
    """One set of columns from chunks of at least one event in total, all of which name their learners."""
    learner, order = _merged_learners([chunk.learner for chunk in chunks])
    return SortedColumns(
        learner=learner,
        time_us=np.concatenate([chunk.time_us for chunk in chunks])[order],
        domain=taken(merged_names([chunk.domain for chunk in chunks]), order),
        capability=taken(merged_names([chunk.capability for chunk in chunks]), order),
        kind=_filled([chunk.kind for chunk in chunks], chunks, np.uint8(_OTHER))[order],
        action_taken=_filled([chunk.action_taken for chunk in chunks], chunks, np.uint8(0))[order],
        weight=_filled([chunk.weight for chunk in chunks], chunks, np.float32(1))[order],
    )


def merged_names(columns: Sequence[NamedColumn]) -> NamedColumn:
    """One dictionary column from several, of the names that occur, in the narrowest type of positions."""
    position_of_name: dict[str, int] = {}
    indices = []
    for column in columns:
        positions = np.zeros(max(len(column.names), 1), np.int32)
        # A dictionary may list names that no row has.
        for used in np.unique(column.index).tolist():
            positions[used] = position_of_name.setdefault(column.names[used], len(position_of_name))
        indices.append(positions[column.index])
    return NamedColumn(_narrowed(np.concatenate(indices), len(position_of_name)), tuple(position_of_name) or ("",))


def taken(column: NamedColumn, rows: Any) -> NamedColumn:
    """The same dictionary for some rows."""
    return NamedColumn(column.index[rows], column.names)


def _merged_learners(columns: Sequence[LearnerColumn | None]) -> tuple[LearnerColumn, NDArray[np.intp]]:
    known = [_integers(column) for column in columns if column is not None and _length(column)]
    integers = [column for column in known if not isinstance(column, NamedColumn)]
    if len(integers) == len(known):
        values = _one_type(integers)
        if values is not None:
            order = np.argsort(values, kind="stable")
            return values[order], order
    named = merged_names([_named(column) for column in known])
    by_bytes = sorted(range(len(named.names)), key=lambda position: named.names[position].encode())
    rank = np.empty(len(by_bytes), np.int32)
    rank[by_bytes] = np.arange(len(by_bytes), dtype=np.int32)
    ranks = rank[named.index]
    order = np.argsort(ranks, kind="stable")
    return NamedColumn(ranks[order], tuple(named.names[position] for position in by_bytes)), order


def _integers(column: LearnerColumn) -> LearnerColumn:
    """Names that are all integers become integers."""
    if not isinstance(column, NamedColumn):
        return column
    used = np.unique(column.index)
    numbers = [integer_of(column.names[position]) for position in used.tolist()]
    if any(number is None for number in numbers):
        return column
    low, high = min(n for n in numbers if n is not None), max(n for n in numbers if n is not None)
    if high > _INT64.max and low < 0:
        return column
    values: NDArray[Any] = np.zeros(len(column.names), np.int64 if high <= _INT64.max else np.uint64)
    values[used] = np.array(numbers, values.dtype)
    found: NDArray[Any] = values[column.index]
    return found


def _one_type(columns: Sequence[Any]) -> NDArray[Any] | None:
    """Integers in one type that holds them all exactly; None where there is none."""
    if any(column.dtype == np.uint64 and int(column.max()) > _INT64.max for column in columns):
        if any(column.dtype == np.int64 and int(column.min()) < 0 for column in columns):
            return None
        return np.concatenate([column.astype(np.uint64) for column in columns])
    return np.concatenate([column.astype(np.int64) for column in columns])


def _named(column: LearnerColumn) -> NamedColumn:
    if isinstance(column, NamedColumn):
        return column
    distinct, index = np.unique(column, return_inverse=True)
    return NamedColumn(index.astype(np.int32), tuple(str(value) for value in distinct.tolist()))


def _length(column: LearnerColumn) -> int:
    return len(column.index) if isinstance(column, NamedColumn) else len(column)


def _narrowed(index: NDArray[np.int32], count: int) -> Any:
    if count <= 1 << 8:
        return index.astype(np.uint8)
    return index.astype(np.uint16) if count <= 1 << 16 else index


def _filled(columns: Sequence[Any], chunks: Sequence[EventColumns], default: Any) -> NDArray[Any]:
    present = [
        np.full(chunk.row_count, default) if column is None else column
        for column, chunk in zip(columns, chunks, strict=True)
    ]
    return np.concatenate(present)
