from __future__ import annotations

import pytest

from covey.rollout import commands
from covey.rollout.draft import payload_entry
from covey.rollout.replay import ReplayError, replay
from covey.v1.journal_pb2 import Entry, PhaseHeld

from .world import World, ended, in_phase, started


def eventful() -> World:
    world = started(requests_per_second=700.0)
    world.run(in_phase("canary"))
    world.journal.command(commands.pause, reason="lunch")
    world.look()
    world.journal.command(commands.resume)
    world.journal.command(commands.report_incident, incident_id="i1", critical=False, description="smoke")
    world.run(ended)
    return world


def as_bytes(entries: list[Entry]) -> list[bytes]:
    return [entry.SerializeToString(deterministic=True) for entry in entries]


def test_it_is_byte_identical() -> None:
    entries = eventful().journal.entries
    assert as_bytes(replay(entries)) == as_bytes(entries)
    copies = [Entry.FromString(raw) for raw in as_bytes(entries)]
    assert as_bytes(replay(copies)) == as_bytes(entries)


def test_a_decision_that_was_tampered_with_is_found() -> None:
    entries = eventful().journal.entries
    changed = [Entry.FromString(entry.SerializeToString()) for entry in entries]
    entered = [entry for entry in changed if entry.HasField("phase_entered")][-1]
    entered.phase_entered.verdicts[0].event_count += 1
    assert as_bytes(replay(changed)) == as_bytes(entries)
    assert as_bytes(replay(changed)) != as_bytes(changed)


def test_a_decision_left_out_or_added_is_an_error() -> None:
    world = eventful()
    entries = world.journal.entries
    with pytest.raises(ReplayError, match="goes on"):
        replay(entries[:-1])
    running = started(requests_per_second=700.0)
    running.run(in_phase("canary"))
    running.look()
    running.journal.append([payload_entry(held=PhaseHeld(phase="canary", explanation="a whim"))], epoch=1)
    with pytest.raises(ReplayError, match="does not say"):
        replay(running.journal.entries)
