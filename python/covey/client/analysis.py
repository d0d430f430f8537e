"""What a server says of an experiment, as the library says it."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

_PREFIXES = ("READING_KIND_", "VERDICT_")


def analysis_data(message: Message) -> dict[str, Any]:
    """The plain data that `covey.experiment.experiment_data` gives, of an `ExperimentAnalysis` that was made of it."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.has_presence and not message.HasField(field.name):
            continue
        if field.name.endswith("p_text") and not value:  # there is no chance to tell of
            continue
        if field.enum_type is not None:
            found[field.name] = _plain_name(field.enum_type.values_by_number[value].name)
        elif isinstance(value, Message):
            found[field.name] = analysis_data(value)
        elif isinstance(value, (str, bool, int, float)):
            found[field.name] = value
        else:
            found[field.name] = [analysis_data(own) if isinstance(own, Message) else own for own in value]
    return found


def _plain_name(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name
