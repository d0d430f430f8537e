"""Instants as whole microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_US = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z."""
LATEST_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z."""


def instant_to_us(instant: datetime | np.datetime64 | int) -> int:
    """Microseconds of a datetime (naive means UTC), a numpy datetime64 (finer units are floored) or an integer.

    Raises:
        InputError: for another type, NaT, or a year outside 1 to 9999.
    """
    if isinstance(instant, datetime):
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        microseconds = (aware - EPOCH) // timedelta(microseconds=1)
    elif isinstance(instant, np.datetime64) and not np.isnat(instant):
        microseconds = int(instant.astype("datetime64[us]").astype(np.int64))
    elif isinstance(instant, (int, np.integer)) and not isinstance(instant, bool):
        microseconds = int(instant)
    else:
        raise InputError(
            f"{instant!r} is no instant", expected="a datetime, a datetime64 or microseconds since the epoch"
        )
    if not EARLIEST_US <= microseconds <= LATEST_US:
        raise InputError(f"the instant {instant!r} is out of range", expected="years 1 to 9999")
    return microseconds


def instant_to_datetime(microseconds: int) -> datetime:
    """The datetime, in UTC, of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=microseconds)


def widened_us(time: NDArray[Any], origin_us: int) -> NDArray[np.int64]:
    """Microseconds since the epoch of uint32 seconds since `origin_us`; int64 microseconds stay as they are."""
    if time.dtype == np.uint32:
        return time.astype(np.int64) * 1_000_000 + origin_us
    return time
