"""Entries in the making: each is applied to the state at once, so that what follows is decided on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from covey.rollout.evidence import Evidence
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
        self._record(payload_entry(**payload))

    def add_tick(self, evidence: Evidence) -> None:
        """Appends a look, which is large and copied once."""
        entry = payload_entry()
        evidence.write_to(entry.tick)
        self._record(entry)

    def _record(self, entry: Entry) -> None:
        entry.actor = self.actor
        # Stamped only while it is tried: what the state keeps of it are its parts, which stay.
        entry.sequence = self.state.last_sequence + 1
        entry.time.CopyFrom(timestamp_of(self.now))
        self.state = apply(self.state, entry)
        entry.ClearField("sequence")
        entry.ClearField("time")
        self.entries.append(entry)
