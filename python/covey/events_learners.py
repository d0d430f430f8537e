"""Learner ids to numbers, over many batches of rows: offsets where the rows come grouped, else a position per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from covey.events_codes import ColumnBuffer
from covey.events_values import Place, is_text, refuse_nulls
from covey.identifiers import LearnerIds


@dataclass(frozen=True, eq=False, slots=True)
class LearnerRows:
    """The learners of all rows; exactly one of `index` and `offsets` is there.

    Attributes:
        ids: m distinct ids, ascending.
        index: int32, shape (n,): position of each row's learner.
        offsets: int64, shape (m + 1,): the rows of learner i are offsets[i] to offsets[i + 1].
    """

    ids: LearnerIds
    index: NDArray[np.int32] | None
    offsets: NDArray[np.int64] | None


class LearnerEncoder(Protocol):
    """Numbers for learner ids."""

    def append(self, array: Any, place: Place) -> None:
        """Add a batch of ids."""

    def finish(self) -> LearnerRows:
        """The distinct ids, ascending, and the rows of each; call it once."""


def learner_encoder(kind: Any, capacity: int, place: Place) -> LearnerEncoder:
    """The encoder for at most `capacity` ids of an Arrow type.

    Raises:
        InputError: for a type that is neither integers nor strings; a float cannot hold an id above 2^53.
    """
    if pa.types.is_integer(kind):
        return _IntegerLearners(bool(pa.types.is_uint64(kind)), capacity)
    if is_text(kind) or (pa.types.is_dictionary(kind) and pa.types.is_integer(kind.value_type)):
        return _DictionaryLearners(capacity)
    remedy = "cast it before it comes here: a float cannot hold ids above 2^53" if pa.types.is_floating(kind) else None
    raise place.error(f"its type is {kind}", expected="integer or string ids", remedy=remedy)


def run_starts(values: NDArray[Any]) -> NDArray[np.int64]:
    """Positions at which a value differs from the one before it, 0 included."""
    changes = np.flatnonzero(values[1:] != values[:-1])
    return np.concatenate([np.zeros(min(1, len(values)), dtype=np.int64), changes + 1])


class _Runs:
    """Where each learner's rows begin, as long as learners come one after the other in ascending order."""

    def __init__(self) -> None:
        self.row_count = 0
        self.ids: list[Any] = []
        self._starts: list[NDArray[np.int64]] = []

    def append(self, ids: Any, starts: NDArray[np.int64], row_count: int) -> None:
        self.ids.append(ids)
        self._starts.append(starts + self.row_count)
        self.row_count += row_count

    def offsets(self) -> NDArray[np.int64]:
        return np.concatenate([*self._starts, np.array([self.row_count], dtype=np.int64)])

    def index(self) -> NDArray[np.int32]:
        offsets = self.offsets()
        return np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))


class _IntegerLearners:
    def __init__(self, unsigned: bool, capacity: int) -> None:
        self._type = np.uint64 if unsigned else np.int64
        self._capacity = capacity
        self._runs: _Runs | None = _Runs()
        self._newest: Any = None
        self._indexer: Any = None
        self._codes: ColumnBuffer | None = None

    def append(self, array: Any, place: Place) -> None:
        refuse_nulls(array, place, "an id in every row")
        if not pa.types.is_integer(array.type) or pa.types.is_uint64(array.type) != (self._type is np.uint64):
            raise place.error(f"its type is {array.type}", expected=f"{self._type.__name__} as in the rows before")
        ids = array.to_numpy(zero_copy_only=False).astype(self._type, copy=False)
        if self._runs is not None and not self._append_run(self._runs, ids):
            self._scatter(self._runs)
        if self._codes is not None:
            self._codes.append(self._indexer.encode(ids))

    def finish(self) -> LearnerRows:
        from covey import _core

        if self._runs is not None:
            return LearnerRows(LearnerIds(integers=np.concatenate(self._runs.ids)), None, self._runs.offsets())
        assert self._codes is not None
        ids = self._indexer.ids()
        order = np.argsort(ids)
        codes = self._codes.finish()
        ranks = np.empty(len(order), dtype=np.int32)
        ranks[order] = np.arange(len(order), dtype=np.int32)
        _core.relabel(codes, ranks)
        return LearnerRows(LearnerIds(integers=ids[order]), codes, None)

    def _append_run(self, runs: _Runs, ids: NDArray[Any]) -> bool:
        starts = run_starts(ids)
        found = ids[starts]
        if len(found) == 0:
            return True
        if not (found[1:] > found[:-1]).all() or (self._newest is not None and found[0] < self._newest):
            return False
        skip = int(self._newest is not None and found[0] == self._newest)
        self._newest = found[-1]
        runs.append(found[skip:], starts[skip:], len(ids))
        return True

    def _scatter(self, runs: _Runs) -> None:
        """The rows turned out not to be grouped: give each of the rows so far its number."""
        from covey import _core

        self._indexer = _core.IdIndexer()
        self._codes = ColumnBuffer(self._capacity)
        if runs.row_count:
            self._indexer.encode(np.concatenate(runs.ids))
            self._codes.append(runs.index())
        self._runs = None


