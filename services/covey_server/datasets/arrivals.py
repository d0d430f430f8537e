"""Segment files in the order of arrival: what bulk appends write, because putting events in order takes longer.

The columns go from the messages that brought them into the file, one Arrow batch a chunk, without a copy in between
and by one system call for many chunks: the kernel then fills large pages, at about half of the cost of a write a
column. A file is a stream of the Arrow format, which needs no footer; earlier ones have one.
Such a file is put in order in memory by whoever reads it first, and replaced by one in order once its append is over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covey import _core
from covey_server.datasets.segments_columns import SortedColumns, merged
from covey_server.decoding import EventColumns, NamedColumn

if TYPE_CHECKING:
    from covey._core import AppendedChunk

ARRIVAL_ENDING = ".arrival.arrow"
_NAMES_KEY = b"covey.names"
_ABSENT_NAMES = ("",)


_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
_PREFIX_BYTES = 8
_FILE_MAGIC = b"ARROW1"
_PIECES_PER_WRITE = 1024  # IOV_MAX


def write_arrivals(path: Path, chunks: Sequence[AppendedChunk]) -> tuple[int, int]:
    """Write chunks of one shape; the file is not synced.

    Returns:
        Its bytes and their CRC-32.

    Raises:
        OSError: the disk.
    """
    import pyarrow as pa

    first = chunks[0]
    names = {"domain": first.domains, "capability": first.capabilities}
    fields = [pa.field(name, pa.from_numpy_dtype(dtype), nullable=False) for name, dtype, _ in first.layout]
    schema = pa.schema(fields, {_NAMES_KEY: json.dumps(names).encode()})
    pieces = [memoryview(schema.serialize()), *_batches(schema, chunks), memoryview(_END_OF_STREAM)]
    with path.open("wb", buffering=0) as file:
        for begin in range(0, len(pieces), _PIECES_PER_WRITE):
            _write_all(file.fileno(), pieces[begin : begin + _PIECES_PER_WRITE])
    return sum(map(len, pieces)), _core.crc32(pieces)


def _batches(schema: Any, chunks: Sequence[AppendedChunk]) -> Iterator[memoryview]:
    """The pieces of a batch a chunk: its header, then each column, filled up to 8 bytes."""
    widths = [field.type.bit_width // 8 for field in schema]
    headers: dict[int, memoryview] = {}
    for chunk in chunks:
        layout, row_count = chunk.layout, chunk.row_count
        message = memoryview(chunk.message)
        columns = [
            message[begin : begin + width * row_count] for width, (_, _, begin) in zip(widths, layout, strict=True)
        ]
        header = headers.get(row_count)
        if header is None:
            header = headers[row_count] = _header(schema, columns, row_count)
        yield header
        for column in columns:
            yield column
            if len(column) % 8:
                yield memoryview(bytes(8 - len(column) % 8))


def _header(schema: Any, columns: Sequence[memoryview], row_count: int) -> memoryview:
    """What stands before the columns of a batch: the same for every batch of so many rows."""
    import pyarrow as pa

    arrays = [
        pa.Array.from_buffers(field.type, row_count, [None, pa.py_buffer(column)])
        for field, column in zip(schema, columns, strict=True)
    ]
    batch = memoryview(pa.RecordBatch.from_arrays(arrays, schema=schema).serialize())
    return batch[: _PREFIX_BYTES + int.from_bytes(batch[4:_PREFIX_BYTES], "little")]


def _write_all(descriptor: int, pieces: list[memoryview]) -> None:
    while pieces:
        written = os.writev(descriptor, pieces)
        position = 0
        while position < len(pieces) and written >= len(pieces[position]):
            written -= len(pieces[position])
            position += 1
        pieces = pieces[position:]
        if written:  # a disk that is nearly full takes a part, and says so the next time
            pieces[0] = pieces[0][written:]


def read_arrivals(data: Any) -> Any:
    """The table in the bytes of such a file, without a copy.

    Args:
        data: a pyarrow buffer.
    """
    import pyarrow as pa

    has_footer = bytes(data[: len(_FILE_MAGIC)]) == _FILE_MAGIC
    return (pa.ipc.open_file if has_footer else pa.ipc.open_stream)(data).read_all()


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
