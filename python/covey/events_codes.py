"""Distinct values to numbers, over many batches of rows: domains and capabilities."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from covey.events_values import Place, dictionary_positions, is_text

_RELABEL_BLOCK = 1 << 20
_NOT_SEEN = -1
_IN_PLACE_TYPES = {"int8": np.uint8, "uint8": np.uint8, "int16": np.uint16, "uint16": np.uint16, "int32": np.int32}


class ColumnBuffer:
    """A column of at most `capacity` rows, filled batch by batch.

    A batch that fills it alone is kept as it is, without a copy.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._filled = 0
        self._values: NDArray[Any] | None = None

    def append(self, values: NDArray[Any]) -> None:
        """Add a batch; a wider type widens the whole column."""
        if self._filled == 0 and len(values) == self._capacity:
            self._values = np.ascontiguousarray(values)
        else:
            if self._values is None:
                self._values = np.empty(self._capacity, dtype=values.dtype)
            wide = np.promote_types(self._values.dtype, values.dtype)
            if wide != self._values.dtype:
                narrow, self._values = self._values, np.empty(self._capacity, dtype=wide)
                self._values[: self._filled] = narrow[: self._filled]
            self._values[self._filled : self._filled + len(values)] = values
        self._filled += len(values)

    def finish(self) -> NDArray[Any]:
        """The rows that came, shape (n,)."""
        assert self._values is not None
        return self._values if self._filled == self._capacity else self._values[: self._filled]


class Vocabulary:
    """Numbers for the distinct names of a column of few distinct values; null is a value of its own."""

    def __init__(self) -> None:
        self._code_of: dict[Any, int] = {}
        self._dictionary: Any = None
        self._names: list[Any] = []
        self._codes = np.zeros(0, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._code_of)

    def encode(self, array: Any, place: Place, renamed: dict[Any, Any] | None = None) -> NDArray[Any]:
        """Numbers of the values in order of first appearance, in the narrowest type that holds them, shape (n,).

        Args:
            array: strings or integers, or a dictionary of them.
            place: for errors.
            renamed: what each value stands for; a value that is not in it stands for null.
        """
        _check_type(array, place)
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        positions = dictionary_positions(encoded)
        # Batches of one row group share a dictionary: its names are looked up once.
        if self._dictionary is None or not encoded.dictionary.equals(self._dictionary):
            values = [*encoded.dictionary.to_pylist(), None]
            self._dictionary = encoded.dictionary
            self._names = values if renamed is None else [renamed.get(value) for value in values]
            self._codes = np.full(len(values), _NOT_SEEN, dtype=np.int32)
        codes = self._codes
        if encoded.null_count or (codes[:-1] == _NOT_SEEN).any():
            # A dictionary may list values that no row has; they get no number.
            used = np.zeros(len(codes), dtype=bool)
            used[positions] = True
            for position in np.flatnonzero(used & (codes == _NOT_SEEN)):
                codes[position] = self._code_of.setdefault(self._names[position], len(self._code_of))
        return np.take(codes.astype(code_type(len(self))), positions)

    def names_by_code(self) -> list[Any]:
        """Distinct names in order of first appearance."""
        return list(self._code_of)

    def names(self) -> list[Any]:
        """Distinct names, ascending; null last."""
        names = sorted((name for name in self._code_of if name is not None), key=_sort_key)
        return [*names, None] if None in self._code_of else names

    def ranks(self) -> NDArray[np.int32]:
        """The place among `names()` of each number, shape (len,)."""
        ranks = np.empty(len(self), dtype=np.int32)
        for rank, name in enumerate(self.names()):
            ranks[self._code_of[name]] = rank
        return ranks

    def finish(self, codes: NDArray[Any]) -> tuple[NDArray[Any], tuple[str | None, ...]]:
        """Renumber `codes` in place by ascending names (null last): the answer must not depend on the order of rows."""
        ranks = self.ranks().astype(codes.dtype)
        if not np.array_equal(ranks, np.arange(len(ranks))):
            for start in range(0, len(codes), _RELABEL_BLOCK):
                block = codes[start : start + _RELABEL_BLOCK]
                block[:] = np.take(ranks, block)
        return codes, as_names(self.names())


def codes_in_place(array: Any, place: Place) -> tuple[NDArray[Any], tuple[str | None, ...]] | None:
    """The positions and names of a dictionary column as they are, where engines can read them without a copy.

    That takes positions of a type that engines know, names that ascend, rows for each of them, and no null.
    """
    _check_type(array, place)
    if not pa.types.is_dictionary(array.type) or array.null_count or str(array.type.index_type) not in _IN_PLACE_TYPES:
        return None
    names = array.dictionary.to_pylist()
    if None in names or any(_sort_key(a) >= _sort_key(b) for a, b in pairwise(names)):
        return None
    positions = array.indices.to_numpy(zero_copy_only=False)
    used = np.zeros(len(names), dtype=bool)
    used[positions] = True
    if not used.all():
        return None
    return positions.view(_IN_PLACE_TYPES[str(array.type.index_type)]), as_names(names)


def as_names(values: list[Any]) -> tuple[str | None, ...]:
    """Names as text."""
    return tuple(None if value is None else str(value) for value in values)


def code_type(count: int) -> type[Any]:
    """The narrowest type of numbers below `count` that engines read."""
    if count <= 1 << 8:
        return np.uint8
    return np.uint16 if count <= 1 << 16 else np.int32


def _check_type(array: Any, place: Place) -> None:
    value_type = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not (is_text(value_type) or pa.types.is_integer(value_type) or pa.types.is_null(value_type)):
        raise place.error(f"its type is {array.type}", expected="strings or integers, or a dictionary of them")


def _sort_key(name: Any) -> Any:
    return name.encode() if isinstance(name, str) else name
