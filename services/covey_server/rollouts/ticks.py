"""What no look of a controller can have seen: ticks stay in the journal, and every later verdict is folded from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from covey.v1.journal_pb2 import Tick

LONGEST_OBSERVED_SECONDS = 86_400
_FLOATS = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})
_COUNTS = frozenset({FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64})


def tick_problem(tick: Tick) -> str:
    """What no look can have seen; empty where there is nothing such."""
    observed = tick.observed.seconds + tick.observed.nanos / 1e9
    if not 0 <= observed <= LONGEST_OBSERVED_SECONDS or not 0 <= tick.observed.nanos < 1_000_000_000:
        return f"observed {observed:g} s; expected 0 to {LONGEST_OBSERVED_SECONDS} s"
    try:
        tick.observed_at.ToDatetime()
    except (ValueError, OverflowError):
        return "observed_at is not a time between the years 1 and 9999"
    return next((f"{path} is {value}" for path, value in _impossible(tick, "")), "")


def _impossible(message: Message, path: str) -> Iterator[tuple[str, object]]:
    """Negative counts and numbers that are not finite. Sums of outcomes may be negative."""
    for field, value in message.ListFields():
        place = f"{path}.{field.name}" if path else field.name
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for index, item in enumerate(value if field.is_repeated else [value]):
                yield from _impossible(item, f"{place}[{index}]" if field.is_repeated else place)
        elif field.type in _FLOATS:
            yield from ((place, number) for number in _all(field, value) if not math.isfinite(number))
        elif field.type in _COUNTS:
            yield from ((place, number) for number in _all(field, value) if number < 0)


def _all(field: FieldDescriptor, value: Any) -> Iterable[float]:
    return value if field.is_repeated else (value,)
