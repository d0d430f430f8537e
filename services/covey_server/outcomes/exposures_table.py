"""First exposures of one phase and variant, 16 bytes per learner: a map from 64-bit learner hashes to details.

Most entries stand in two sorted NumPy columns; the newest in a dictionary that is merged into them now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Column: TypeAlias = NDArray[np.uint64]

RECORD = np.dtype([("learner", "<u8"), ("detail", "<u8")])
"""One stored exposure: hash of the learner, and time, variant and segment in one number."""

LARGEST_SEGMENT = (1 << 16) - 1
_SEGMENT_BITS = 16
_VARIANT_BITS = 4
_TIME_SHIFT = _SEGMENT_BITS + _VARIANT_BITS
_SMALLEST_MERGE = 32_768


def learner_hash(learner_id: str) -> int:
    """64 bits that stand for a learner; two of ten million share them with probability 3e-6."""
    return int.from_bytes(blake2b(learner_id.encode(), digest_size=8).digest(), "little")


def float_bits(value: float) -> int:
    """A float64 as the 64 bits that a table holds."""
    return int(np.float64(value).view(np.uint64))


def pack_detail(time_ms: int, variant: int, segment: int) -> int:
    """Time (milliseconds since the epoch, 44 bits), variant (4 bits) and segment number (16 bits) in one number."""
    return (time_ms << _TIME_SHIFT) | (variant << _SEGMENT_BITS) | segment


def time_ms_of(detail: int) -> int:
    """Milliseconds since the epoch."""
    return detail >> _TIME_SHIFT


def variant_of(detail: int) -> int:
    """Number of the variant within its phase."""
    return (detail >> _SEGMENT_BITS) & ((1 << _VARIANT_BITS) - 1)


def segment_of(detail: int) -> int:
    """Number of the segment within its phase."""
    return detail & LARGEST_SEGMENT


def times_ms(details: Column) -> NDArray[np.int64]:
    """`time_ms_of` of a column."""
    return (details >> np.uint64(_TIME_SHIFT)).astype(np.int64)


def variants(details: Column) -> NDArray[np.int64]:
    """Variant numbers of a column."""
    return ((details >> np.uint64(_SEGMENT_BITS)) & np.uint64((1 << _VARIANT_BITS) - 1)).astype(np.int64)


def segments(details: Column) -> NDArray[np.int64]:
    """`segment_of` of a column."""
    return (details & np.uint64(LARGEST_SEGMENT)).astype(np.int64)


def renumbered(details: Column, numbers: Sequence[int]) -> Column:
    """A column of details whose segments have other numbers: `numbers` by the present one."""
    others: Column = np.array(numbers, np.uint64)[details & np.uint64(LARGEST_SEGMENT)]
    changed: Column = (details & ~np.uint64(LARGEST_SEGMENT)) | others
    return changed


class ExposureTable:
    """Details by learner hash. Reads take no lock; `add` waits for other writers only, never for a merge."""

    def __init__(self) -> None:
        self._base: tuple[Column, Column] = (np.empty(0, np.uint64), np.empty(0, np.uint64))
        self._overlay: dict[int, int] = {}
        self._lock = Lock()
        self._base_lock = Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._base[0]) + len(self._overlay)

    def get(self, learner: int) -> int | None:
        """The learner's detail, None where there is no exposure."""
        # A merge puts entries into the base before it takes them from the overlay: one of the two has them.
        detail = self._overlay.get(learner)
        if detail is not None:
            return detail
        keys, details = self._base
        position = int(np.searchsorted(keys, np.uint64(learner)))
        if position < len(keys) and int(keys[position]) == learner:
            return int(details[position])
        return None

    def add(self, learner: int, detail: int) -> bool:
        """Enter a first exposure; False where the learner has one already, which stays."""
        with self._lock:
            if self.get(learner) is not None:
                return False
            self._overlay[learner] = detail
            return True

    def load(self, learners: Column, details: Column) -> None:
        """Enter many into an empty table; of several for one learner, the earliest counts."""
        order = np.lexsort((details, learners))
        learners, details = learners[order], details[order]
        first = np.ones(len(learners), bool)
        first[1:] = learners[1:] != learners[:-1]
        with self._base_lock:
            self._base = (learners[first], details[first])

    def remove(self, learner: int) -> bool:
        """Forget a learner; False where there was nothing."""
        with self._base_lock, self._lock:
            if self._overlay.pop(learner, None) is not None:
                return True
            keys, details = self._base
            keep = keys != np.uint64(learner)
            if bool(keep.all()):
                return False
            self._base = (keys[keep], details[keep])
            return True

    def merge_if_large(self) -> None:
        """Move the overlay into the columns once it is an eighth of them; for a background thread."""
        with self._base_lock:
            with self._lock:
                if len(self._overlay) < max(_SMALLEST_MERGE, len(self._base[0]) // 8):
                    return
                moved = dict(self._overlay)
            self._base = _with_overlay(self._base, moved)
            with self._lock:
                for learner in moved:
                    del self._overlay[learner]

    def columns(self) -> tuple[Column, Column]:
        """All learner hashes and their details, ordered by hash."""
        with self._base_lock:
            with self._lock:
                overlay = dict(self._overlay)
            return _with_overlay(self._base, overlay)


def _with_overlay(base: tuple[Column, Column], overlay: dict[int, int]) -> tuple[Column, Column]:
    if not overlay:
        return base
    learners = np.fromiter(overlay.keys(), np.uint64, len(overlay))
    details = np.fromiter(overlay.values(), np.uint64, len(overlay))
    order = np.argsort(learners)
    learners, details = learners[order], details[order]
    places = np.searchsorted(base[0], learners)
    return np.insert(base[0], places, learners), np.insert(base[1], places, details)
