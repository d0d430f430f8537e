"""Events of a request as NumPy columns for the engines, checked value by value.

Nothing is half-accepted: every wrong field of a message is named in one INVALID_ARGUMENT, such as
`requests[3].packed.time_us: 17 bytes is not a multiple of 8`. Packed columns are read in place, without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.instants import EARLIEST_US, LATEST_US
from covey.v1 import events_pb2
from covey_server.catalogue.names import LONGEST_LEARNER_ID_BYTES
from covey_server.errors import invalid
from covey_server.violations import Violations

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

KIND_COUNT = 5
_OVERLONG = f"is longer than {LONGEST_LEARNER_ID_BYTES} bytes of UTF-8"

IndexColumn = NDArray[np.int32] | NDArray[np.uint16] | NDArray[np.uint8]
IdColumn = NDArray[np.int64] | NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A dictionary-encoded column: row i is `names[index[i]]`; names are distinct."""

    index: IndexColumn
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Checked events, one entry per row in every column, rows in any order.

    Attributes:
        time_us: int64 microseconds since the epoch, UTC.
        domain: int32, uint16 or uint8 positions with their names.
        capability: int32 or uint16 positions with their names.
        kind: uint8 numbers of EventKind, or None: all OTHER.
        action_taken: uint8 0 or 1, or None: all 0.
        weight: finite and >= 0, or None: all 1.
        learner: integer ids, or names by position; None in calls that name their learner elsewhere.
    """

    time_us: NDArray[np.int64]
    domain: NamedColumn
    capability: NamedColumn
    kind: NDArray[np.uint8] | None
    action_taken: NDArray[np.uint8] | None
    weight: NDArray[np.float32] | NDArray[np.float64] | None
    learner: IdColumn | NamedColumn | None = None

    @property
    def row_count(self) -> int:
        """Number of events."""
        return len(self.time_us)


def decode_packed(packed: events_pb2.PackedEvents, field: str, *, with_learners: bool = False) -> EventColumns:
    """Columns of packed events.

    Args:
        packed: little-endian columns of `event_count` rows.
        field: path of the message in the request, for violations.
        with_learners: whether each row must name its learner (appends) or must not (per-learner calls).

    Raises:
        CallError: INVALID_ARGUMENT with every wrong field.
    """
    violations = Violations(field)
    if packed.event_count < 0:
        violations.add("event_count", f"{packed.event_count} is negative")
        raise violations.error()
    reader = _PackedReader(violations, packed.event_count)
    time_us = reader.column("time_us", packed.time_us, np.dtype("<i8"))
    # An absent column is as long as the times that were sent: event_count alone must not make the server allocate.
    reader.absent_count = len(time_us)
    weight = reader.optional("weight_float32", packed.weight_float32, np.dtype("<f4"))
    kind = reader.optional("kind", packed.kind, np.dtype("u1"))
    action_taken = reader.optional("action_taken", packed.action_taken, np.dtype("u1"))
    domain = reader.dictionary("domain", packed.domain if packed.HasField("domain") else None)
    capability = reader.dictionary("capability", packed.capability if packed.HasField("capability") else None)
    learner = _packed_learner(packed, reader, violations, with_learners)
    if capability.index.dtype == np.uint8:  # the engines read capabilities as uint16 or int32
        capability = NamedColumn(capability.index.astype(np.uint16), capability.names)
    _check_values(violations, time_us, kind, action_taken, weight)
    violations.raise_if_any()
    return EventColumns(time_us, domain, capability, kind, action_taken, weight, learner)


def decode_rows(rows: events_pb2.EventRows, field: str, *, with_learners: bool = False) -> EventColumns:
    """Columns of events written row by row; arguments and errors as `decode_packed`."""
    violations = Violations(field)
    times: list[int] = []
    weights: list[float] = []
    has_weight = False
    for position, row in enumerate(rows.rows):
        if row.HasField("time"):
            time_us = row.time.seconds * 1_000_000 + row.time.nanos // 1000
            if not (0 <= row.time.nanos < 1_000_000_000 and EARLIEST_US <= time_us <= LATEST_US):
                place, expected = f"rows[{position}].time", "expected the years 1 to 9999 and nanos 0 to 999,999,999"
                violations.add(place, f"is {row.time.seconds} s and {row.time.nanos} ns; {expected}")
            times.append(time_us)
        else:
            times.append(0)
            violations.add(f"rows[{position}].time", "is missing; every event has a time")
        if not 0 <= row.kind < KIND_COUNT:
            violations.add(f"rows[{position}].kind", f"{row.kind} is no EventKind")
        if bool(row.learner_id) != with_learners:
            expected = "is missing" if with_learners else "must be empty: the request names the learner"
            violations.add(f"rows[{position}].learner_id", expected)
        elif _is_overlong(row.learner_id):
            violations.add(f"rows[{position}].learner_id", _OVERLONG)
        has_weight = has_weight or row.HasField("weight")
        weights.append(row.weight if row.HasField("weight") else 1.0)
    violations.raise_if_any()
    count = len(times)
    weight = np.array(weights) if has_weight else None
    _check_weight(violations, weight, "rows[{}].weight")
    violations.raise_if_any()
    return EventColumns(
        time_us=np.array(times, dtype=np.int64),
        domain=_encoded([row.domain for row in rows.rows]),
        capability=_encoded([row.capability for row in rows.rows]),
        kind=np.fromiter((row.kind for row in rows.rows), np.uint8, count),
        action_taken=np.fromiter((row.action_taken for row in rows.rows), np.uint8, count),
        weight=weight,
        learner=_encoded([row.learner_id for row in rows.rows]) if with_learners else None,
    )


def microseconds_of(timestamp: Timestamp, field: str) -> int:
    """Microseconds since the epoch, floored.

    Raises:
        CallError: INVALID_ARGUMENT outside the years 1 to 9999, or for nanoseconds that are no part of a second.
    """
    microseconds = timestamp.seconds * 1_000_000 + timestamp.nanos // 1000
    if not EARLIEST_US <= microseconds <= LATEST_US or not 0 <= timestamp.nanos < 1_000_000_000:
        raise invalid(field, "is not a time of the years 1 to 9999")
    return microseconds


class _PackedReader:
    """Reads `bytes` fields as columns of `count` rows; what does not fit becomes a violation and a column of zeros."""

    def __init__(self, violations: Violations, count: int) -> None:
        self._violations = violations
        self._count = count
        self.absent_count = 0

    def column(self, name: str, data: bytes, dtype: np.dtype) -> NDArray:  # type: ignore[type-arg]
        if len(data) % dtype.itemsize:
            self._violations.add(name, f"{len(data)} bytes is not a multiple of {dtype.itemsize}")
        elif len(data) // dtype.itemsize != self._count:
            rows = len(data) // dtype.itemsize
            self._violations.add(name, f"holds {rows} rows; event_count is {self._count}")
        else:
            return np.frombuffer(data, dtype=dtype)
        return np.zeros(0, dtype=dtype)

    def optional(self, name: str, data: bytes, dtype: np.dtype) -> NDArray | None:  # type: ignore[type-arg]
        return self.column(name, data, dtype) if data else None

    def dictionary(self, name: str, column: events_pb2.DictionaryColumn | None) -> NamedColumn:
        if column is None:
            return NamedColumn(np.zeros(self.absent_count, np.uint8), ("",))
        choice = column.WhichOneof("indices")
        if choice is None:
            if self._count:
                self._violations.add(
                    f"{name}.indices", "is missing; one of indices_uint8, indices_uint16, indices_int32"
                )
            return NamedColumn(np.zeros(0, np.uint8), tuple(column.values))
        dtype = {"indices_uint8": "u1", "indices_uint16": "<u2", "indices_int32": "<i4"}[choice]
        index: IndexColumn = self.column(f"{name}.{choice}", getattr(column, choice), np.dtype(dtype))
        if len(index):
            low, high = int(index.min()), int(index.max())
            if low < 0 or high >= len(column.values):
                wrong = low if low < 0 else high
                row = int(np.flatnonzero(index == wrong)[0])
                held = len(column.values)
                self._violations.add(f"{name}.{choice}", f"row {row} is {wrong}; the dictionary holds {held} values")
                return NamedColumn(np.zeros(0, np.uint8), tuple(column.values))
        return _distinct(index, column.values)


def _distinct(index: IndexColumn, values: Iterable[str]) -> NamedColumn:
    """The column with repeated dictionary values made one, as the traits count distinct values."""
    names = tuple(values)
    position_of_name = {name: position for position, name in enumerate(dict.fromkeys(names))}
    if len(position_of_name) == len(names):
        return NamedColumn(index, names)
    new_position = np.array([position_of_name[name] for name in names], dtype=np.int32)
    return NamedColumn(new_position[index], tuple(position_of_name))


def _encoded(values: list[str]) -> NamedColumn:
    position_of_name = {name: position for position, name in enumerate(dict.fromkeys(values))}
    index = np.fromiter((position_of_name[value] for value in values), np.int32, len(values))
    return NamedColumn(index, tuple(position_of_name) or ("",))


def _packed_learner(
    packed: events_pb2.PackedEvents, reader: _PackedReader, violations: Violations, with_learners: bool
) -> IdColumn | NamedColumn | None:
    choice = packed.WhichOneof("learner_id")
    if not with_learners:
        if choice is not None:
            violations.add(choice, "must be absent: the request names the learner")
        return None
    if choice is None:
        if packed.event_count:
            violations.add(
                "learner_id", "is missing; one of learner_id_int64, learner_id_uint64, learner_id_dictionary"
            )
        return np.zeros(0, np.int64)
    if choice == "learner_id_dictionary":
        named = reader.dictionary(choice, packed.learner_id_dictionary)
        if "" in named.names:
            violations.add(f"{choice}.values[{named.names.index('')}]", "is empty; every event has a learner")
        overlong = next((position for position, name in enumerate(named.names) if _is_overlong(name)), None)
        if overlong is not None:
            violations.add(f"{choice}.values[{overlong}]", _OVERLONG)
        return named
    ids: IdColumn = reader.column(
        choice, getattr(packed, choice), np.dtype("<i8" if choice.endswith("_int64") else "<u8")
    )
    return ids


def _check_values(
    violations: Violations,
    time_us: NDArray[np.int64],
    kind: NDArray[np.uint8] | None,
    action_taken: NDArray[np.uint8] | None,
    weight: NDArray[np.float32] | NDArray[np.float64] | None,
) -> None:
    if len(time_us) and (time_us.min() < EARLIEST_US or time_us.max() > LATEST_US):
        row = int(np.flatnonzero((time_us < EARLIEST_US) | (time_us > LATEST_US))[0])
        violations.add("time_us", f"row {row} is {time_us[row]} µs; expected the years 1 to 9999")
    _check_weight(violations, weight, "weight_float32")
    if kind is not None and len(kind) and kind.max() >= KIND_COUNT:
        row = int(np.flatnonzero(kind >= KIND_COUNT)[0])
        violations.add("kind", f"row {row} is {kind[row]}, which is no EventKind")
    if action_taken is not None and len(action_taken) and action_taken.max() > 1:
        row = int(np.flatnonzero(action_taken > 1)[0])
        violations.add("action_taken", f"row {row} is {action_taken[row]}; expected 0 or 1")


def _check_weight(violations: Violations, weight: NDArray[np.float32] | NDArray[np.float64] | None, place: str) -> None:
    if weight is not None and len(weight) and not (np.isfinite(weight).all() and weight.min() >= 0):
        row = int(np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))[0])
        violations.add(place.format(row), f"row {row} is {weight[row]}; weights are finite and >= 0")


def _is_overlong(learner: str) -> bool:
    """Whether no call could name that learner: neither analyze nor delete it."""
    return len(learner.encode()) > LONGEST_LEARNER_ID_BYTES
