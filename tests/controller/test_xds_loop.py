"""The loop with a foreign service whose clients split their own requests, as the controller's control plane says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from waiting import wait_until

from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey.v1.rollouts_pb2 import Rollout

from .echo import Echo, two_echos
from .foreign_world import ForeignWorld
from .traffic.haproxy_process import echo_plan
from .traffic.xds_process import XdsClient, xds_client
from .world import NAME

LISTEN = "127.0.0.1:0"


class XdsWorld(ForeignWorld):
    """Its calls are those of xDS clients, once there are some."""

    def __init__(self, directory: Path, echos: tuple[Echo, Echo]) -> None:
        super().__init__(directory, echos, LISTEN)
        self.clients: list[XdsClient] = []
        self.codes: set[str] = set()

    def traffic(self) -> None:
        for client in self.clients:
            self.codes |= set(client.call(self.calls_per_pass))


@pytest.fixture
def echos() -> Iterator[tuple[Echo, Echo]]:
    with two_echos() as pair:
        yield pair


@pytest.fixture
def spec(echos: tuple[Echo, Echo]) -> RolloutSpec:
    return echo_plan(*echos, "xds: {}", tick="5s", hold="2m")


@pytest.fixture
def world(echos: tuple[Echo, Echo], tmp_path: Path) -> Iterator[XdsWorld]:
    made = XdsWorld(tmp_path / "data", echos)
    yield made
    made.close()


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_good_candidate_succeeds_and_keeps_its_traffic(
    world: XdsWorld, spec: RolloutSpec, clients: ExitStack
) -> None:
    world.start(spec)
    with world.driver(xds=LISTEN) as loop:
        world.clients.append(clients.enter_context(xds_client(loop.xds_address)))
        world.run(loop, lambda: world.state().state == Rollout.STATE_SUCCEEDED)
        assert world.codes == {"OK"}
        world.candidate.learners.clear()
        world.traffic()
        assert len(world.candidate.learners) == world.calls_per_pass
    (read_back,) = world.entries()[-1].finished.read_back
    assert read_back.replica == f"xds {loop.xds_address}"
    assert read_back.candidate_weight_bp == 10_000


def test_a_bad_candidate_is_rolled_back_as_its_clients_confirm(
    world: XdsWorld, spec: RolloutSpec, clients: ExitStack
) -> None:
    world.start(spec)
    world.candidate.fails = True
    with world.driver(xds=LISTEN) as loop:
        world.clients.append(clients.enter_context(xds_client(loop.xds_address)))
        world.run(loop, lambda: world.state().state == Rollout.STATE_ROLLED_BACK)
        world.candidate.learners.clear()
        world.traffic()
        assert not world.candidate.learners
    rollback = next(entry.rollback_started for entry in world.entries() if entry.HasField("rollback_started"))
    assert rollback.cause == RollbackStarted.CAUSE_TRIGGER


def test_clients_of_a_controller_in_waiting_follow_the_journal(
    world: XdsWorld, spec: RolloutSpec, clients: ExitStack
) -> None:
    """Who lost the lease still speaks to clients of its own: they must not be left at a weight that is over."""
    world.start(spec)
    with world.driver("one", xds=LISTEN) as first, world.driver("two", xds=LISTEN) as second:
        world.clients.append(clients.enter_context(xds_client(first.xds_address)))
        world.run(first, lambda: world.state().phase_elapsed_seconds >= 10)
        second.pass_once()
        assert second._lease.epoch is None
        world.clients.append(clients.enter_context(xds_client(second.xds_address)))
        world.seconds += 60  # the first one sleeps past its lease
        world.run(second, lambda: world.state().epoch == 2)
        world.client.abort_rollout(NAME, reason="enough")
        world.run(second, lambda: world.state().state == Rollout.STATE_ABORTED)

        def nobody_is_left_behind() -> bool:
            first.pass_once()
            world.candidate.learners.clear()
            world.traffic()
            return not world.candidate.learners

        assert wait_until(nobody_is_left_behind, 30)
        assert world.state().epoch == 2


def test_without_a_control_plane_it_holds_and_says_what_to_do(world: XdsWorld, spec: RolloutSpec) -> None:
    world.start(spec)
    with world.driver() as loop:
        world.run(loop, lambda: len(world.ticks()) >= 3)
    assert world.state().state == Rollout.STATE_SCHEDULED
    assert any("--xds-listen" in absence.detail for absence in world.ticks()[-1].absences)
