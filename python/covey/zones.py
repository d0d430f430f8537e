"""Time zones as data: what the pure calendar of a rollout is given, and its journal keeps.

The offsets are looked up once, when a rollout is created, so that a journal gives the same decisions on a machine whose
time zone database is another one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from covey.v1.rollout_spec_pb2 import ZoneOffset

LOOKED_UP = timedelta(days=3 * 366)
"""How far ahead offsets are kept; after that the last one stays."""
_STEP = timedelta(hours=12)
_SECOND = timedelta(seconds=1)


def zone_offsets(name: str, since: datetime, length: timedelta = LOOKED_UP) -> list[ZoneOffset]:
    """The offsets of a time zone from an instant on: the one in force, then every change, to the second.

    Args:
        name: IANA name, such as "Europe/Berlin"; empty: UTC, which needs no offsets.
        since: aware.
        length: how far ahead.

    Raises:
        ValueError: there is no such zone.
    """
    if not name:
        return []
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = get_close_matches(name, available_timezones(), n=2) or ["Europe/Berlin"]
        raise ValueError(f"'{name}' is no time zone; expected an IANA name such as {' or '.join(close)}") from None
    at = since.astimezone(UTC).replace(microsecond=0)
    end = at + length
    offset = _offset(zone, at)
    found = [_made(at, offset)]
    while at < end:
        following = at + _STEP
        if _offset(zone, following) != offset:
            low, high = at, following
            while high - low > _SECOND:
                middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            offset = _offset(zone, high)
            found.append(_made(high, offset))
            following = high
        at = following
    return found


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _made(at: datetime, offset: timedelta) -> ZoneOffset:
    made = ZoneOffset()
    made.begin_time.FromDatetime(at)
    made.utc_offset.FromTimedelta(offset)
    return made
