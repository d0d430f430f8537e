"""Arrow arrays to checked NumPy columns: times, kinds, flags and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from covey.errors import InputError
from covey.events_mapping import TIME_UNITS_US
from covey.instants import EARLIEST_US, LATEST_US

KIND_NUMBERS = {"other": 1, "training": 2, "workflow": 3, "feedback": 4}
_LARGEST_KIND = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array comes from, for errors.

    Attributes:
        source: the file or table.
        column: the column's name.
        first_row: row of the file that the array begins with.
    """

    source: str
    column: str
    first_row: int = 0

    def error(
        self, problem: str, row: int | None = None, expected: str | None = None, remedy: str | None = None
    ) -> InputError:
        """An error at row `row` of the array."""
        place = None if row is None else self.first_row + row
        return InputError(problem, source=self.source, column=self.column, row=place, expected=expected, remedy=remedy)


def refuse_nulls(array: Any, place: Place, expected: str) -> None:
    """Raise at the first null, wherever a dictionary hides it."""
    if array.null_count or (pa.types.is_dictionary(array.type) and array.dictionary.null_count):
        nulls = np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False))
        if pa.types.is_dictionary(array.type):
            nulls = np.flatnonzero(pc.is_null(array.dictionary_decode()).to_numpy(zero_copy_only=False))
        if len(nulls):
            raise place.error("found null", int(nulls[0]), expected)


def times_us(array: Any, time_unit: str | None, place: Place) -> NDArray[np.int64]:
    """Microseconds since the epoch, UTC, shape (n,); finer input is floored; naive timestamps mean UTC.

    Raises:
        InputError: for nulls, NaN, years outside 1 to 9999, and numbers of unknown unit.
    """
    kind = array.type
    refuse_nulls(array, place, "a time in every row")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if time_unit is not None:
            raise place.error(f"its type {kind} knows its unit", remedy=f"leave time_unit='{time_unit}' out")
        if pa.types.is_timestamp(kind):
            unit, numbers = kind.unit, array.view(pa.int64())
        else:
            unit, numbers = (
                ("day", array.view(pa.int32())) if pa.types.is_date32(kind) else ("ms", array.view(pa.int64()))
            )
        values = numbers.to_numpy(zero_copy_only=False)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if time_unit is None:
            remedy = "say what they count since 1970 with time_unit: day, s, ms, us or ns"
            raise place.error(f"its times are numbers of type {kind}", remedy=remedy)
        unit, values = time_unit, array.to_numpy(zero_copy_only=False)
    else:
        expected = "timestamps, dates, or numbers with time_unit"
        raise place.error(f"its type is {kind}", expected=expected, remedy="parse it before it comes here")
    return _to_us(values, unit, place)


