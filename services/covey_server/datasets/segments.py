"""Segment files: Arrow IPC with one batch of events ordered by learner, never changed once their name is there."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from covey import _core, failpoints
from covey_server.datasets.arrivals import ARRIVAL_ENDING, in_order, is_of_arrivals, read_arrivals, write_arrivals
from covey_server.datasets.segments_columns import SortedColumns, integer_of, merged_names
from covey_server.datasets.tables import SegmentRow
from covey_server.decoding import EventColumns, NamedColumn
from covey_server.store.directory import sync_directory

if TYPE_CHECKING:
    from covey._core import AppendedChunk

FILE_ENDING = ".arrow"
TEMPORARY_ENDING = ".tmp"


class DamagedSegmentError(Exception):
    """A segment file that is not what the manifest says."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """A file that is synced under its name and not yet in a manifest."""

    path: Path
    row_count: int
    byte_count: int
    crc32: int
    newest_us: int

    def row(self, append_id: str, first_chunk: int, last_chunk: int) -> SegmentRow:
        """Its row for the manifest."""
        return SegmentRow(
            0,
            self.path.name,
            self.row_count,
            self.byte_count,
            self.crc32,
            self.newest_us,
            append_id,
            first_chunk,
            last_chunk,
        )


@dataclass(frozen=True, slots=True)
class FilledSegment:
    """A file that is written and neither synced nor named: to be finished or discarded."""

    path: Path
    temporary: Path
    row_count: int
    byte_count: int
    crc32: int
    newest_us: int

    def finish(self) -> WrittenSegment:
        """Sync and name it: fsync, rename, fsync of the folder.

        Raises:
            OSError: nothing is left behind.
        """
        try:
            with self.temporary.open("rb") as file:
                os.fsync(file.fileno())
            failpoints.reach("segment.synced")
            self.temporary.rename(self.path)
            sync_directory(self.path.parent)
            failpoints.reach("segment.named")
        except BaseException:
            self.discard()
            self.path.unlink(missing_ok=True)
            raise
        return WrittenSegment(self.path, self.row_count, self.byte_count, self.crc32, self.newest_us)

    def discard(self) -> None:
        """Remove it."""
        self.temporary.unlink(missing_ok=True)


def write_segment(folder: Path, columns: SortedColumns) -> WrittenSegment:
    """Write, sync and name a file.

    Raises:
        OSError: nothing with a segment's name is left behind.
    """
    return fill_segment(folder, columns).finish()


def fill_segment(folder: Path, columns: SortedColumns) -> FilledSegment:
    """Write a file under a temporary name.

    Raises:
        OSError: nothing is left behind.
    """
    import pyarrow as pa

    table = _table(columns)

    def fill(path: Path) -> tuple[int, int]:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(table.num_rows, 1))
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ) as data,
        ):
            return len(data), _core.crc32([data])

    return _filled(folder, FILE_ENDING, fill, table.num_rows, int(columns.time_us.max()))


def fill_arrival_segment(folder: Path, chunks: Sequence[AppendedChunk]) -> FilledSegment:
    """The same for chunks of one shape, in the order in which they came."""
    row_count, newest_us = sum(chunk.row_count for chunk in chunks), max(chunk.newest_us for chunk in chunks)
    return _filled(folder, ARRIVAL_ENDING, lambda path: write_arrivals(path, chunks), row_count, newest_us)


def _filled(
    folder: Path, ending: str, fill: Callable[[Path], tuple[int, int]], row_count: int, newest_us: int
) -> FilledSegment:
    path = folder / (secrets.token_hex(8) + ending)
    temporary = path.with_suffix(TEMPORARY_ENDING)
    try:
        byte_count, crc32 = fill(temporary)
        failpoints.reach("segment.filled")
        return FilledSegment(path, temporary, row_count, byte_count, crc32, newest_us)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class SegmentFile:
    """A segment of a dataset, checked and mapped into memory when it is first read."""

    def __init__(self, folder: Path, row: SegmentRow) -> None:
        self.row = row
        self.path = folder / row.file
        self._lock = Lock()
        self._table: Any = None
        self._columns: dict[str, Any] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    @property
    def is_of_arrivals(self) -> bool:
        """Whether its events are in the order of arrival, so that reading them puts them in order in memory."""
        return self.row.file.endswith(ARRIVAL_ENDING)

    def table(self) -> Any:
        """The events as a pyarrow table whose columns are pages of the file.

        Raises:
            DamagedSegmentError: the file is missing, too short, or not the bytes that were written.
        """
        with self._lock:
            if self._table is None:
                self._table = _checked_table(self.path, self.row)
            return self._table

    def column(self, name: str) -> Any:
        """A column as a NumPy array; the positions of a dictionary column."""
        found = self._columns.get(name)
        if found is None:
            import pyarrow as pa

            array = self.table().column(name).chunk(0)
            if pa.types.is_dictionary(array.type):
                array = array.indices
            if pa.types.is_timestamp(array.type):
                array = array.view(pa.int64())
            found = self._columns[name] = array.to_numpy()
        return found

    def names(self, name: str) -> tuple[str, ...]:
        """The values of a dictionary column by position; empty for another column."""
        found = self._names.get(name)
        if found is None:
            import pyarrow as pa

            array = self.table().column(name).chunk(0)
            found = tuple(array.dictionary.to_pylist()) if pa.types.is_dictionary(array.type) else ()
            self._names[name] = found
        return found

    def rows_of(self, learner_id: str) -> slice:
        """The rows of a learner, which lie together; empty where there are none."""
        learners = self.column("learner_id")
        key: Any
        if names := self.names("learner_id"):
            key = learners.dtype.type(position) if (position := _position(names, learner_id)) is not None else None
        else:
            number = integer_of(learner_id)
            limits = np.iinfo(learners.dtype)
            key = learners.dtype.type(number) if number is not None and limits.min <= number <= limits.max else None
        if key is None:
            return slice(0, 0)
        return slice(int(np.searchsorted(learners, key, "left")), int(np.searchsorted(learners, key, "right")))

    def events(self, rows: slice, *, with_learners: bool = False) -> EventColumns:
        """Some rows, by default without their learner."""
        learner: Any = None
        if with_learners:
            names, learner = self.names("learner_id"), self.column("learner_id")[rows]
            learner = NamedColumn(learner, names) if names else learner
        return EventColumns(
            time_us=self.column("time")[rows],
            domain=NamedColumn(self.column("domain")[rows], self.names("domain")),
            capability=NamedColumn(self.column("capability")[rows], self.names("capability")),
            kind=self.column("kind")[rows],
            action_taken=self.column("action_taken")[rows],
            weight=self.column("weight")[rows],
            learner=learner,
        )

    def without(self, rows: slice) -> SortedColumns | None:
        """What is left when some rows go; None where that is nothing."""
        if rows.stop - rows.start == self.row.row_count:
            return None

        names = self.names("learner_id")

        def kept(name: str) -> Any:
            return np.delete(self.column(name), rows)

        def kept_names(name: str) -> NamedColumn:
            # A removed learner's values must not stay in a dictionary either.
            return merged_names([NamedColumn(kept(name), self.names(name))])

        return SortedColumns(
            learner=_without_unused(NamedColumn(kept("learner_id"), names)) if names else kept("learner_id"),
            time_us=kept("time"),
            domain=kept_names("domain"),
            capability=kept_names("capability"),
            kind=kept("kind"),
            action_taken=kept("action_taken"),
            weight=kept("weight"),
        )


def _without_unused(column: NamedColumn) -> NamedColumn:
    """The column without names that no row has, in the old order of names."""
    used, index = np.unique(column.index, return_inverse=True)
    return NamedColumn(index.astype(np.int32), tuple(column.names[position] for position in used.tolist()))


def _position(names: tuple[str, ...], learner_id: str) -> int | None:
    key = learner_id.encode()
    low, high = 0, len(names)
    while low < high:
        middle = (low + high) // 2
        if names[middle].encode() < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(names) and names[low] == learner_id else None


def _table(columns: SortedColumns) -> Any:
    import pyarrow as pa

    def array(column: Any) -> Any:
        if isinstance(column, NamedColumn):
            return pa.DictionaryArray.from_arrays(pa.array(column.index), pa.array(column.names, pa.string()))
        return pa.array(column)

    return pa.table(
        {
            "learner_id": array(columns.learner),
            "time": pa.array(columns.time_us).view(pa.timestamp("us", "UTC")),
            "domain": array(columns.domain),
            "capability": array(columns.capability),
            "kind": array(columns.kind),
            "action_taken": array(columns.action_taken),
            "weight": array(columns.weight),
        }
    )


def _checked_table(path: Path, row: SegmentRow) -> Any:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            if source.size() != row.byte_count:
                raise DamagedSegmentError(path, f"it holds {source.size()} bytes; {row.byte_count} were written")
            data = source.read_buffer()
            if _core.crc32([data]) != row.crc32:
                raise DamagedSegmentError(path, "its bytes are not those that were written (CRC-32 differs)")
            table = read_arrivals(data)
            return _table(in_order(table)) if is_of_arrivals(table) else table
    except FileNotFoundError:
        raise DamagedSegmentError(path, "the file is missing") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise DamagedSegmentError(path, f"it cannot be read ({error})") from error