class _DictionaryLearners:
    """Strings, and dictionaries of integers; batch dictionaries are unified by Arrow at the end if they must be."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._runs: _Runs | None = _Runs()
        self._newest: Any = None
        self._value_type: Any = None
        self._batches: list[Any] = []

    def append(self, array: Any, place: Place) -> None:
        refuse_nulls(array, place, "an id in every row")
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        values = encoded.dictionary
        if is_text(values.type):
            values = values.cast(pa.large_string())
        elif pa.types.is_integer(values.type):
            values = values.cast(pa.uint64() if pa.types.is_uint64(values.type) else pa.int64())
        if self._value_type is None:
            self._value_type = values.type
        if self._value_type != values.type:
            raise place.error(f"its type is {array.type}", expected=f"{self._value_type} as in the rows before")
        if self._runs is not None:
            if self._append_run(self._runs, encoded.indices, values):
                return
            if self._runs.row_count:
                ids = pa.concat_arrays(self._runs.ids)
                self._batches.append(pa.DictionaryArray.from_arrays(pa.array(self._runs.index()), ids))
            self._runs = None
        self._batches.append(pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.int32()), values))

    def finish(self) -> LearnerRows:
        if self._runs is not None:
            ids = LearnerIds.from_arrow(pa.concat_arrays(self._runs.ids))
            return LearnerRows(ids, None, self._runs.offsets())
        buffer = ColumnBuffer(self._capacity)
        unified = pa.chunked_array(self._batches).unify_dictionaries()
        self._batches.clear()
        for chunk in unified.chunks:
            buffer.append(chunk.indices.to_numpy(zero_copy_only=False))
        dictionary = unified.chunk(0).dictionary
        codes = buffer.finish()
        # Dictionaries may list ids that no row has, and list an id twice.
        used = np.bincount(codes, minlength=len(dictionary)) > 0
        distinct = pc.unique(dictionary.filter(pa.array(used)))
        found = distinct.take(pc.sort_indices(distinct))
        new_code = pc.fill_null(pc.index_in(dictionary, value_set=found), 0).to_numpy(zero_copy_only=False)
        return LearnerRows(LearnerIds.from_arrow(found), new_code.astype(np.int32)[codes], None)

    def _append_run(self, runs: _Runs, indices: Any, values: Any) -> bool:
        positions = indices.to_numpy(zero_copy_only=False)
        starts = run_starts(positions)
        found = values.take(pa.array(positions[starts]))
        if len(found) == 0:
            return True
        before = found.slice(0, 0) if self._newest is None else self._newest
        with_before = pa.concat_arrays([before, found])
        earlier, later = with_before.slice(0, len(with_before) - 1), with_before.slice(1)
        if not pc.all(pc.less_equal(earlier, later), min_count=0).as_py():
            return False
        self._newest = found.slice(len(found) - 1)
        # A dictionary may list an id twice.
        is_new = np.ones(len(found), dtype=bool)
        is_new[len(found) - len(later) :] = pc.less(earlier, later).to_numpy(zero_copy_only=False)
        runs.append(found.filter(pa.array(is_new)), starts[is_new], len(positions))
        return True
