"""Where the events are: Parquet files on a path that every worker sees, or in an object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from covey.errors import InputError
from covey.events_mapping import EventMapping
from covey.events_parquet import EventFile, check_alike, corrupt, domains_by_key, event_files


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Files of events, ready to be read in any process.

    Attributes:
        files: at least one, with rows.
        mapping: which column means what.
        domain_of_key: of `EventMapping.domain_from`.
    """

    files: tuple[EventFile, ...]
    mapping: EventMapping
    domain_of_key: dict[Any, Any] | None

    @property
    def row_count(self) -> int:
        """All rows."""
        return sum(file.metadata.num_rows for file in self.files)


def open_source(place: str | Path, mapping: EventMapping) -> Source:
    """The files below a path, or below a URI of pyarrow.fs such as s3://bucket/events.

    Raises:
        InputError: for a file that does not fit, and when there are no rows at all.
    """
    files = _stored_files(str(place), mapping) if "://" in str(place) else event_files(Path(place).absolute(), mapping)
    return Source(tuple(files), mapping, domains_by_key(mapping))


def _stored_files(uri: str, mapping: EventMapping) -> list[EventFile]:
    from pyarrow import fs

    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
        infos = [filesystem.get_file_info(root)]
        if infos[0].type == fs.FileType.Directory:
            infos = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"the store does not answer ({_first_line(error)})", source=uri) from None
    paths = sorted(
        info.path for info in infos if info.type == fs.FileType.File and not info.base_name.startswith((".", "_"))
    )
    files: list[EventFile] = []
    for path in (path for path in paths if path.endswith(".parquet")):
        name = PurePosixPath(path)
        try:
            with pq.ParquetFile(path, filesystem=filesystem) as parquet:
                names = mapping.resolve(parquet.schema_arrow.names, path)
                if parquet.metadata.num_rows:
                    files.append(EventFile(name, parquet.metadata, parquet.schema_arrow, names, filesystem))
        except (pa.ArrowException, OSError) as error:
            raise corrupt(name, error) from None
    if not files:
        raise InputError("there are no rows", source=uri, expected="files named *.parquet with at least one event")
    for file in files[1:]:
        check_alike(files[0], file)
    return files


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
