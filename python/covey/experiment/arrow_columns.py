"""Columns of an Arrow table as what an analysis needs of them; errors name column and row."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError, suggestion
from covey.stats.special import Floats

if TYPE_CHECKING:
    import pyarrow as pa

Codes = NDArray[np.int32]
NO_VALUE = "(none)"


class Levels(NamedTuple):
    """A column of few values: `names[codes[row]]`."""

    names: tuple[str, ...]
    codes: Codes


def column_of(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column by its name.

    Raises:
        InputError: there is none, with names that are near.
    """
    if name not in table.column_names:
        raise InputError("there is no such column", column=name, remedy=suggestion(name, table.column_names))
    return table.column(name)


def numeric(table: pa.Table, name: str) -> Floats:
    """A column as float64, NaN where null."""
    import pyarrow as pa

    column = column_of(table, name)
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise InputError(f"holds {kind}", column=name, expected="numbers")
    if column.null_count or pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    return np.ascontiguousarray(column.to_numpy(), dtype=np.float64)


def levels(table: pa.Table, name: str, most: int, *, allow_none: bool) -> Levels:
    """A column of few values, a null as one of its own where those are allowed.

    Raises:
        InputError: more than `most` values, or a null that is not allowed.
    """
    found = levels_of(column_of(table, name))
    if len(found.names) > most:
        raise InputError(f"has {len(found.names)} different values", column=name, expected=f"at most {most}")
    missing = found.codes < 0
    if missing.any():
        if not allow_none:
            raise InputError("no value", column=name, row=int(missing.argmax()), expected="a variant for every unit")
        found = Levels((*found.names, NO_VALUE), np.where(missing, len(found.names), found.codes).astype(np.int32))
    return found


def levels_of(column: pa.ChunkedArray) -> Levels:
    """Values as texts, in their order, and each row's number among them; -1 where null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], encoded.type)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    indices = pc.fill_null(encoded.indices, pa.scalar(-1, encoded.indices.type)).to_numpy(zero_copy_only=False)
    values = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=lambda place: _sort_key(values[place]))
    place_of = np.full(len(values) + 1, -1, np.int32)
    place_of[order] = np.arange(len(values))
    names = tuple(_text(values[place]) for place in order)
    return used(Levels(names, place_of[indices]))


def used(levels: Levels) -> Levels:
    """Without the names that no row has."""
    counts = np.bincount(levels.codes[levels.codes >= 0], minlength=len(levels.names))
    if (counts > 0).all():
        return levels
    place_of = np.append(np.cumsum(counts > 0) - 1, -1).astype(np.int32)
    names = tuple(name for name, count in zip(levels.names, counts, strict=True) if count)
    return Levels(names, place_of[levels.codes])


def _sort_key(value: object) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def between(cuts: Iterable[float]) -> tuple[str, ...]:
    """Names of the parts that cuts make."""
    edges = [f"{cut:g}" for cut in cuts]
    if not edges:
        return ("all",)
    inner = [f"{low} to {high}" for low, high in pairwise(edges)]
    return (f"below {edges[0]}", *inner, f"{edges[-1]} and more")


def is_integer(kind: pa.DataType) -> bool:
    """Whether values of this type are whole numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind))


def integers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Whole numbers as int64 or uint64, whichever holds them."""
    import pyarrow as pa

    target = pa.uint64() if pa.types.is_unsigned_integer(column.type) else pa.int64()
    return np.ascontiguousarray(column.cast(target).to_numpy())


def times(table: pa.Table, name: str) -> Floats:
    """Times as numbers in one order; days since a start and timestamps alike."""
    import pyarrow as pa

    column = column_of(table, name)
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(f"holds {kind}", column=name, expected="timestamps, dates or numbers")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def refuse_rows(
    bad: NDArray[np.bool_], column: str, problem: str, expected: str | None = None, remedy: str | None = None
) -> None:
    """Refuse what holds in any row, naming the first and how many there are."""
    if bad.any():
        count = int(bad.sum())
        more = f"; so in {count} rows" if count > 1 else ""
        raise InputError(f"{problem}{more}", column=column, row=int(bad.argmax()), expected=expected, remedy=remedy)
