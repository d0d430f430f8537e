"""YAML to a protobuf message and back, field by field, with the line of everything that is wrong.

Keys are the message's field names. People may write a share as "1 %", a duration as "2h", a time as ISO 8601, an
enum value in lower case without its prefix, and a message that has a `statement` as that statement alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from covey.errors import suggestion
from covey.rollout.findings import Finding, SpecError
from covey.rollout.units import duration_text, format_share, parse_duration, parse_share, time_of, timestamp_of

M = TypeVar("M", bound=Message)

MAXIMUM_CHARACTERS = 1 << 20
MAXIMUM_NODES = 20_000
# Numbers of which 1 is everything; the rest of the doubles has units.
SHARE_FIELDS = frozenset({"traffic_share", "shadow_share", "alpha", "error_floor", "false_rollback_budget"})
_DURATION = Duration.DESCRIPTOR.full_name
_TIMESTAMP = Timestamp.DESCRIPTOR.full_name


def read_message(text: str, message: M, source: str) -> tuple[M, dict[str, int]]:
    """Fills the message from YAML text.

    Returns:
        the message and, for each field that is written, its line by path.

    Raises:
        SpecError: with every finding, or the first fault of the YAML itself.
    """
    if len(text) > MAXIMUM_CHARACTERS:
        raise SpecError([Finding("error", "", f"the file has more than {MAXIMUM_CHARACTERS:,} characters")], source)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise SpecError([Finding("error", "", "it is nested too deeply for a plan")], source) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        lines = {"": mark.line + 1} if mark else {}
        raise SpecError([Finding("error", "", f"this is not YAML: {problem}")], source, lines) from None
    reader = _Reader()
    if root is None:
        reader.findings.append(
            Finding("error", "", "the file is empty; expected a plan, see examples/default-plan.yaml")
        )
    else:
        reader.fill(root, message, "")
    if reader.findings:
        raise SpecError(reader.findings, source, reader.lines)
    return message, reader.lines


class _Reader:
    """Walks the nodes of one file and gathers what is wrong."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.lines: dict[str, int] = {}
        self.nodes = 0

    def fill(self, node: yaml.Node, message: Message, path: str) -> None:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode) and "statement" in message.DESCRIPTOR.fields_by_name:
            cast(Any, message).statement = node.value
            return
        if not isinstance(node, yaml.MappingNode):
            self.error(path, f"expected keys and values: {', '.join(message.DESCRIPTOR.fields_by_name)}")
            return
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            inner = f"{path}.{key}" if path else key
            first_line = self.lines.get(inner)
            self.lines[inner] = key_node.start_mark.line + 1
            field = message.DESCRIPTOR.fields_by_name.get(key)
            self.nodes += 1
            if self.nodes > MAXIMUM_NODES:
                self.error(path, f"the file has more than {MAXIMUM_NODES:,} entries")
                return
            if field is None:
                known = list(message.DESCRIPTOR.fields_by_name)
                hint = suggestion(key, known).replace("the columns are", "known keys are")
                self.error(inner, f"unknown key '{key}'; {hint}")
            elif key in seen:
                self.error(inner, f"the key '{key}' is written twice, first in line {first_line}; keep one")
            else:
                self.set(value_node, message, field, inner)
            seen.add(key)
        for oneof in message.DESCRIPTOR.oneofs:
            both = [field.name for field in oneof.fields if field.name in seen]
            if len(oneof.fields) > 1 and len(both) > 1:
                self.error(path, f"{' and '.join(both)} exclude each other; keep one")

    def set(self, node: yaml.Node, message: Message, field: Any, path: str) -> None:
        if not field.is_repeated:
            if field.message_type and field.message_type.full_name not in {_DURATION, _TIMESTAMP}:
                getattr(message, field.name).SetInParent()
                self.fill(node, getattr(message, field.name), path)
                return
            value = self.scalar(node, field, path)
            if isinstance(value, Message):
                getattr(message, field.name).CopyFrom(value)
            elif value is not None:
                setattr(message, field.name, value)
            return
        if not isinstance(node, yaml.SequenceNode):
            self.error(path, "expected a list, one item per line beginning with '-'")
            return
        container = getattr(message, field.name)
        for index, item in enumerate(node.value):
            inner = f"{path}[{index}]"
            self.lines[inner] = item.start_mark.line + 1
            if field.message_type and field.message_type.full_name not in {_DURATION, _TIMESTAMP}:
                self.fill(item, container.add(), inner)
            elif (value := self.scalar(item, field, inner)) is not None:
                container.append(value)

    def scalar(self, node: yaml.Node, field: Any, path: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.error(path, "expected one value, not a list or keys")
            return None
        try:
            return _CONVERTERS[_kind(field)](node.value, field)
        except ValueError as error:
            self.error(path, str(error))
            return None

    def error(self, path: str, message: str) -> None:
        self.findings.append(Finding("error", path, message))


def _kind(field: Any) -> str:
    if field.message_type:
        return str(field.message_type.full_name)
    if field.enum_type:
        return "enum"
    kinds: dict[int, str] = {
        FieldDescriptor.CPPTYPE_BOOL: "bool",
        FieldDescriptor.CPPTYPE_STRING: "string",
        FieldDescriptor.CPPTYPE_DOUBLE: "double",
    }
    return kinds.get(field.cpp_type, "int")


def _bool(text: str, _field: Any) -> bool:
    if text.lower() not in {"true", "false", "yes", "no"}:
        raise ValueError(f"'{text}' is neither true nor false")
    return text.lower() in {"true", "yes"}


def _double(text: str, field: Any) -> float:
    if field.name in SHARE_FIELDS:
        return parse_share(text)
    return float(text)


def _int(text: str, _field: Any) -> int:
    try:
        value = int(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise ValueError(f"'{text}' is not a whole number") from None
    if abs(value) >= 1 << 31:
        raise ValueError(f"{text} is too large")
    return value


def _enum_words(field: Any) -> dict[str, int]:
    """The values of an enum field as people write them: lower case, without the prefix that they share."""
    prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in field.enum_type.values if value.number}


def _enum(text: str, field: Any) -> int:
    words = _enum_words(field)
    if text.lower() not in words:
        raise ValueError(f"'{text}' is none of {', '.join(words)}")
    return words[text.lower()]


def _duration(text: str, _field: Any) -> Duration:
    return parse_duration(text)


def _timestamp(text: str, _field: Any) -> Timestamp:
    try:
        return timestamp_of(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"'{text}' is no time with its zone; write it as 2026-05-01T06:00:00Z") from None


def _string(text: str, _field: Any) -> str:
    return text


_CONVERTERS: dict[str, Callable[[str, FieldDescriptor], Any]] = {
    "bool": _bool,
    "double": _double,
    "int": _int,
    "enum": _enum,
    "string": _string,
    _DURATION: _duration,
    _TIMESTAMP: _timestamp,
}


def plain(message: Message) -> dict[str, Any]:
    """The set fields of a message as a person would write them, in the order of the proto file."""
    result: dict[str, Any] = {}
    present = {field.name for field, _ in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        if field.name not in present:
            continue
        value = getattr(message, field.name)
        result[field.name] = [_plain(item, field) for item in value] if field.is_repeated else _plain(value, field)
    return result


def _plain(value: Any, field: Any) -> Any:
    kind = _kind(field)
    if kind == _DURATION:
        return duration_text(value)
    if kind == _TIMESTAMP:
        return time_of(value).isoformat().replace("+00:00", "Z")
    if kind == "enum":
        return next(word for word, number in _enum_words(field).items() if number == value)
    if isinstance(value, Message):
        return plain(value)
    if kind == "double" and field.name in SHARE_FIELDS and parse_share(format_share(value)) == value:
        return format_share(value)
    return value
