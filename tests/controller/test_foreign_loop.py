"""The loop with a foreign service behind a real HAProxy: phases, rollback, restart, a lie, a lease that is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from waiting import wait_until

from covey import failpoints
from covey.v1.evidence_pb2 import ReachedProcesses
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey.v1.rollouts_pb2 import Rollout
from covey_controller.loop import Loop
from covey_controller.traffic import haproxy as haproxy_actuator
from covey_controller.traffic.actuator import RouterReading, shows
from covey_controller.traffic.haproxy import Haproxy, exchange
from covey_controller.traffic.setting import Setting

from .echo import Echo, two_echos
from .foreign_world import ForeignWorld
from .traffic.haproxy_process import HaproxyProcess, control_socket, echo_plan, haproxy
from .world import NAME


@pytest.fixture
def echos() -> Iterator[tuple[Echo, Echo]]:
    with two_echos() as pair:
        yield pair


@pytest.fixture
def spec(echos: tuple[Echo, Echo], tmp_path: Path) -> RolloutSpec:
    return echo_plan(*echos, f"haproxy: {{routers: ['{control_socket(tmp_path)}']}}", tick="5s", hold="2m")


@pytest.fixture
def process(spec: RolloutSpec, tmp_path: Path) -> Iterator[HaproxyProcess]:
    with haproxy(spec, tmp_path) as running:
        yield running


@pytest.fixture
def world(echos: tuple[Echo, Echo], process: HaproxyProcess, tmp_path: Path) -> Iterator[ForeignWorld]:
    made = ForeignWorld(tmp_path / "data", echos, process.address)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def in_state(world: ForeignWorld, *states: Rollout.State.ValueType) -> bool:
    return world.state().state in states


def test_a_good_candidate_goes_through_its_phases(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    world.start(spec)
    with world.driver() as loop:
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))
        assert exchange(process.control).setting.weight_bp == 10_000
    assert world.kinds().count("phase_entered") == 2
    names = {reading.replica for reading in world.ticks()[-1].readings}
    assert {name.split()[0] for name in names} == {"haproxy", "baseline", "candidate"}
    assert all(not absence.metric for tick in world.ticks() for absence in tick.absences)
    finished = world.entries()[-1].finished
    assert [(reading.replica.split()[0], reading.candidate_weight_bp) for reading in finished.read_back] == [
        ("haproxy", 10_000)
    ]
    entered = [entry.phase_entered for entry in world.entries() if entry.HasField("phase_entered")]
    (latency,) = (verdict for verdict in entered[1].verdicts if verdict.statement == "p99 < 300 ms")
    assert "counted at 250 ms, the histogram's edge next below the limit" in latency.sentence


def test_a_bad_candidate_is_off_the_wire_before_its_rollback_is_recorded(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    world.start(spec)
    world.candidate.fails = True
    with world.driver() as loop:
        seen: list[int] = []
        commit = loop._client.commit

        def watched(name: str, epoch: int, expected: int, entries: Sequence[object], request_id: str) -> object:
            if any(entry.HasField("rollback_started") for entry in entries):  # type: ignore[attr-defined]
                seen.append(exchange(process.control).setting.weight_bp)
            return commit(name, epoch, expected, entries, request_id)  # type: ignore[arg-type]

        loop._client.commit = watched  # type: ignore[method-assign,assignment]
        world.run(loop, lambda: in_state(world, Rollout.STATE_ROLLED_BACK))
    assert seen == [0]
    rollback = next(entry.rollback_started for entry in world.entries() if entry.HasField("rollback_started"))
    assert rollback.cause == RollbackStarted.CAUSE_TRIGGER
    assert "error_rate > 10 %" in rollback.statement
    assert exchange(process.control).setting.weight_bp == 0


@pytest.mark.parametrize("told", [True, False], ids=["HAProxy tells", "twin that does not"])
def test_a_killed_candidate_is_rolled_back_at_the_second_look(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first one there may be probes that it answered before. The twin waits for metrics_grace."""
    if not told:
        monkeypatch.setattr(haproxy_actuator, "shows", lambda *shown: shows(*shown[:3]))
    world.start(spec)
    with world.driver() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 10)
        prober = loop._followers[NAME]._prober
        silent = (spec.target, spec.candidate, False)
        world.calls_per_pass = 0
        world.candidate.close()
        assert wait_until(lambda: exchange(process.control).reached == ReachedProcesses(baseline_count=1), 30)
        looks = len(world.ticks())
        for look in (1, 2):
            assert wait_until(lambda: prober._counts[silent] > 0, 30)
            world.run(loop, lambda look=look: len(world.ticks()) == looks + look)  # type: ignore[misc]
        rollbacks = [entry.rollback_started for entry in world.entries() if entry.HasField("rollback_started")]
    assert [rollback.cause for rollback in rollbacks] == [RollbackStarted.CAUSE_UNAVAILABLE] * told


