"""Events from text files of comma-separated values: read whole, ids as they are written."""

from __future__ import annotations

import csv as plain_csv
import gzip
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from covey.errors import InputError
from covey.events import Events
from covey.events_arrow import read as read_arrow
from covey.events_mapping import EventMapping

_NAMES = frozenset({"learner", "domain", "capability"})


def is_csv(path: Path) -> bool:
    """Whether a file's name says that it holds comma-separated values, compressed or not."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def read(path: Path, mapping: Mapping[str, str] | EventMapping | None) -> Events:
    """See `Events.from_csv`."""
    mapping = EventMapping.of(mapping)
    names = mapping.resolve(_header(path), str(path))
    # What names somebody or something is text: "007" and "7" are two learners, and a type guessed from the digits
    # would make them one.
    texts = {name: pa.string() for meaning, name in names.items() if meaning in _NAMES}
    convert = pa_csv.ConvertOptions(
        column_types=texts, include_columns=sorted(set(names.values())), strings_can_be_null=True, null_values=[""]
    )
    try:
        table = pa_csv.read_csv(path, convert_options=convert)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from None
    _refuse_text(table, names, path)
    learner, key = names["learner"], names.get("domain") if mapping.domain_from else None
    for name in {learner, key} - {None}:
        place = table.column_names.index(name)
        table = table.set_column(place, name, _integers_where_all_are(table[name]))
    return read_arrow(table, mapping, source=str(path))


def _refuse_text(table: Any, names: Mapping[str, str], path: Path) -> None:
    """A time or a number that does not parse makes its whole column text; say which one it is.

    Raises:
        InputError: with the first row at fault.
    """
    for meaning, (parse, expected) in _PARSED.items():
        name = names.get(meaning)
        if name is None or not pa.types.is_string(table.schema.field(name).type):
            continue
        for row, value in enumerate(table[name].to_pylist()):
            try:
                if value is not None:
                    parse(value)
            except ValueError:
                raise InputError(
                    f"found '{value}'", source=str(path), column=name, row=row, expected=expected
                ) from None


_PARSED: Mapping[str, tuple[Callable[[str], object], str]] = {
    "time": (datetime.fromisoformat, "an ISO 8601 time in every row, such as 2026-01-31T09:00:00Z"),
    "weight": (float, "a number in every row, or nothing for 1"),
}


def _integers_where_all_are(texts: Any) -> Any:
    """Ids as integers where every one is written as its integer is, so that they equal those of other sources."""
    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts
    same = pc.all(pc.equal(numbers.cast(pa.string()), texts), min_count=0).as_py()
    return numbers if same else texts


def _header(path: Path) -> list[str]:
    """The names in the first line.

    Raises:
        InputError: when there is no such file, or no line.
    """
    if not path.is_file():
        raise InputError("there is no such file", source=str(path))
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            header = next(plain_csv.reader(lines), None)
    except (OSError, UnicodeDecodeError, plain_csv.Error) as error:
        raise _unreadable(path, str(error)) from None
    if not header:
        raise InputError("the file is empty", source=str(path), expected="a line of column names, then one per event")
    parted = next((sign for sign in (";", "\t", "|") if len(header) == 1 and sign in header[0]), None)
    if parted:
        raise InputError(f"its columns are parted by {parted!r}", source=str(path), expected="commas")
    return header


def _unreadable(path: Path, what: str) -> InputError:
    first_line = (what.strip().splitlines() or ["damaged"])[0]
    return InputError(
        f"it cannot be read ({first_line})",
        source=str(path),
        expected="UTF-8 text, a line of column names, then one line per event",
    )
