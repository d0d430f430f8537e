"""Learner ids: their text, their hashes and the traffic split made of them (DESIGN section 7).

On the wire an id is a string; an integer id is its decimal text, also when it is hashed: 42 and "42" are one learner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BASIS_POINTS = 10_000
_BUCKETS = 2**32


def bucket(salt: str, learner_id: str | int) -> int:
    """The learner's place in [0, 2^32) of a traffic split: murmur3_x86_32 of "salt:id" in UTF-8 with seed 0."""
    from covey import _core

    return int(_core.murmur3_x86_32(f"{salt}:{learner_id}".encode()))


def in_candidate(learner_bucket: int, weight_bp: int) -> bool:
    """Whether the candidate serves the learner, at a traffic share of `weight_bp` basis points.

    Raises:
        ValueError: unless 0 <= weight_bp <= 10,000.
    """
    return learner_bucket < candidate_buckets(weight_bp)


def candidate_buckets(weight_bp: int) -> int:
    """How many buckets, from 0 on, are the candidate's at a traffic share of `weight_bp` basis points.

    Raises:
        ValueError: unless 0 <= weight_bp <= 10,000.
    """
    if not 0 <= weight_bp <= BASIS_POINTS:
        raise ValueError(f"weight_bp is {weight_bp}; expected 0 to {BASIS_POINTS} basis points")
    return weight_bp * _BUCKETS // BASIS_POINTS


@dataclass(frozen=True, eq=False, slots=True)
class LearnerIds:
    """Distinct learner ids in ascending order: integers by value, or strings by their UTF-8 bytes.

    Attributes:
        integers: int64 or uint64, shape (n,); None for string ids.
        offsets: int64, shape (n + 1,); string i is `data[offsets[i]:offsets[i + 1]]`. None for integer ids.
        data: uint8, the strings' UTF-8 bytes. None for integer ids.
    """

    integers: NDArray[np.int64] | NDArray[np.uint64] | None = None
    offsets: NDArray[np.int64] | None = None
    data: NDArray[np.uint8] | None = None

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> LearnerIds:
        """Ids from strings, which are sorted and made distinct."""
        encoded = sorted({text.encode() for text in texts})
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(offsets=offsets, data=np.frombuffer(b"".join(encoded), dtype=np.uint8))

    @classmethod
    def from_arrow(cls, array: Any) -> LearnerIds:
        """Ids from a pyarrow array of distinct ascending integers or strings without nulls."""
        import pyarrow as pa

        if pa.types.is_integer(array.type):
            wide = np.uint64 if pa.types.is_uint64(array.type) else np.int64
            return cls(integers=array.to_numpy(zero_copy_only=False).astype(wide))
        # A cast copies a slice into buffers that begin at offset 0.
        text = pa.concat_arrays([array.cast(pa.large_string())])
        _, offsets, data = text.buffers()
        count = len(text) + 1
        starts = np.frombuffer(offsets, dtype=np.int64, count=text.offset + count)[text.offset :]
        return cls(offsets=starts, data=np.frombuffer(data or b"", dtype=np.uint8))

    def __len__(self) -> int:
        if self.integers is not None:
            return len(self.integers)
        return 0 if self.offsets is None else len(self.offsets) - 1

    def text(self, index: int) -> str:
        """Id number `index` as it goes over the wire."""
        return self._bytes(index).decode()

    def texts(self) -> list[str]:
        """All ids as text; for small tables."""
        return [self.text(index) for index in range(len(self))]

    def find(self, learner_id: str | int) -> int | None:
        """Position of an id (an integer, or its text), or None."""
        key = str(learner_id)
        if self.integers is not None:
            try:
                number = int(key)
                position = int(np.searchsorted(self.integers, self.integers.dtype.type(number)))
            except (ValueError, OverflowError):
                return None
        else:
            position = self._first_not_below(key.encode())
        return position if position < len(self) and self.text(position) == key else None

    def take(self, indices: NDArray[np.int64]) -> LearnerIds:
        """The ids at some positions, which must ascend."""
        if self.integers is not None:
            return LearnerIds(integers=self.integers[indices])
        if len(indices) == len(self):
            return self
        return LearnerIds.from_arrow(self.to_arrow().take(indices))

    def hashes(self, engine: str = "native") -> NDArray[np.uint64]:
        """FNV-1a 64 of each id's text, shape (n,)."""
        from covey.engine import engine_named

        functions = engine_named(engine)
        if self.integers is not None:
            return functions.hash_integers(self.integers)
        assert self.offsets is not None and self.data is not None
        return functions.hash_strings(self.offsets, self.data)

    def buckets(self, salt: str) -> NDArray[np.uint32]:
        """`bucket` of every id, shape (n,)."""
        from covey import _core

        if self.integers is not None:
            return _core.bucket_integers(salt, self.integers)
        assert self.offsets is not None and self.data is not None
        return _core.bucket_strings(salt, self.offsets, self.data)

    def to_arrow(self) -> Any:
        """A pyarrow array: int64, uint64 or large_string."""
        import pyarrow as pa

        if self.integers is not None:
            return pa.array(self.integers)
        buffers = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.large_string(), len(self), buffers)

    def equals(self, other: LearnerIds) -> bool:
        """Whether both hold the same ids, compared as text."""
        if self.integers is not None and other.integers is not None:
            return np.array_equal(self.integers, other.integers)
        return len(self) == len(other) and self.texts() == other.texts()

    def _bytes(self, index: int) -> bytes:
        if self.integers is not None:
            return str(self.integers[index]).encode()
        assert self.offsets is not None and self.data is not None
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def _first_not_below(self, key: bytes) -> int:
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low
