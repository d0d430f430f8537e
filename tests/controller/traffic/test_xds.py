"""The control plane between real gRPC clients: shares, ACK and NACK, its death and its return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from waiting import wait_until

from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.traffic.setting import Setting, StaleEpochError
from covey_controller.traffic.xds import Xds
from covey_controller.traffic.xds_resources import ROUTE, Snapshot
from covey_controller.traffic.xds_server import XdsPortError, XdsServer

from ..echo import Echo, two_echos
from .haproxy_process import echo_plan
from .xds_process import XdsClient, xds_client

CALLS = 2000


@pytest.fixture
def echos() -> Iterator[tuple[Echo, Echo]]:
    with two_echos() as pair:
        yield pair


@pytest.fixture
def spec(echos: tuple[Echo, Echo]) -> RolloutSpec:
    return echo_plan(*echos, "xds: {}")


@pytest.fixture
def server() -> Iterator[XdsServer]:
    made = XdsServer("127.0.0.1:0")
    yield made
    made.close()


def shown_bp(actuator: Xds, epoch: int, weight_bp: int) -> int:
    ((_, reading),) = actuator.keep(epoch, weight_bp)
    assert isinstance(reading, pb.ReplicaReading)
    return reading.candidate_weight_bp


def taken(actuator: Xds, epoch: int, weight_bp: int) -> bool:
    """Whether every client has taken it, before long."""
    return wait_until(lambda: shown_bp(actuator, epoch, weight_bp) == weight_bp, 60)


def turned(client: XdsClient, echos: tuple[Echo, Echo], away_from: int) -> bool:
    """Whether none of some calls goes there any more: a client takes a split just before its channel turns to it."""
    client.call(50)
    return split(echos)[away_from] == 0


def split(echos: tuple[Echo, Echo]) -> tuple[int, int]:
    """Calls since the last time."""
    counts = len(echos[0].learners), len(echos[1].learners)
    for echo in echos:
        echo.learners.clear()
    return counts


def test_requests_are_split_as_clients_were_told(
    echos: tuple[Echo, Echo], spec: RolloutSpec, server: XdsServer
) -> None:
    actuator = Xds(server, spec)
    assert shown_bp(actuator, 1, 0) == 0
    with xds_client(server.address) as client:
        assert client.call(200) == {"OK": 200}
        assert split(echos) == (200, 0)
        assert taken(actuator, 1, 1000)
        assert client.call(CALLS) == {"OK": CALLS}
        baseline, candidate = split(echos)
        assert baseline + candidate == CALLS
        # Six standard deviations of a fair draw of 10 %.
        assert abs(candidate - CALLS * 0.1) < 6 * (CALLS * 0.1 * 0.9) ** 0.5
        assert taken(actuator, 1, 10_000)
        assert wait_until(lambda: turned(client, echos, away_from=0), 30)
        client.call(200)
        assert split(echos) == (0, 200)
        assert taken(actuator, 1, 0)
        assert wait_until(lambda: turned(client, echos, away_from=1), 30)
        client.call(200)
        assert split(echos) == (200, 0), "weight 0 is nobody"


def test_what_is_read_back_is_what_clients_took(echos: tuple[Echo, Echo], spec: RolloutSpec, server: XdsServer) -> None:
    """A client that refuses (NACK) stays with what it had, and so does the reading; the next split is taken again."""
    actuator = Xds(server, spec)
    shown_bp(actuator, 1, 100)
    with xds_client(server.address) as client:
        client.call(10)
        assert taken(actuator, 1, 100)
        good = server.published
        assert good is not None
        server.publish(Broken(good.service, Setting(1, 1, 5000), good.baseline, good.candidate))
        assert wait_until(lambda: _refusals(server) != [], 30)
        assert server.weight_taken() == 100
        split(echos)
        assert client.call(200) == {"OK": 200}
        assert split(echos)[1] < 60
        assert taken(actuator, 1, 10_000)
        assert not _refusals(server)


@dataclass(frozen=True)
class Broken(Snapshot):
    """A route without any weight, which no client takes."""

    @property
    def resources(self) -> dict[str, dict[str, Any]]:  # type: ignore[override]
        found = dict(super().resources)
        good = found[ROUTE][self.service]
        bad = type(good)(type_url=good.type_url, value=b"\x0a\x04echo\x12\x0a\x0a\x04echo\x12\x01*\x1a\x00")
        return {**found, ROUTE: {self.service: bad}}


def _refusals(server: XdsServer) -> list[str]:
    return [stream.refusal for stream in list(server._servicer.streams) if stream.refusal]


def test_a_later_epoch_is_not_taken_back(spec: RolloutSpec, server: XdsServer) -> None:
    actuator = Xds(server, spec)
    shown_bp(actuator, 5, 100)
    with pytest.raises(StaleEpochError):
        actuator.keep(4, 0)
    assert server.published is not None
    assert server.published.setting == Setting(5, 0, 100)
    with pytest.raises(StaleEpochError):
        server.publish(Snapshot("echo", Setting(4, 9, 0), (), ()))


def test_without_the_control_plane_the_split_stays_and_its_successor_is_heard(
    echos: tuple[Echo, Echo], spec: RolloutSpec
) -> None:
    first = XdsServer("127.0.0.1:0")
    actuator = Xds(first, spec)
    shown_bp(actuator, 1, 10_000)
    with xds_client(first.address) as client:
        client.call(10)
        assert taken(actuator, 1, 10_000)
        first.close()
        split(echos)
        assert client.call(200) == {"OK": 200}
        assert split(echos) == (0, 200), "open channels keep the last split"
        second = XdsServer(first.address)
        try:
            heir = Xds(second, spec)
            shown_bp(heir, 2, 0)

            def everybody_is_back() -> bool:
                client.call(20)
                return split(echos)[1] == 0 and shown_bp(heir, 2, 0) == 0

            assert wait_until(everybody_is_back, 60)
        finally:
            second.close()


def test_two_rollouts_in_a_row_are_told_apart(spec: RolloutSpec, server: XdsServer) -> None:
    Xds(server, spec).keep(3, 0)
    other = RolloutSpec()
    other.CopyFrom(spec)
    other.candidate = "127.0.0.1:9"
    Xds(server, other).keep(3, 0)
    assert server.published is not None
    assert server.published.candidate == ("127.0.0.1:9",)
    assert server.published.version == "3.1"


def test_a_port_in_use_says_so(server: XdsServer) -> None:
    with pytest.raises(XdsPortError, match="cannot serve xDS"):
        XdsServer(server.address)
