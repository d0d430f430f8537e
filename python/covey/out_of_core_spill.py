"""Rows of any order parted by learner into temporary files, so that each part can be analysed on its own."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from covey.errors import InputError
from covey.events import Events
from covey.events_codes import Vocabulary
from covey.events_intake import Intake
from covey.events_mapping import EventMapping
from covey.events_parquet import Batch
from covey.events_values import Place, flags, is_text, kinds, refuse_nulls, times_us, weights

_ROWS_AT_A_TIME = 1 << 20
_MOST_BYTES_PER_ROW = 40
_KNUTH = np.uint64(0x9E3779B97F4A7C15)
OWN_MAPPING = EventMapping(time_unit="us")
_CODED = ("domain", "capability")


class RowChecker:
    """Rows of files as numbers, with the part of each: what is wrong with them is said by file, column and row.

    Args:
        part_count: at most 65,535.
        mapping: which column means what.
        domain_of_key: of `EventMapping.domain_from`.
    """

    def __init__(self, part_count: int, mapping: EventMapping, domain_of_key: dict[Any, Any] | None) -> None:
        self.part_count = part_count
        self.newest_us: int | None = None
        self._mapping = mapping
        self._domain_of_key = domain_of_key
        self._vocabularies = {meaning: Vocabulary() for meaning in _CODED}

    @property
    def domains(self) -> list[Any]:
        """The domains of all rows, in order of first appearance."""
        return self._vocabularies["domain"].names_by_code()

    def checked(self, batch: Batch) -> Any:
        """A pyarrow table: part, learner, then codes and numbers.

        Raises:
            InputError: for bad values, as `Events.from_parquet`.
        """
        places = {meaning: Place(batch.source, name, batch.first_row) for meaning, name in batch.names.items()}
        refuse_nulls(batch.columns["learner"], places["learner"], "an id in every row")
        time_us = times_us(batch.columns["time"], self._mapping.time_unit, places["time"])
        newest = int(time_us.max())
        self.newest_us = newest if self.newest_us is None else max(newest, self.newest_us)
        learner, part = _parts(batch.columns["learner"], places["learner"], self.part_count)
        columns = {"part": part, "learner": learner, "time": time_us}
        for meaning in _CODED:
            if meaning in batch.columns:
                renamed = self._domain_of_key if meaning == "domain" else None
                codes = self._vocabularies[meaning].encode(batch.columns[meaning], places[meaning], renamed)
                columns[meaning] = codes.astype(np.int32)
        if "kind" in batch.columns:
            columns["kind"] = kinds(batch.columns["kind"], places["kind"])
        if "action_taken" in batch.columns:
            columns["action_taken"] = flags(batch.columns["action_taken"], places["action_taken"])
        if "weight" in batch.columns:
            columns["weight"] = weights(batch.columns["weight"], places["weight"]).astype(np.float64)
        return pa.table(columns)

    def named(self, table: Any) -> dict[str, Any]:
        """Columns of `checked` by meaning as an `Intake` with `OWN_MAPPING` takes them: codes with their names."""
        columns = {name: table.column(name) for name in table.schema.names}
        for meaning in _CODED:
            if meaning in columns:
                names = pa.array(self._vocabularies[meaning].names_by_code())
                columns[meaning] = pa.DictionaryArray.from_arrays(columns[meaning], names)
        return columns


class Spill:
    """Takes batches of rows and keeps them in one file per part; a learner's rows all go to one part.

    Args:
        folder: an empty folder, which whoever made it removes.
        part_count: at most 512.
        row_count: that will come.
        mapping: which column means what.
        domain_of_key: of `EventMapping.domain_from`.

    Raises:
        InputError: when the disk has no room for so many rows.
    """

    def __init__(
        self,
        folder: Path,
        part_count: int,
        row_count: int,
        mapping: EventMapping,
        domain_of_key: dict[Any, Any] | None,
    ) -> None:
        self.folder = folder
        self.row_counts = np.zeros(part_count, dtype=np.int64)
        self._checker = RowChecker(part_count, mapping, domain_of_key)
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._writers: list[Any] = []
        free, needed = shutil.disk_usage(folder).free, row_count * _MOST_BYTES_PER_ROW
        if free < needed:
            raise _no_room(folder, f"{free / 1e9:.1f} GB are free, up to {needed / 1e9:.1f} GB may be needed")

    @property
    def domains(self) -> list[Any]:
        """The domains of all rows, in order of first appearance."""
        return self._checker.domains

    @property
    def newest_us(self) -> int | None:
        """Time of the newest event, None without one."""
        return self._checker.newest_us

    def append(self, batch: Batch) -> None:
        """Add rows.

        Raises:
            InputError: for bad values, as `Events.from_parquet`; when the disk is full.
        """
        table = self._checker.checked(batch)
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= _ROWS_AT_A_TIME:
            self._write()

    def finish(self) -> None:
        """Write what is left; call it after the last row."""
        self._write()
        self._closing(lambda writer: writer.close())

    def close(self) -> None:
        """Let go of the files; they stay."""
        for writer in self._writers:
            try:
                writer.close()
            except (OSError, pa.ArrowException):
                continue
        self._writers = []

    def take(self, part: int) -> Events | None:
        """The events of a part, whose file is removed; None where it has none."""
        if not self.row_counts[part]:
            return None
        path = self._path(part)
        intake = Intake(OWN_MAPPING, int(self.row_counts[part]), None)
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                columns = self._checker.named(batch)
                intake.append(columns, str(path), {name: name for name in columns}, intake.row_count)
        path.unlink()
        return intake.finish()

    def _write(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_rows = [], 0
        part = table.column("part").to_numpy()
        order = np.argsort(part, kind="stable")
        counts = np.bincount(part, minlength=len(self.row_counts))
        self.row_counts += counts
        rows = table.drop_columns(["part"]).take(pa.array(order))
        ends = np.cumsum(counts)
        if not self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            paths = [self._path(number) for number in range(len(self.row_counts))]
            self._writers = [pa.ipc.new_stream(str(path), rows.schema, options=options) for path in paths]
        starts = iter((ends - counts).tolist())
        sizes = iter(counts.tolist())
        self._closing(lambda writer: writer.write_table(rows.slice(next(starts), next(sizes))))

    def _closing(self, work: Any) -> None:
        """Do something with every writer; a full disk is no traceback."""
        try:
            for writer in self._writers:
                work(writer)
        except OSError as error:
            if error.errno != errno.ENOSPC and "No space left" not in str(error):
                raise
            raise _no_room(self.folder, "it is full") from None

    def _path(self, part: int) -> Path:
        return self.folder / f"part-{part:03d}.arrow"


def _parts(array: Any, place: Place, part_count: int) -> tuple[Any, NDArray[np.uint16]]:
    """Ids in a plain type, and the part of each."""
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if pa.types.is_integer(kind):
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
        ids = array.to_numpy(zero_copy_only=False)
        ids = ids.astype(np.uint64 if pa.types.is_uint64(kind) else np.int64, copy=False)
        return ids, _part_of_hash(ids.view(np.uint64) * _KNUTH, part_count)
    if not is_text(kind):
        raise place.error(f"its type is {array.type}", expected="integer or string ids")
    from covey import _core

    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    texts = pa.concat_arrays([encoded.dictionary.cast(pa.large_string())])
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64, count=len(texts) + 1)
    hashes = _core.hash_strings(starts, np.frombuffer(data or b"", dtype=np.uint8))
    positions = encoded.indices.to_numpy(zero_copy_only=False)
    return texts.take(encoded.indices), _part_of_hash(hashes, part_count)[positions]


def _part_of_hash(hashes: NDArray[np.uint64], part_count: int) -> NDArray[np.uint16]:
    return ((hashes >> np.uint64(40)) % np.uint64(part_count)).astype(np.uint16)


def _no_room(folder: Path, problem: str) -> InputError:
    return InputError(
        f"there is no room for parted events: {problem}",
        source=str(folder),
        remedy="free some, name another folder with TMPDIR, or allow more memory (--memory)",
    )
