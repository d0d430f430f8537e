"""A hold that nobody looks after is told to the next on call; one that somebody looks after is not."""

from __future__ import annotations

import pytest

from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.replay import replay
from covey.rollout.resource import to_resource
from covey.rollout.spec import as_created
from covey.rollout.state import State
from covey.v1.evidence_pb2 import ABSENCE_TYPE_STALE, Absence
from covey.v1.journal_pb2 import HoldEscalated

from .world import SHORT_PLAN, World, in_phase, plan, started

ON_CALL = "on_call: {primary: ada, secondary: grace, escalation: edsger, escalate_after: 10s}\n"
PLAN = SHORT_PLAN.replace("    hold: 20s\n", "    hold: 20s\n    max_hold: 10m\n")


def held(text: str = PLAN + ON_CALL) -> World:
    """The metrics are stale since the first look of the canary, and that is what it holds for."""
    world = started(text)
    world.run(in_phase("canary"))
    world.absences = [Absence(replica="a", type=ABSENCE_TYPE_STALE)]
    world.look()
    assert world.journal.state.state == State.STATE_HOLDING
    return world


def calls(world: World) -> list[tuple[int, str]]:
    entries = [entry.escalated for entry in world.journal.entries if entry.HasField("escalated")]
    return [(entry.level, entry.on_call) for entry in entries]


def look(world: World, times: int) -> None:
    for _ in range(times):
        world.look()


def test_secondary_then_escalation_each_once() -> None:
    world = held()
    look(world, 9)
    assert calls(world) == []
    look(world, 1)
    assert calls(world) == [(HoldEscalated.LEVEL_SECONDARY, "grace")]
    assert world.journal.entries[-1].escalated.explanation.startswith("metrics are missing")
    look(world, 9)
    assert len(calls(world)) == 1
    look(world, 100)
    assert calls(world)[1:] == [(HoldEscalated.LEVEL_ESCALATION, "edsger")]
    assert world.journal.refold() == world.journal.state
    assert [e.SerializeToString() for e in replay(world.journal.entries)] == [
        e.SerializeToString() for e in world.journal.entries
    ]


def test_an_acknowledged_hold_goes_no_further() -> None:
    world = held()
    look(world, 12)
    world.journal.append(commands.acknowledge(world.journal.state, world.journal.now, reason="on it"), actor="grace")
    assert to_resource(world.journal.state).hold_acknowledged_by == "grace"
    look(world, 50)
    assert calls(world) == [(HoldEscalated.LEVEL_SECONDARY, "grace")]
    with pytest.raises(CommandRefused, match="grace has acknowledged it already"):
        world.journal.command(commands.acknowledge)


def test_the_next_hold_begins_anew_and_another_reason_does_not() -> None:
    world = held()
    world.journal.command(commands.acknowledge)
    world.absences = [Absence(replica="a", metric="errors", type=ABSENCE_TYPE_STALE)]
    look(world, 30)
    assert world.journal.kinds().count("held") == 2
    assert calls(world) == [], "the same hold, with another reason"
    world.absences = []
    look(world, 2)
    assert world.journal.state.state == State.STATE_RUNNING
    world.absences = [Absence(replica="a", type=ABSENCE_TYPE_STALE)]
    look(world, 11)
    assert calls(world) == [(HoldEscalated.LEVEL_SECONDARY, "grace")]


def test_whoever_is_not_named_is_left_out() -> None:
    world = held(PLAN + ON_CALL.replace("secondary: grace, ", ""))
    look(world, 60)
    assert calls(world) == [(HoldEscalated.LEVEL_ESCALATION, "edsger")]


@pytest.mark.parametrize("on_call", ["", ON_CALL.replace("10s", "0s"), ON_CALL.replace(", escalate_after: 10s", "")])
def test_nobody_is_called_where_the_plan_does_not_say_so(on_call: str) -> None:
    world = held(PLAN + on_call)
    look(world, 60)
    assert calls(world) == []


def test_the_default_is_a_quarter_of_an_hour() -> None:
    assert as_created(plan()).on_call.escalate_after.seconds == 900


def test_a_pause_is_somebody() -> None:
    world = held()
    world.journal.command(commands.pause)
    look(world, 60)
    assert calls(world) == []


def test_only_a_hold_is_acknowledged() -> None:
    world = started()
    world.run(in_phase("canary"))
    with pytest.raises(CommandRefused, match="an acknowledgement needs a hold; the rollout is RUNNING"):
        world.journal.command(commands.acknowledge)
    assert to_resource(world.journal.state).hold_acknowledged_by == ""