def test_an_abort_is_on_the_wire_at_the_next_pass(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    world.start(spec)
    with world.driver() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 10)
        assert exchange(process.control).setting.weight_bp == 1000
        world.client.abort_rollout(NAME, reason="enough")
        wait = loop.pass_once()
        assert exchange(process.control).setting.weight_bp == 0
        assert wait <= 1.0
        world.run(loop, lambda: in_state(world, Rollout.STATE_ABORTED))


def test_a_restarted_router_is_told_again_within_one_pass_and_its_rollout_goes_on(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    world.start(spec)
    with world.driver() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 10)
        process.kill()
        process.start()
        assert exchange(process.control).setting == Setting()
        began = world.seconds
        world.run(loop, lambda: exchange(process.control).setting.weight_bp == 1000)
        assert world.seconds - began <= 1.0
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))


class Trusting(Haproxy):
    """The twin: it believes that what was set is in force."""

    def keep(self, epoch: int, weight_bp: int) -> Sequence[RouterReading]:
        super().keep(epoch, weight_bp)
        return [("haproxy", shows("haproxy", weight_bp, 1.0))]


@pytest.mark.parametrize("reads_back", [True, False], ids=["read-back", "twin that trusts"])
def test_a_router_that_takes_the_weight_and_goes_on_as_before_is_rolled_back(
    echos: tuple[Echo, Echo], spec: RolloutSpec, tmp_path: Path, reads_back: bool
) -> None:
    """Its door answers with what it does, which is not what it was told: the candidate stays at 0."""

    def deaf(text: str) -> str:
        return text.replace("if METH_PUT covey_ticket", "if FALSE")

    spec.metrics_grace.seconds = 60

    def trusting(loop: Loop) -> None:
        if not reads_back:
            loop._workplace.actuator = Trusting  # type: ignore[method-assign,assignment]

    with haproxy(spec, tmp_path, deaf) as process:
        world = ForeignWorld(tmp_path / "data", echos, process.address)
        try:
            world.start(spec)
            with world.driver(change=trusting) as loop:
                world.run(loop, lambda: world.state().state == Rollout.STATE_ROLLED_BACK or world.seconds > 200)
            state = world.state()
        finally:
            world.close()
    if reads_back:
        assert state.state == Rollout.STATE_ROLLED_BACK
        assert state.rollback_cause == RollbackStarted.CAUSE_ROUTER
        assert state.phase_ticks == 0
    else:
        assert state.in_phase
        assert state.phase_elapsed_seconds > 60, "it counts time in which the candidate had no traffic"


def test_a_controller_whose_router_knows_a_later_epoch_stands_by(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    world.start(spec)
    with world.driver() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 10)
        count = len(world.ticks())
        exchange(process.control, Setting(9, 0, 300).ticket)
        for _ in range(10):
            world.sleep(loop.pass_once())
        assert exchange(process.control).setting == Setting(9, 0, 300), "nothing was changed under a later epoch"
        assert len(world.ticks()) == count


def test_after_its_success_a_candidate_keeps_its_traffic_whatever_restarts(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    world.start(spec)
    with world.driver("one") as loop:
        world.run(loop, lambda: in_state(world, Rollout.STATE_SUCCEEDED))
    process.kill()
    process.start()
    assert exchange(process.control).setting == Setting()
    with world.driver("two") as loop:
        world.run(loop, lambda: exchange(process.control).setting.weight_bp == 10_000, passes=20)
        assert world.kinds()[-1] == "finished", "nothing is written when nothing is under way"


def test_a_rollback_that_cannot_be_recorded_yet_keeps_its_zero(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess
) -> None:
    """Between two looks the journal still says 10 %, and the router must not go back to it."""
    world.start(spec)
    world.candidate.fails = True
    with world.driver() as loop:
        world.run(loop, lambda: world.state().candidate_weight_bp == 1000)
        failpoints.arm("router.zeroed:raise")
        world.run(loop, lambda: exchange(process.control).setting.weight_bp == 0)
        assert in_state(world, Rollout.STATE_RUNNING)
        for _ in range(3):
            world.sleep(loop.pass_once())
            assert exchange(process.control).setting.weight_bp == 0
        world.run(loop, lambda: in_state(world, Rollout.STATE_ROLLED_BACK))


@pytest.mark.parametrize("point", ["router.before_set", "router.set"])
def test_a_controller_that_ends_while_it_sets_a_weight_is_succeeded_by_one_that_sets_it(
    world: ForeignWorld, spec: RolloutSpec, process: HaproxyProcess, point: str
) -> None:
    world.start(spec)
    with world.driver("one") as loop:
        failpoints.arm(f"{point}:raise:2")  # the first time is the epoch's, at weight 0
        world.run(loop, lambda: in_state(world, Rollout.STATE_RUNNING))
    assert exchange(process.control).setting.weight_bp == (1000 if point == "router.set" else 0)
    with world.driver("two") as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 10)
        assert exchange(process.control).setting.weight_bp == 1000
        assert exchange(process.control).setting.epoch == 2
