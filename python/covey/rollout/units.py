"""Numbers as people write them in a plan, and as the product rounds them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SIGNIFICANT_DIGITS = 9
BASIS_POINTS = 10_000

_SECONDS_PER_UNIT = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "sec": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_DURATION_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|sec|min|s|m|h|d)(?![a-z])")
_SHARE = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(%?)\s*\Z")


def rounded(value: float) -> float:
    """The value to 9 significant digits: libm and SIMD differ in the last bits, and verdicts must not."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else value


def parse_duration(text: str) -> Duration:
    """A duration such as "2h", "15m", "90 min", "1h30m", "13d" or "500ms".

    Raises:
        ValueError: anything else.
    """
    seconds, position = Decimal(0), 0
    while match := _DURATION_PART.match(text, position):
        seconds += Decimal(match[1]) * _SECONDS_PER_UNIT[match[2]]
        position = match.end()
    if position == 0 or text[position:].strip():
        raise ValueError(f"'{text}' is not a duration; write a number with its unit, such as 20s, 15m, 2h or 13d")
    nanoseconds = int(seconds * 1_000_000_000)
    return Duration(seconds=nanoseconds // 1_000_000_000, nanos=nanoseconds % 1_000_000_000)


def parse_share(text: str) -> float:
    """A share such as "1 %", "0.5%" or "0.01", as a number of which 1 is everything.

    Raises:
        ValueError: anything else.
    """
    match = _SHARE.match(text)
    if match is None:
        raise ValueError(f"'{text}' is not a share; write it as 1 % or 0.01")
    return float(Decimal(match[1]) / 100 if match[2] else Decimal(match[1]))


def basis_points(share: float) -> int:
    """The share in whole basis points.

    Raises:
        ValueError: a share outside 0 to 1, or one that is no whole number of basis points.
    """
    points = share * BASIS_POINTS
    if not 0 <= points <= BASIS_POINTS:
        raise ValueError(f"a share of {format_share(share)} lies outside 0 to 100 %")
    if abs(points - round(points)) > 1e-6:
        raise ValueError(f"a share of {format_share(share)} is no whole number of basis points (0.01 %)")
    return round(points)


def format_share(share: float) -> str:
    """A share in percent without needless digits: 0.005 is "0.5 %"."""
    return f"{share * 100:.4g} %"


def format_duration(seconds: float) -> str:
    """The duration in the largest units that say it: "2 h", "1 h 30 min", "45 s", "0.25 s"."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    total = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, total = divmod(total, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def duration_text(duration: Duration) -> str:
    """The duration as a spec file writes it: "2h", "1h30m", "500ms"."""
    milliseconds = round(seconds_of(duration) * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def seconds_of(duration: Duration) -> float:
    """The duration in seconds."""
    return duration.seconds + duration.nanos / 1_000_000_000


def duration_of(seconds: float) -> Duration:
    """Seconds as a duration, to the microsecond."""
    return _from_microseconds(round(seconds * 1_000_000))


def _from_microseconds(microseconds: int) -> Duration:
    whole, rest = divmod(microseconds, 1_000_000)
    return Duration(seconds=whole, nanos=rest * 1000)


def time_of(timestamp: Timestamp) -> datetime:
    """The timestamp as an aware datetime in UTC."""
    return datetime.fromtimestamp(timestamp.seconds, UTC) + timedelta(microseconds=timestamp.nanos // 1000)


def timestamp_of(time: datetime) -> Timestamp:
    """An aware datetime as a timestamp, to the microsecond.

    Raises:
        ValueError: a datetime without time zone.
    """
    if time.tzinfo is None:
        raise ValueError("times must carry their time zone; use datetime.now(UTC)")
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return Timestamp(seconds=delta.days * 86_400 + delta.seconds, nanos=delta.microseconds * 1000)
