"""Entries in the making: each is applied to the state at once, so that what follows is decided on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from covey.rollout.model import RolloutState
from covey.rollout.state import SCHEMA_VERSION, apply
from covey.rollout.units import timestamp_of
from covey.v1.journal_pb2 import Entry


def payload_entry(*, reason: str = "", **payload: Any) -> Entry:
    """An entry as its author writes it: without sequence, time and epoch, which the server sets."""
    return Entry(schema_version=SCHEMA_VERSION, reason=reason, **payload)


def stamped(entry: Entry, state: RolloutState | None, now: datetime) -> Entry:
    """A copy as the journal would record it next."""
    recorded = Entry()
    recorded.CopyFrom(entry)
    recorded.sequence = state.last_sequence + 1 if state else 1
    recorded.time.CopyFrom(timestamp_of(now))
    return recorded


class Draft:
    """A growing list of entries and the state after them.

    Attributes:
        state: after the last entry added.
        entries: as handed to the server.
        now: the time that provisional entries carry.
        actor: who writes them, where what is legal depends on it.
    """

    def __init__(self, state: RolloutState, now: datetime, *, actor: str = "") -> None:
        self.state = state
        self.entries: list[Entry] = []
        self.now = now
        self.actor = actor

    def add(self, **payload: Any) -> None:
        """Appends an entry.

        Raises:
            IllegalEntry: it may not follow.
        """
        entry = payload_entry(**payload)
        entry.actor = self.actor
        self.state = apply(self.state, stamped(entry, self.state, self.now))
        self.entries.append(entry)