def _to_us(values: NDArray[Any], unit: str, place: Place) -> NDArray[np.int64]:
    factor = TIME_UNITS_US[unit]
    is_float = values.dtype.kind == "f"
    if is_float:
        values = values.astype(np.float64)
        in_us = np.floor(values * factor if factor else values / 1_000)
        bad = ~((in_us >= EARLIEST_US) & (in_us <= LATEST_US))
    else:
        earliest, latest = (
            (EARLIEST_US // factor, LATEST_US // factor) if factor else (EARLIEST_US * 1000, LATEST_US * 1000)
        )
        # Python's integers: a narrow type may not even hold the limits.
        is_bad = len(values) > 0 and not earliest <= int(values.min()) <= int(values.max()) <= latest
        bad = np.array([not earliest <= value <= latest for value in values.tolist()] if is_bad else [], dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        raise place.error(f"found {values[row]!s}", row, f"a time in years 1 to 9999 (unit: {unit})")
    if is_float:
        return in_us.astype(np.int64)
    if factor == 1:
        return values.astype(np.int64, copy=False)
    if factor:
        return values.astype(np.int64) * factor
    return (values // 1_000).astype(np.int64, copy=False)


def kinds(array: Any, place: Place) -> NDArray[np.uint8]:
    """Numbers of `EventKind`, shape (n,): unknown text is other, null is unspecified.

    Raises:
        InputError: for a number outside 0 to 4 and for other types.
    """
    expected = "text (training, workflow, feedback, other) or the numbers 0 to 4"
    if pa.types.is_integer(array.type):
        values = _without_nulls(array, 0).to_numpy(zero_copy_only=False)
        bad = (values < 0) | (values > _LARGEST_KIND)
        if bad.any():
            row = int(np.argmax(bad))
            raise place.error(f"found {values[row]}", row, expected)
        return np.asarray(values, dtype=np.uint8)
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.uint8)
    if not is_text(array.type):
        raise place.error(f"its type is {array.type}", expected=expected)
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    numbers = [0 if name is None else KIND_NUMBERS.get(name.lower(), KIND_NUMBERS["other"]) for name in names]
    result: NDArray[np.uint8] = np.array([*numbers, 0], dtype=np.uint8)[dictionary_positions(encoded)]
    return result


def flags(array: Any, place: Place) -> NDArray[np.uint8]:
    """1 where true, shape (n,); null is 0.

    Raises:
        InputError: for anything but booleans, 0 and 1.
    """
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.uint8)
    if pa.types.is_boolean(array.type):
        _, values = array.buffers()
        found = _bits(values, array)
        return found if array.null_count == 0 else found & _bits(array.buffers()[0], array)
    if not pa.types.is_integer(array.type):
        raise place.error(f"its type is {array.type}", expected="booleans, or the numbers 0 and 1")
    values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    bad = (values != 0) & (values != 1)
    if bad.any():
        row = int(np.argmax(bad))
        raise place.error(f"found {values[row]}", row, "0 or 1")
    return np.asarray(values, dtype=np.uint8)


def weights(array: Any, place: Place) -> NDArray[np.float32] | NDArray[np.float64]:
    """Weights, shape (n,): floats of four or eight bytes as they are, others as float64; null is 1.

    Raises:
        InputError: for NaN, infinite and negative weights and for other types.
    """
    kind = array.type
    if pa.types.is_null(kind):
        return np.ones(len(array), dtype=np.float32)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise place.error(f"its type is {kind}", expected="numbers")
    if pa.types.is_decimal(kind):
        array = array.cast(pa.float64())
    values = _without_nulls(array, pa.scalar(1, array.type)).to_numpy(zero_copy_only=False)
    # Two reductions without a copy; both are false for NaN.
    if len(values) and not (values.min() >= 0 and values.max() < np.inf):
        row = int(np.argmax(~((values >= 0) & np.isfinite(values))))
        raise place.error(f"found {values[row]!s}", row, "a finite weight >= 0")
    fits_float32 = values.dtype.itemsize <= (4 if values.dtype.kind == "f" else 2)
    return np.asarray(values, dtype=np.float32) if fits_float32 else np.asarray(values, dtype=np.float64)


def narrowed_weights(values: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32] | NDArray[np.float64]:
    """The weights in four bytes each where that changes none of them."""
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow, values) else values


def _bits(buffer: Any, array: Any) -> NDArray[np.uint8]:
    """The bits of `array`'s rows in one of its bit buffers, a byte each, shape (n,)."""
    packed = np.frombuffer(buffer, dtype=np.uint8)[array.offset // 8 : (array.offset + len(array) + 7) // 8]
    first = array.offset % 8
    return np.unpackbits(packed, bitorder="little")[first : first + len(array)]


def _without_nulls(array: Any, value: Any) -> Any:
    return pc.fill_null(array, value) if array.null_count else array


def is_text(kind: Any) -> bool:
    """Whether an Arrow type holds strings, encoded as a dictionary or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def dictionary_positions(encoded: Any) -> NDArray[Any]:
    """Positions in the dictionary, shape (n,); one past its end for null."""
    indices = encoded.indices
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int64()), len(encoded.dictionary))
    positions: NDArray[Any] = indices.to_numpy(zero_copy_only=False)
    return positions
