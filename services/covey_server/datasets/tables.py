"""Tables of the datasets: what exists, the manifest of segment files, and how far each append has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, String, Table, Text, UniqueConstraint, delete, insert, select

from covey_server.store.schema import RowNumber, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

datasets = Table(
    "datasets",
    metadata,
    Column("dataset", RowNumber, primary_key=True, autoincrement=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("create_time_us", BigInteger, nullable=False),
    # A number is never given twice, so that an append cannot end up in a dataset made anew under the old name.
    sqlite_autoincrement=True,
)

segments = Table(
    "segments",
    metadata,
    Column("segment", RowNumber, primary_key=True, autoincrement=True),
    Column("dataset", BigInteger, nullable=False, index=True),
    Column("file", String(80), nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("byte_count", BigInteger, nullable=False),
    Column("crc32", BigInteger, nullable=False),
    Column("newest_us", BigInteger, nullable=False),
    Column("append_id", String(128), nullable=False),
    Column("first_chunk", BigInteger, nullable=False),
    Column("last_chunk", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

appends = Table(
    "appends",
    metadata,
    Column("append", RowNumber, primary_key=True, autoincrement=True),
    Column("dataset", BigInteger, nullable=False),
    Column("append_id", String(128), nullable=False),
    Column("synced_chunk", BigInteger, nullable=False),
    Column("synced_events", BigInteger, nullable=False),
    UniqueConstraint("dataset", "append_id"),
)


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment file as the manifest has it.

    Attributes:
        number: of the row; 0 before it is inserted.
        file: name in the dataset's folder.
        row_count: events.
        byte_count: of the file.
        crc32: of all its bytes.
        newest_us: time of its newest event, microseconds since the epoch.
        append_id: of the append that brought it.
        first_chunk, last_chunk: the append's chunks it came from.
    """

    number: int
    file: str
    row_count: int
    byte_count: int
    crc32: int
    newest_us: int
    append_id: str
    first_chunk: int
    last_chunk: int


def insert_segment(connection: Connection, dataset: int, row: SegmentRow) -> int:
    """Add a file to the manifest; returns its number."""
    key = connection.execute(
        insert(segments).values(
            dataset=dataset,
            file=row.file,
            row_count=row.row_count,
            byte_count=row.byte_count,
            crc32=row.crc32,
            newest_us=row.newest_us,
            append_id=row.append_id,
            first_chunk=row.first_chunk,
            last_chunk=row.last_chunk,
        )
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def segment_rows(connection: Connection, dataset: int) -> list[SegmentRow]:
    """The manifest of a dataset, oldest first."""
    query = select(segments).where(segments.c.dataset == dataset).order_by(segments.c.segment)
    return [
        SegmentRow(
            number=row.segment,
            file=row.file,
            row_count=row.row_count,
            byte_count=row.byte_count,
            crc32=row.crc32,
            newest_us=row.newest_us,
            append_id=row.append_id,
            first_chunk=row.first_chunk,
            last_chunk=row.last_chunk,
        )
        for row in connection.execute(query)
    ]


def delete_segment(connection: Connection, number: int) -> bool:
    """Take a file out of the manifest; False where it is not there any more."""
    return connection.execute(delete(segments).where(segments.c.segment == number)).rowcount == 1
