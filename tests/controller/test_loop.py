"""The loop against a real server in virtual time: what it commits, and what it does when things go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covey.rollout.state import RolloutState
from covey.v1.rollouts_pb2 import Rollout
from covey_controller import tick
from covey_controller.client import ControlClient, open_channel
from covey_controller.config import ScrapeLimits
from covey_controller.loop import Loop

from .pages import hanging, http, sending, serving
from .world import NAME, PLAN, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.close()


def in_state(world: World, *states: Rollout.State.ValueType) -> bool:
    return world.state().state in states


def test_a_rollout_goes_through_its_phases_by_itself(world: World) -> None:
    world.begin()
    with world.controller() as loop:
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))
    assert world.kinds()[:2] == ["created", "started"]
    assert world.kinds().count("phase_entered") == 2
    assert world.kinds()[-1] == "finished"
    assert world.client.get_server_info().stable_variant == "variants/native"
    ticks = world.ticks()
    assert ticks[0].observed.ToTimedelta().total_seconds() == 0
    gaps = {round(tick.observed.ToTimedelta().total_seconds()) for tick in ticks[1:]}
    assert gaps <= {30, 60}, "every tick says how long it observed: an interval"
    assert all(tick.readings for tick in ticks)
    # Two phases of five minutes, and a little for the weights to take effect and the last look.
    assert 10 * 60 <= world.seconds <= 15 * 60


def dwelt_seconds(world: World) -> float:
    """What the looks of the first phase observed of it, from the one that confirmed its weight to its last."""
    entries = world.entries()
    entered = [place for place, entry in enumerate(entries) if entry.HasField("phase_entered")]
    ticks = [entry.tick for entry in entries[entered[0] : entered[1]] if entry.HasField("tick")]
    confirmed = next(place for place, tick in enumerate(ticks) if tick.readings[0].candidate_weight_bp == 5000)
    return sum(tick.observed.ToTimedelta().total_seconds() for tick in ticks[confirmed + 1 :])


@pytest.mark.parametrize("is_called_for", [True, False], ids=["called", "twin: looks at intervals alone"])
def test_a_phase_ends_when_its_time_is_over_and_not_at_the_next_interval(
    world: World, monkeypatch: pytest.MonkeyPatch, is_called_for: bool
) -> None:
    if not is_called_for:
        monkeypatch.setattr(RolloutState, "dwells_since", lambda *_: False)
    world.begin(PLAN.replace("hold: 5m", "hold: 301s"))
    with world.controller() as loop:
        world.run(loop, lambda: world.kinds().count("phase_entered") == 2)
    assert (dwelt_seconds(world) < 301.1) == is_called_for
    assert dwelt_seconds(world) >= 301


def dwelling_until(world: World, loop: Loop, left_seconds: float) -> None:
    world.run(loop, lambda: 0 < world.state().dwell_left_seconds <= left_seconds)


def passes_in(world: World, loop: Loop, seconds: float) -> int:
    """Of a controller that sleeps between them as it likes."""
    end, count = world.seconds + seconds, 0
    while world.seconds < end and count < 60:
        world.sleep(loop.pass_once())
        count += 1
    return count


def failing(*_: object) -> None:
    raise ArithmeticError("this look fails")


def test_a_look_that_fails_as_the_phase_ends_is_repeated_after_an_interval(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.begin()
    with world.controller() as loop:
        dwelling_until(world, loop, 30)
        monkeypatch.setattr(tick, "decide", failing)
        assert passes_in(world, loop, 300) <= 12
        monkeypatch.undo()
        world.run(loop, lambda: world.kinds().count("phase_entered") == 2)


def test_who_lost_the_lease_does_not_hurry_because_a_phase_ended_under_another(world: World) -> None:
    world.begin()
    with world.controller("one") as first, world.controller("two") as second:
        dwelling_until(world, first, 30)
        with open_channel(world.control) as channel:  # as if it had run out
            ControlClient(channel, actor="one", call_seconds=10.0).release_lease("analyzer", "one")
        world.run(second, lambda: second.epoch is not None, passes=2)
        world.seconds += 60
        assert passes_in(world, first, 60) <= 4
        assert first.epoch is None


def test_without_calls_it_stays_in_its_phase(world: World) -> None:
    world.calls_per_pass = 0
    world.begin()
    with world.controller() as loop:
        world.run(loop, lambda: world.seconds > 1800)
    rollout = world.rollout()
    assert (rollout.state, rollout.phase) == (Rollout.STATE_HOLDING, "canary")
    assert world.kinds().count("phase_entered") == 1


def test_a_new_controller_goes_on_from_the_journal(world: World) -> None:
    world.begin()
    with world.controller("one") as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 120)
    before = world.rollout()
    ticks_before = len(world.ticks())
    world.seconds += 45
    with world.controller("two") as loop:
        world.run(loop, lambda: len(world.ticks()) > ticks_before)
        assert world.ticks()[-1].observed.ToTimedelta().total_seconds() == 0, "nobody observed the time between"
        assert world.rollout().phase == before.phase
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))
    assert world.kinds().count("phase_entered") == 2
    assert world.rollout().epoch == before.epoch + 1


def test_a_second_controller_stands_by_and_takes_over(world: World) -> None:
    world.begin()
    with world.controller("one") as first, world.controller("two") as second:
        world.run(first, lambda: world.state().last_sequence >= 6)
        count = len(world.ticks())
        for _ in range(10):
            world.sleep(second.pass_once())
        assert len(world.ticks()) == count, "who stands by writes nothing"
        first.close()
        world.run(second, lambda: len(world.ticks()) > count)
    actors = [entry.actor for entry in world.entries() if entry.HasField("tick")]
    assert actors == sorted(actors)
    assert set(actors) == {"one", "two"}


def test_an_operators_entry_between_is_decided_on(world: World) -> None:
    world.begin()
    with world.controller() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 60)
        world.client.pause_rollout(NAME, reason="lunch")
        elapsed = world.state().phase_elapsed_seconds
        pause_begin = world.seconds
        world.run(loop, lambda: world.seconds > pause_begin + 600)
        assert world.state().phase_elapsed_seconds == elapsed, "a pause is no dwell"
        world.client.resume_rollout(NAME, reason="back")
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))
    assert world.kinds().count("paused") == 1


def test_an_abort_is_finished_by_reading_the_share_back(world: World) -> None:
    world.begin()
    with world.controller() as loop:
        world.run(loop, lambda: world.state().candidate_weight_bp == 5000)
        world.client.abort_rollout(NAME, reason="enough")
        world.run(loop, lambda: in_state(world, Rollout.STATE_ABORTED))
    finished = world.entries()[-1].finished
    assert [reading.candidate_weight_bp for reading in finished.read_back] == [0]
    assert world.client.get_server_info().stable_variant == "variants/reference"


@pytest.mark.parametrize("kind", ["empty", "hanging", "not found"])
def test_metrics_that_are_gone_hold_and_their_return_goes_on(world: World, kind: str) -> None:
    answers = {
        "empty": sending(http("")),
        "hanging": hanging(),
        "not found": sending(http("gone\n", status="404 Not Found")),
    }
    world.begin()
    with world.controller("sees") as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 120)
    patient = world.scrape
    if kind == "hanging":  # nothing ever comes, however long each of the looks waits for it
        world.scrape = ScrapeLimits(read_seconds=0.3, total_seconds=1.0)
    with serving(answers[kind]) as broken, world.controller("blind", broken.url) as loop:
        begin = world.seconds
        world.run(loop, lambda: world.seconds > begin + 250)
        rollout = world.rollout()
        assert (rollout.state, rollout.phase) == (Rollout.STATE_HOLDING, "canary")
        assert rollout.phase_elapsed.ToTimedelta().total_seconds() < 300
        assert all(not tick.readings and tick.absences for tick in world.ticks()[-5:])
    world.scrape = patient
    with world.controller("sees again") as loop:
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))


def test_a_control_port_that_is_away_is_waited_for(world: World) -> None:
    world.begin()
    with world.controller() as loop:
        world.run(loop, lambda: len(world.ticks()) >= 2)
        world.server.stop()
        waits = [loop.pass_once() for _ in range(6)]
    assert waits[0] < waits[1] <= waits[2]
    assert max(waits) == 1.0
