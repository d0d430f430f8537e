"""Events from Parquet files, a batch of rows at a time, only the columns needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from covey.errors import InputError, suggestion
from covey.events import Events, RowProgress
from covey.events_intake import MOST_ROWS, Intake
from covey.events_mapping import EventMapping
from covey.events_values import is_text

_BATCH_ROWS = 1 << 17


def read(path: Path, mapping: Mapping[str, str] | EventMapping | None, progress: RowProgress | None = None) -> Events:
    """See `Events.from_parquet`."""
    mapping = EventMapping.of(mapping)
    files = [(file, open_parquet(file)) for file in parquet_files(path)]
    row_count = sum(parquet.metadata.num_rows for _, parquet in files)
    names = [mapping.resolve(parquet.schema_arrow.names, str(file)) for file, parquet in files]
    if row_count == 0:
        raise InputError("there are no rows", source=str(path), expected="at least one event")
    if row_count > MOST_ROWS:
        raise InputError(f"there are {row_count} rows", source=str(path), expected=f"at most {MOST_ROWS}")
    intake = Intake(mapping, row_count, domains_by_key(mapping))
    rows_read = 0
    for (file, parquet), columns_of_file in zip(files, names, strict=True):
        first_row = 0
        for batch in _batches(file, parquet, columns_of_file):
            columns = {meaning: batch.column(name) for meaning, name in columns_of_file.items()}
            intake.append(columns, str(file), columns_of_file, first_row)
            first_row += batch.num_rows
            rows_read += batch.num_rows
            if progress is not None:
                progress(rows_read, row_count)
        parquet.close()
    pa.default_memory_pool().release_unused()
    return intake.finish()


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
    """The opened file; its text columns will be read as dictionaries.

    Raises:
        InputError: for a file that is empty, unreadable or no Parquet.
    """
    try:
        if file.stat().st_size == 0:
            raise InputError("the file is empty", source=str(file), expected="a Parquet file")
        with pq.ParquetFile(file) as parquet:
            texts = [field.name for field in parquet.schema_arrow if is_text(field.type)]
        return pq.ParquetFile(file, read_dictionary=texts)
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(file, error) from None


def domains_by_key(mapping: EventMapping) -> dict[Any, Any] | None:
    """The domain of each key of the table that `domain_from` names, or None without one.

    Raises:
        InputError: for a missing column, and for a key with two different domains.
    """
    lookup = mapping.lookup()
    if lookup is None:
        return None
    (file,) = parquet_files(Path(lookup.path))
    parquet = open_parquet(file)
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


def _batches(file: Path, parquet: Any, names: dict[str, str]) -> Iterator[Any]:
    try:
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=sorted(set(names.values()))):
            if batch.num_rows:
                yield batch
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(file, error) from None


def _corrupt(file: Path, error: Exception) -> InputError:
    first_line = str(error).strip().splitlines()[0]
    return InputError(f"it cannot be read ({first_line})", source=str(file), expected="an intact Parquet file")
