"""Values of a spec that no plan can mean: times beyond a calendar, unknown numbers of an enum, endless lists."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1.rollout_spec_pb2 import RolloutSpec

LARGEST_SPEC_BYTES = 128 << 10
"""A spec is part of every answer about its rollout, and answers have at most 4 MiB."""
MOST_PHASES = 100
MOST_STATEMENTS = 100
"""Triggers of a plan, or criteria of a phase: each is judged at every tick."""
LONGEST_SECONDS = 3660 * 86_400
SHORTEST_INTERVAL_SECONDS = 0.1
"""Of looks and probes: more would be a load, not a look."""
_YEAR_1_SECONDS = -62_135_596_800
_YEAR_9999_SECONDS = 253_402_300_799
_NANOS_PER_SECOND = 1_000_000_000


def out_of_range(spec: RolloutSpec) -> list[tuple[str, str]]:
    """Path and complaint of every such value; where there is one, nothing else about the spec can be computed."""
    if spec.ByteSize() > LARGEST_SPEC_BYTES:
        return [("", f"it has {spec.ByteSize()} bytes, at most {LARGEST_SPEC_BYTES}; shorten texts and lists")]
    found = list(_below(spec, ""))
    counts = [("phases", len(spec.phases), MOST_PHASES), ("triggers", len(spec.triggers), MOST_STATEMENTS)]
    counts += [(f"phases[{i}].criteria", len(phase.criteria), MOST_STATEMENTS) for i, phase in enumerate(spec.phases)]
    found += [(path, f"there are {count}, at most {most}") for path, count, most in counts if count > most]
    for field in ("tick_interval", "soak_tick_interval", "probe_interval"):
        interval = getattr(spec, field)
        if 0 < interval.seconds + interval.nanos / _NANOS_PER_SECOND < SHORTEST_INTERVAL_SECONDS:
            found.append((field, f"it is shorter than {SHORTEST_INTERVAL_SECONDS:g} s"))
    return found


def _below(message: Message, path: str) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        inner = f"{path}.{field.name}" if path else field.name
        values = enumerate(value) if field.is_repeated else [(None, value)]
        for index, item in values:
            place = inner if index is None else f"{inner}[{index}]"
            if field.enum_type is not None and item not in field.enum_type.values_by_number:
                yield place, f"{item} is no {field.enum_type.name}"
            elif isinstance(item, Duration):
                yield from _duration(item, place)
            elif isinstance(item, Timestamp):
                yield from _timestamp(item, place)
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _below(item, place)


def _duration(value: Duration, path: str) -> Iterator[tuple[str, str]]:
    if abs(value.seconds) > LONGEST_SECONDS:
        yield path, f"{value.seconds} s is longer than ten years; expected a duration such as 2h"
    elif abs(value.nanos) >= _NANOS_PER_SECOND or value.seconds * value.nanos < 0:
        yield path, f"{value.seconds} s and {value.nanos} ns is no duration; nanos are below a second and of one sign"


def _timestamp(value: Timestamp, path: str) -> Iterator[tuple[str, str]]:
    if not (_YEAR_1_SECONDS <= value.seconds <= _YEAR_9999_SECONDS and 0 <= value.nanos < _NANOS_PER_SECOND):
        yield path, "it is not a time between the years 1 and 9999"
