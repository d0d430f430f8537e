"""A transition as a sink is told it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from covey.v1 import notifications_pb2
from covey_controller.notify import called, describe, is_page


@dataclass(frozen=True)
class Message:
    """One transition.

    Attributes:
        dedupe_key: the same however often and by whomever it is told.
        rollout: rollouts/{rollout}.
        sequence: of the journal's entry.
        event: name of the entry's payload.
        text: one sentence.
        is_page: whether somebody must come.
        on_call: who.
        actor: who wrote the entry.
        time: when it was recorded.
    """

    dedupe_key: str
    rollout: str
    sequence: int
    event: str
    text: str
    is_page: bool
    on_call: tuple[str, ...]
    actor: str
    time: datetime

    @classmethod
    def of(cls, note: notifications_pb2.Notification) -> Message:
        """The message of a notification."""
        entry = note.entry
        return cls(
            dedupe_key=note.dedupe_key,
            rollout=note.rollout,
            sequence=entry.sequence,
            event=entry.WhichOneof("payload") or "entry",
            text=describe(entry),
            is_page=is_page(entry),
            on_call=tuple(called(entry, note.on_call)),
            actor=entry.actor,
            time=entry.time.ToDatetime(tzinfo=UTC),
        )

    def body(self) -> bytes:
        """JSON, the same bytes at every attempt."""
        fields = {
            "dedupe_key": self.dedupe_key,
            "rollout": self.rollout,
            "sequence": self.sequence,
            "event": self.event,
            "text": self.text,
            "page": self.is_page,
            "on_call": list(self.on_call),
            "actor": self.actor,
            "time": self.time.isoformat(),
        }
        return json.dumps(fields, ensure_ascii=False).encode()
