"""Learners' histories ready to send: an event file cut by learner and packed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import analyzer_pb2, events_pb2

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = {"training": 2, "workflow": 3, "feedback": 4}
_OTHER = 1
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class EventTable:
    """Events of a file as plain columns, sorted by learner; `starts` marks where each learner begins.

    Attributes:
        learner_ids: one per learner, as text.
        starts: shape (learners + 1,), positions in the columns below.
        time_us: int64, microseconds since the epoch.
        domains: names; `domain_index` points into them.
        domain_index: int32.
        capabilities: names; `capability_index` points into them.
        capability_index: int32.
        kind: uint8, numbers of EventKind.
        action_taken: uint8, 0 or 1.
        weight: float32.
    """

    learner_ids: list[str]
    starts: np.ndarray[Any, np.dtype[np.int64]]
    time_us: np.ndarray[Any, np.dtype[np.int64]]
    domains: list[str]
    domain_index: np.ndarray[Any, np.dtype[np.int32]]
    capabilities: list[str]
    capability_index: np.ndarray[Any, np.dtype[np.int32]]
    kind: np.ndarray[Any, np.dtype[np.uint8]]
    action_taken: np.ndarray[Any, np.dtype[np.uint8]]
    weight: np.ndarray[Any, np.dtype[np.float32]]

    @property
    def newest_us(self) -> int:
        """Time of the newest event."""
        return int(self.time_us.max())

    def pack(self, first: int, last: int, *, with_learners: bool) -> events_pb2.PackedEvents:
        """The events of learners `first` up to before `last`, as packed columns."""
        rows = slice(int(self.starts[first]), int(self.starts[last]))
        packed = events_pb2.PackedEvents(
            event_count=rows.stop - rows.start,
            time_us=self.time_us[rows].astype("<i8").tobytes(),
            domain=_dictionary(self.domains, self.domain_index[rows]),
            capability=_dictionary(self.capabilities, self.capability_index[rows]),
            kind=self.kind[rows].tobytes(),
            action_taken=self.action_taken[rows].tobytes(),
            weight_float32=self.weight[rows].astype("<f4").tobytes(),
        )
        if with_learners:
            counts = np.diff(self.starts[first : last + 1])
            owners = np.repeat(np.arange(last - first, dtype=np.int32), counts)
            packed.learner_id_dictionary.CopyFrom(_dictionary(self.learner_ids[first:last], owners))
        return packed

    def requests(self, count: int) -> list[analyzer_pb2.AnalyzeLearnerRequest]:
        """One call for each of the first `count` learners, all looked at one second after the newest event."""
        as_of = Timestamp()
        as_of.FromMicroseconds(self.newest_us + _MICROSECONDS)
        return [
            analyzer_pb2.AnalyzeLearnerRequest(
                learner_id=learner_id, packed=self.pack(index, index + 1, with_learners=False), as_of=as_of
            )
            for index, learner_id in enumerate(self.learner_ids[:count])
        ]

    def chunks(self, learner_count: int) -> Iterator[events_pb2.PackedEvents]:
        """All events, so many learners at a time."""
        for first in range(0, len(self.learner_ids), learner_count):
            yield self.pack(first, min(first + learner_count, len(self.learner_ids)), with_learners=True)


def _dictionary(values: list[str], index: np.ndarray[Any, np.dtype[np.int32]]) -> events_pb2.DictionaryColumn:
    """The column with only the values that occur in it."""
    used, local = np.unique(index, return_inverse=True)
    column = events_pb2.DictionaryColumn(values=[values[int(position)] for position in used])
    if len(used) <= 256:
        column.indices_uint8 = local.astype(np.uint8).tobytes()
    elif len(used) <= 65_536:
        column.indices_uint16 = local.astype("<u2").tobytes()
    else:
        column.indices_int32 = local.astype("<i4").tobytes()
    return column


def read_event_table(path: Path) -> EventTable:
    """Reads a Parquet file as `covey generate` writes it (columns of DESIGN 4)."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    ids, learner_index = _codes(table["learner_id"])
    order = np.argsort(learner_index, kind="stable")
    domains, domain_index = _codes(table["domain"])
    capabilities, capability_index = _codes(table["capability"])
    kinds, kind_index = _codes(table["kind"])
    numbers = np.array([_KINDS.get(name, _OTHER) for name in kinds], np.uint8)
    acted = table["action_taken"].fill_null(False).to_numpy()
    weight = table["weight"].to_numpy() if "weight" in table.column_names else np.ones(len(order))
    counts = np.bincount(learner_index, minlength=len(ids))
    return EventTable(
        learner_ids=ids,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        time_us=_microseconds(table["time"])[order],
        domains=domains,
        domain_index=domain_index[order],
        capabilities=capabilities,
        capability_index=capability_index[order],
        kind=numbers[kind_index][order],
        action_taken=acted.astype(np.uint8)[order],
        weight=weight.astype(np.float32)[order],
    )


def _codes(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray[Any, np.dtype[np.int32]]]:
    import pyarrow as pa

    whole = column.combine_chunks()
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    return [str(value) for value in whole.dictionary.to_pylist()], whole.indices.to_numpy().astype(np.int32)


def _microseconds(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    import pyarrow as pa

    return np.asarray(column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_numpy(), np.int64)
