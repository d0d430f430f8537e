"""The times of a table in the narrowest form that holds them exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covey.events_codes import ColumnBuffer

_SECOND_US = 1_000_000
_SPAN = 2**32


class TimeBuffer:
    """Times of at most `capacity` rows, filled batch by batch.

    They take four bytes each, as seconds, while every time is a whole second and all lie within 2^32 s (136 years) of
    the oldest; from the first batch that does not fit, all take eight, as microseconds.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Seconds modulo 2^32: exact as long as oldest and newest lie less than 2^32 apart.
        self._seconds: ColumnBuffer | None = ColumnBuffer(capacity)
        self._microseconds = ColumnBuffer(capacity)
        self._oldest = self._newest = 0
        self._is_empty = True

    def append(self, time_us: NDArray[np.int64]) -> None:
        """Add a batch of microseconds since the epoch."""
        if len(time_us) == 0:
            return
        if self._seconds is not None and not self._append_seconds(self._seconds, time_us):
            self._widen(self._seconds)
        if self._seconds is None:
            self._microseconds.append(time_us)

    def finish(self) -> tuple[NDArray[np.int64] | NDArray[np.uint32], int]:
        """All times and their origin: uint32 seconds since it, or int64 microseconds (origin 0)."""
        if self._seconds is None:
            return self._microseconds.finish(), 0
        values = self._seconds.finish()
        block = self._oldest // _SPAN
        if self._newest // _SPAN == block:
            return values, block * _SPAN * _SECOND_US
        values -= np.uint32(self._oldest % _SPAN)
        return values, self._oldest * _SECOND_US

    def _append_seconds(self, buffer: ColumnBuffer, time_us: NDArray[np.int64]) -> bool:
        seconds = time_us // _SECOND_US
        if not np.array_equal(seconds * _SECOND_US, time_us):
            return False
        oldest, newest = int(seconds.min()), int(seconds.max())
        if not self._is_empty:
            oldest, newest = min(oldest, self._oldest), max(newest, self._newest)
        if newest - oldest >= _SPAN:
            return False
        self._oldest, self._newest, self._is_empty = oldest, newest, False
        buffer.append(seconds.astype(np.uint32))
        return True

    def _widen(self, buffer: ColumnBuffer) -> None:
        self._seconds = None
        if not self._is_empty:
            since_oldest = buffer.finish() - np.uint32(self._oldest % _SPAN)
            self._microseconds.append(since_oldest.astype(np.int64) * _SECOND_US + self._oldest * _SECOND_US)
