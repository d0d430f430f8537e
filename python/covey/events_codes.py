"""Distinct values to numbers, over many batches of rows: learners, domains and capabilities."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from covey.events_values import Place, dictionary_positions, is_text, refuse_nulls
from covey.identifiers import LearnerIds

_RELABEL_BLOCK = 1 << 20


class ColumnBuffer:
    """A column of known length, filled batch by batch; a single batch is kept as it is, without a copy."""

    def __init__(self, row_count: int) -> None:
        self._row_count = row_count
        self._filled = 0
        self._values: NDArray[Any] | None = None

    def append(self, values: NDArray[Any]) -> None:
        """Add a batch; a wider type widens the whole column."""
        if self._filled == 0 and len(values) == self._row_count:
            self._values = np.ascontiguousarray(values)
        else:
            if self._values is None:
                self._values = np.empty(self._row_count, dtype=values.dtype)
            wide = np.promote_types(self._values.dtype, values.dtype)
            if wide != self._values.dtype:
                self._values = self._values.astype(wide)
            self._values[self._filled : self._filled + len(values)] = values
        self._filled += len(values)

    def finish(self) -> NDArray[Any]:
        """The whole column, shape (row_count,)."""
        assert self._values is not None and self._filled == self._row_count
        return self._values


class Vocabulary:
    """Numbers for the distinct names of a column of few distinct values; null is a value of its own."""

    def __init__(self, smallest: type[np.unsignedinteger[Any]]) -> None:
        self._smallest = smallest
        self._code_of: dict[Any, int] = {}

    def encode(self, array: Any, place: Place, renamed: dict[Any, Any] | None = None) -> NDArray[Any]:
        """Numbers of the values in order of first appearance, in the narrowest type that holds them, shape (n,).

        Args:
            array: strings or integers, or a dictionary of them.
            place: for errors.
            renamed: what each value stands for; a value that is not in it stands for null.
        """
        value_type = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
        if not (is_text(value_type) or pa.types.is_integer(value_type) or pa.types.is_null(value_type)):
            raise place.error(f"its type is {array.type}", expected="strings or integers, or a dictionary of them")
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        values = [*encoded.dictionary.to_pylist(), None]
        positions = dictionary_positions(encoded)
        # A dictionary may list values that no row has; they get no number.
        used = np.zeros(len(values), dtype=bool)
        used[positions] = True
        codes = np.zeros(len(values), dtype=np.int32)
        for position in np.flatnonzero(used):
            value = values[position]
            name = value if renamed is None else renamed.get(value)
            codes[position] = self._code_of.setdefault(name, len(self._code_of))
        result: NDArray[Any] = codes.astype(self._type())[positions]
        return result

    def finish(self, codes: NDArray[Any]) -> tuple[NDArray[Any], tuple[str | None, ...]]:
        """Renumber `codes` in place by ascending names (null last): the answer must not depend on the order of rows."""
        names = sorted((name for name in self._code_of if name is not None), key=_sort_key)
        if None in self._code_of:
            names.append(None)
        new_code = np.empty(len(names), dtype=codes.dtype)
        for new, name in enumerate(names):
            new_code[self._code_of[name]] = new
        for start in range(0, len(codes), _RELABEL_BLOCK):
            block = codes[start : start + _RELABEL_BLOCK]
            block[:] = new_code[block]
        return codes, tuple(None if name is None else str(name) for name in names)

    def _type(self) -> type[Any]:
        if len(self._code_of) <= 1 << 8 and self._smallest is np.uint8:
            return np.uint8
        return np.uint16 if len(self._code_of) <= 1 << 16 else np.int32


def _sort_key(name: Any) -> Any:
    return name.encode() if isinstance(name, str) else name


class LearnerEncoder(Protocol):
    """Numbers for learner ids."""

    def append(self, array: Any, place: Place) -> None:
        """Add a batch of ids."""

    def finish(self) -> tuple[LearnerIds, NDArray[np.int32]]:
        """The distinct ids, ascending, and each row's position among them."""


def learner_encoder(kind: Any, row_count: int, place: Place) -> LearnerEncoder:
    """The encoder for ids of an Arrow type.

    Raises:
        InputError: for a type that is neither integers nor strings; a float cannot hold an id above 2^53.
    """
    if pa.types.is_integer(kind):
        return _IntegerLearners(bool(pa.types.is_uint64(kind)), row_count)
    if is_text(kind) or (pa.types.is_dictionary(kind) and pa.types.is_integer(kind.value_type)):
        return _DictionaryLearners(row_count)
    remedy = "cast it before it comes here: a float cannot hold ids above 2^53" if pa.types.is_floating(kind) else None
    raise place.error(f"its type is {kind}", expected="integer or string ids", remedy=remedy)


class _IntegerLearners:
    def __init__(self, unsigned: bool, row_count: int) -> None:
        from covey import _core

        self._type = np.uint64 if unsigned else np.int64
        self._indexer = _core.IdIndexer()
        self._codes = ColumnBuffer(row_count)

    def append(self, array: Any, place: Place) -> None:
        refuse_nulls(array, place, "an id in every row")
        if not pa.types.is_integer(array.type) or pa.types.is_uint64(array.type) != (self._type is np.uint64):
            raise place.error(f"its type is {array.type}", expected=f"{self._type.__name__} as in the rows before")
        self._codes.append(self._indexer.encode(array.to_numpy(zero_copy_only=False).astype(self._type, copy=False)))

    def finish(self) -> tuple[LearnerIds, NDArray[np.int32]]:
        from covey import _core

        ids = self._indexer.ids()
        order = np.argsort(ids)
        codes = self._codes.finish()
        _core.relabel(codes, _ranks(order))
        return LearnerIds(integers=ids[order]), codes


class _DictionaryLearners:
    """Strings, and dictionaries of integers: batch dictionaries are unified by Arrow at the end."""

    def __init__(self, row_count: int) -> None:
        self._row_count = row_count
        self._batches: list[Any] = []

    def append(self, array: Any, place: Place) -> None:
        refuse_nulls(array, place, "an id in every row")
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        values = encoded.dictionary
        if is_text(values.type):
            values = values.cast(pa.large_string())
        elif pa.types.is_integer(values.type):
            values = values.cast(pa.uint64() if pa.types.is_uint64(values.type) else pa.int64())
        if self._batches and self._batches[0].dictionary.type != values.type:
            expected = f"{self._batches[0].dictionary.type} as in the rows before"
            raise place.error(f"its type is {array.type}", expected=expected)
        self._batches.append(pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.int32()), values))

    def finish(self) -> tuple[LearnerIds, NDArray[np.int32]]:
        buffer = ColumnBuffer(self._row_count)
        unified = pa.chunked_array(self._batches).unify_dictionaries()
        self._batches.clear()
        for chunk in unified.chunks:
            buffer.append(chunk.indices.to_numpy(zero_copy_only=False))
        dictionary = unified.chunk(0).dictionary
        codes = np.array(buffer.finish(), dtype=np.int32)
        # Dictionaries may list ids that no row has, and list an id twice.
        used = np.bincount(codes, minlength=len(dictionary)) > 0
        distinct = pc.unique(dictionary.filter(pa.array(used)))
        ids = distinct.take(pc.sort_indices(distinct))
        new_code = pc.fill_null(pc.index_in(dictionary, value_set=ids), 0).to_numpy(zero_copy_only=False)
        return LearnerIds.from_arrow(ids), new_code.astype(np.int32)[codes]


def _ranks(order: NDArray[np.int64]) -> NDArray[np.int32]:
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks
