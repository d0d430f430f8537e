"""A wall clock that jumps, in virtual time: phases end when they would have, and nobody's variant changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
from controller.echo import two_echos
from controller.foreign_world import ForeignWorld
from controller.traffic.haproxy_process import control_socket, echo_plan, haproxy
from controller.world import BEGIN, PLAN, World

from covey.rollout import accumulate
from covey.v1.journal_pb2 import HoldEscalated
from covey.v1.rollouts_pb2 import Rollout
from covey_server.split import SplitBoard

from .amounts import amount

Jumps: TypeAlias = Sequence[tuple[float, timedelta]]
"""From when on, in seconds of a clock that only grows, the time of day is how far off."""

HOUR = timedelta(hours=1)
THERE = (
    HOUR,
    -HOUR,
    datetime(1970, 1, 1, 0, 1, tzinfo=UTC) - BEGIN,
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC) - BEGIN,
    timedelta(seconds=-0.5),
    timedelta(),
)
IN_THE_PHASE = ((30.5, THERE[2]), (90.0, THERE[3]), (200.0, -HOUR), (290.0, HOUR))
"""The first of them in the second before the weight holds."""
BACK = ((90.0, -HOUR),)


def canary_seconds(directory: Path, jumps: Jumps, at_most: float = 600) -> float:
    """When the first phase ended, on the clock that only grows."""
    world = World(directory)
    world.calls_per_pass = 100
    try:
        world.begin(PLAN.replace(", {statement: p99 < 60 s}", ""))
        with world.controller() as loop:
            while world.state().phase != "rollout":
                for moment, offset in jumps:
                    if world.seconds >= moment:
                        world.wall_jump = offset
                assert world.seconds <= at_most, world.rollout()
                world.sleep(loop.pass_once())
    finally:
        world.close()
    return world.seconds


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> float:
    return canary_seconds(tmp_path_factory.mktemp("undisturbed"), ())


def test_jumps_end_no_phase_early_or_late(undisturbed: float, tmp_path: Path) -> None:
    assert canary_seconds(tmp_path, IN_THE_PHASE) == pytest.approx(undisturbed, abs=1.0)


@pytest.mark.parametrize("seed", range(amount("JUMPS", 1)))
def test_random_jumps(seed: int, undisturbed: float, tmp_path: Path) -> None:
    chance = Random(seed)
    jumps = sorted((chance.uniform(0, undisturbed), chance.choice(THERE)) for _ in range(4))
    assert canary_seconds(tmp_path, jumps) == pytest.approx(undisturbed, abs=1.0), jumps


def test_a_split_that_follows_the_wall_clock_is_gone_for_an_hour(
    undisturbed: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: it holds while the time of day is past its beginning."""

    def by_the_wall(board: SplitBoard, now: datetime) -> object:
        return next((split for split, _ in reversed(board._splits) if split.effective_at <= now), None)

    monkeypatch.setattr(SplitBoard, "current", by_the_wall)
    with pytest.raises(AssertionError):
        canary_seconds(tmp_path, BACK, at_most=undisturbed + 1)


def test_a_look_that_follows_the_wall_clock_sees_no_weight_for_an_hour(
    undisturbed: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other twin: it counts where its time of day is past the beginning of the weight."""
    monkeypatch.setattr(
        accumulate, "_took_effect", lambda state, at: not state.effective_at or at >= state.effective_at
    )
    with pytest.raises(AssertionError):
        canary_seconds(tmp_path, BACK, at_most=undisturbed + 1)


def test_a_router_is_not_taken_for_a_liar(tmp_path: Path) -> None:
    """HAProxy shows the right weight all the while; looks that seem to be from before its entry say nothing else."""
    with two_echos() as echos:
        router = f"haproxy: {{routers: ['{control_socket(tmp_path)}']}}"
        spec = echo_plan(*echos, router, tick="5s", grace="15s", hold="5m")
        with haproxy(spec, tmp_path) as process:
            world = ForeignWorld(tmp_path / "data", echos, process.address)
            try:
                world.start(spec)
                with world.driver() as loop:
                    world.run(loop, lambda: world.state().phase_elapsed_seconds >= 5)
                    world.wall_jump, until = -HOUR, world.seconds + 60
                    world.run(loop, lambda: world.state().is_terminal or world.seconds >= until)
                assert world.state().in_phase
                assert world.state().misrouted_seconds == 0
            finally:
                world.close()


def test_people_are_called_though_the_clock_was_set_back(tmp_path: Path) -> None:
    on_call = "on_call: {primary: ada, secondary: grace, escalate_after: 5m}"
    world = World(tmp_path)
    try:
        world.begin(PLAN.replace("metrics_grace: 1h", f"metrics_grace: 1h\n{on_call}"))
        with world.controller() as loop:
            world.run(loop, lambda: world.state().phase_elapsed_seconds >= 30, passes=40)
        world.calls_per_pass = 0
        with world.controller(metrics_url="http://127.0.0.1:1/metrics") as loop:
            world.run(loop, lambda: world.state().state == Rollout.STATE_HOLDING, passes=40)
            held, world.wall_jump = world.seconds, -HOUR
            world.run(loop, lambda: world.state().escalation_count > 0, passes=40)
        assert 300 <= world.seconds - held <= 300 + 3 * 30
        levels = [entry.escalated.level for entry in world.entries() if entry.HasField("escalated")]
        assert levels == [HoldEscalated.LEVEL_SECONDARY]
    finally:
        world.close()
