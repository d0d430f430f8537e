"""Events from tables in memory, through the Arrow C data interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from covey.errors import InputError
from covey.events import Events
from covey.events_intake import MOST_ROWS, Intake, check_domains
from covey.events_mapping import EventMapping
from covey.events_parquet import domains_by_key


def read(table: Any, mapping: Mapping[str, str] | EventMapping | None, source: str) -> Events:
    """See `Events.from_arrow`."""
    mapping = EventMapping.of(mapping)
    arrow = _as_table(table, source)
    names = mapping.resolve(arrow.column_names, source)
    if arrow.num_rows == 0:
        raise InputError("there are no rows", source=source, expected="at least one event")
    if arrow.num_rows > MOST_ROWS:
        raise InputError(f"there are {arrow.num_rows} rows", source=source, expected=f"at most {MOST_ROWS}")
    needed = arrow.select(sorted(set(names.values())))
    batches = needed.to_batches()
    intake = Intake(mapping, arrow.num_rows, domains_by_key(mapping), in_place=len(batches) == 1)
    first_row = 0
    for batch in batches:
        if batch.num_rows:
            columns = {meaning: batch.column(name) for meaning, name in names.items()}
            intake.append(columns, source, names, first_row)
            first_row += batch.num_rows
    events = intake.finish()
    check_domains(events.domains, mapping)
    return events


def read_arrays(arrays: dict[str, Any], time_unit: str | None) -> Events:
    """See `Events.from_numpy`."""
    columns = {}
    for name, values in arrays.items():
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
            raise InputError(
                f"its values are mixed or of no known type ({error})", source="arrays", column=name
            ) from None
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"the columns differ in length: {found}", source="arrays", expected="one length")
    # What was not given does not exist: no column here can be misspelt.
    absent = {name: "" for name in ("domain", "capability", "kind", "action_taken", "weight") if name not in arrays}
    return read(pa.table(columns), EventMapping(time_unit=time_unit, **absent), source="arrays")


def _as_table(table: Any, source: str) -> Any:
    if isinstance(table, pa.Table):
        return table
    if not (hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__")):
        expected = "a table that speaks the Arrow C data interface (pyarrow, pandas, polars, DuckDB)"
        raise InputError(f"{type(table).__name__} is no such table", source=source, expected=expected)
    try:
        return pa.table(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        # pandas and others convert when they are asked: a column of mixed objects fails there.
        problem = " ".join(str(part) for part in error.args)
        raise InputError(
            f"a column does not convert ({problem})", source=source, expected="one type per column"
        ) from None
