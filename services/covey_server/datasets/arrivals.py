"""Segment files in the order of arrival: what bulk appends write, because putting events in order takes longer.

The columns go from the messages that brought them into the file, one Arrow batch a chunk, without a copy in between.
Such a file is put in order in memory by whoever reads it first, and replaced by one in order once its append is over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covey_server.answering.decoding import EventColumns, NamedColumn
from covey_server.datasets.segments_columns import SortedColumns, merged

if TYPE_CHECKING:
    from covey._core import AppendedChunk

ARRIVAL_ENDING = ".arrival.arrow"
_NAMES_KEY = b"covey.names"
_ABSENT_NAMES = ("",)


def write_arrivals(path: Path, chunks: Sequence[AppendedChunk]) -> None:
    """Write chunks of one shape; the file is not synced.

    Raises:
        OSError: the disk.
    """
    import pyarrow as pa

    first = chunks[0]
    names = {"domain": first.domains, "capability": first.capabilities}
    fields = [pa.field(name, pa.from_numpy_dtype(dtype), nullable=False) for name, dtype, _ in first.layout]
    schema = pa.schema(fields, {_NAMES_KEY: json.dumps(names).encode()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for chunk in chunks:
            message = pa.py_buffer(chunk.message)
            columns = [
                pa.Array.from_buffers(field.type, chunk.row_count, [None, message.slice(begin)])
                for field, (_, _, begin) in zip(fields, chunk.layout, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def is_of_arrivals(table: Any) -> bool:
    """Whether a table of a segment file is in the order of arrival."""
    return _NAMES_KEY in (table.schema.metadata or {})


def in_order(table: Any) -> SortedColumns:
    """The events of such a table, in order."""
    names = json.loads(table.schema.metadata[_NAMES_KEY])

    def column(batch: Any, name: str) -> Any:
        position = batch.schema.get_field_index(name)
        return None if position < 0 else batch.column(position).to_numpy()

    def named(batch: Any, name: str) -> NamedColumn:
        index = column(batch, name)
        if index is None:
            return NamedColumn(np.zeros(batch.num_rows, np.uint8), _ABSENT_NAMES)
        return NamedColumn(index, tuple(names[name]))

    return merged(
        [
            EventColumns(
                time_us=column(batch, "time"),
                domain=named(batch, "domain"),
                capability=named(batch, "capability"),
                kind=column(batch, "kind"),
                action_taken=column(batch, "action_taken"),
                weight=column(batch, "weight"),
                learner=column(batch, "learner_id"),
            )
            for batch in table.to_batches()
        ]
    )
