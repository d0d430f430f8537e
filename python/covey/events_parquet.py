"""Events from Parquet files, a batch of rows at a time, only the columns needed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from covey.errors import InputError, suggestion
from covey.events import Events, RowProgress
from covey.events_ahead import read_ahead
from covey.events_intake import MOST_ROWS, Intake, check_domains
from covey.events_mapping import EventMapping
from covey.events_values import Place, is_text

_BATCH_ROWS = 1 << 16


class Batch(NamedTuple):
    """Rows of a file.

    Attributes:
        columns: Arrow arrays by meaning.
        source: the file.
        names: the columns' own names, by meaning.
        first_row: row of the file that the batch begins with.
        row_count: its rows.
    """

    columns: dict[str, Any]
    source: str
    names: dict[str, str]
    first_row: int
    row_count: int


@dataclass(frozen=True, eq=False, slots=True)
class EventFile:
    """A Parquet file of events; it is open only while it is read.

    Attributes:
        path: the file.
        metadata: of its row groups.
        schema: of its columns, as Arrow sees them.
        names: its columns by meaning.
        filesystem: of pyarrow, for a file elsewhere; None on this machine.
    """

    path: PurePath
    metadata: Any
    schema: Any
    names: dict[str, str]
    filesystem: Any = None

    def batches(self, row_groups: Sequence[int]) -> Generator[Batch, None, None]:
        """Rows of consecutive row groups, text as dictionaries; empty batches are left out.

        Raises:
            InputError: for a damaged file.
        """
        first_row = sum(self.metadata.row_group(number).num_rows for number in range(row_groups[0]))
        texts = [field.name for field in self.schema if is_text(field.type)]
        try:
            with pq.ParquetFile(
                str(self.path), metadata=self.metadata, read_dictionary=texts, filesystem=self.filesystem
            ) as parquet:
                wanted = sorted(set(self.names.values()))
                for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=list(row_groups), columns=wanted):
                    if batch.num_rows:
                        columns = {meaning: batch.column(name) for meaning, name in self.names.items()}
                        yield Batch(columns, str(self.path), self.names, first_row, batch.num_rows)
                        first_row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise corrupt(self.path, error) from None


def read(path: Path, mapping: Mapping[str, str] | EventMapping | None, progress: RowProgress | None = None) -> Events:
    """See `Events.from_parquet`."""
    mapping = EventMapping.of(mapping)
    return read_files(path, event_files(path, mapping), mapping, progress)


def read_files(
    path: Path, files: Sequence[EventFile], mapping: EventMapping, progress: RowProgress | None = None
) -> Events:
    """The events of files found below `path`; see `Events.from_parquet`."""
    row_count = sum(file.metadata.num_rows for file in files)
    if row_count > MOST_ROWS:
        remedy = "covey analyze takes more, a piece at a time"
        raise InputError(
            f"there are {row_count} rows", source=str(path), expected=f"at most {MOST_ROWS}", remedy=remedy
        )
    intake = Intake(mapping, row_count, domains_by_key(mapping))
    with closing(read_ahead(all_batches(files))) as batches:
        for batch in batches:
            intake.append(batch.columns, batch.source, batch.names, batch.first_row)
            if progress is not None:
                progress(intake.row_count, row_count)
    pa.default_memory_pool().release_unused()
    events = intake.finish()
    check_domains(events.domains, mapping)
    return events


def event_files(path: Path, mapping: EventMapping) -> list[EventFile]:
    """The files below `path` that have rows, all with the same meanings among their columns.

    Raises:
        InputError: for a file that does not fit, and when there are no rows at all.
    """
    files = []
    for file in parquet_files(path):
        with open_parquet(file) as parquet:
            names = mapping.resolve(parquet.schema_arrow.names, str(file))
            if parquet.metadata.num_rows:
                files.append(EventFile(file, parquet.metadata, parquet.schema_arrow, names))
    if not files:
        raise InputError("there are no rows", source=str(path), expected="at least one event")
    for event_file in files[1:]:
        check_alike(files[0], event_file)
    return files


def all_batches(files: Iterable[EventFile]) -> Generator[Batch, None, None]:
    """All rows of the files, one file after the other."""
    for file in files:
        yield from file.batches(range(file.metadata.num_row_groups))


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the Parquet files below a folder in the order of their names.

    Raises:
        InputError: when there is none.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith((".", "_")))
        if not files:
            raise InputError("the folder holds no Parquet file", source=str(path), expected="files named *.parquet")
        return files
    if not path.exists():
        raise InputError("there is no such file", source=str(path))
    return [path]


def open_parquet(file: Path) -> Any:
    """The opened file.

    Raises:
        InputError: for a file that is empty, unreadable or no Parquet.
    """
    try:
        if file.stat().st_size == 0:
            raise InputError("the file is empty", source=str(file), expected="a Parquet file")
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise corrupt(file, error) from None


def domains_by_key(mapping: EventMapping) -> dict[Any, Any] | None:
    """The domain of each key of the table that `domain_from` names, or None without one.

    Raises:
        InputError: for a missing column, and for a key with two different domains.
    """
    lookup = mapping.lookup()
    if lookup is None:
        return None
    (file,) = parquet_files(Path(lookup.path))
    with open_parquet(file) as parquet:
        available = parquet.schema_arrow.names
        for name in (lookup.key, lookup.value):
            if name not in available:
                remedy = suggestion(name, available)
                raise InputError("there is no such column", source=str(file), column=name, remedy=remedy)
        table = parquet.read(columns=[lookup.key, lookup.value])
    domains: dict[Any, Any] = {}
    pairs = zip(table[lookup.key].to_pylist(), table[lookup.value].to_pylist(), strict=True)
    for row, (key, domain) in enumerate(pairs):
        if domains.setdefault(key, domain) != domain:
            problem = f"key {key} has a second domain '{domain}' beside '{domains[key]}'"
            raise InputError(problem, source=str(file), column=lookup.key, row=row, expected="one domain per key")
    domains.setdefault(None, None)
    return domains


def corrupt(file: PurePath, error: Exception) -> InputError:
    """What to say about a file that Arrow cannot read."""
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(f"it cannot be read ({first_line})", source=str(file), expected="an intact Parquet file")


def check_alike(first: EventFile, file: EventFile) -> None:
    """Raise InputError where two files differ in the meanings or in the type of their columns."""
    for one, other in ((first, file), (file, first)):
        for meaning in one.names.keys() - other.names.keys():
            place = Place(str(other.path), one.names[meaning])
            raise place.error("the column is missing", remedy=f"{one.path} has it")
    kinds = [str(_kind_of_ids(each.schema.field(each.names["learner"]).type)) for each in (first, file)]
    if kinds[0] != kinds[1]:
        place = Place(str(file.path), file.names["learner"])
        raise place.error(f"its type is {kinds[1]}", expected=f"{kinds[0]} as in {first.path}")


def _kind_of_ids(kind: Any) -> Any:
    """Types of ids that may stand in files of one folder have the same kind."""
    if is_text(kind):
        return "text"
    if pa.types.is_dictionary(kind):
        return f"dictionary of {_kind_of_ids(kind.value_type)}"
    if pa.types.is_integer(kind):
        return pa.uint64() if pa.types.is_uint64(kind) else pa.int64()
    return kind
