"""How regions are reached: over mutual TLS, through a line that sees bytes only, by files of the fleet or their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest

from covey.client import Client
from covey.demo.link import Link
from covey.fleet.coordinator import Coordinator
from covey.fleet.regions import security_of
from covey.fleet.spec import load_fleet
from covey.v1.fleet_pb2 import FleetSpec, Region

from .fleets import fleet_text
from .planes import control_plane


@pytest.fixture
def address(tmp_path: Path, worlds: ModuleType, authority: Any) -> Iterator[str]:
    """The far end of a line to a control port that asks its callers for a certificate."""
    certificate, key = authority.issue("server", "covey.eu.example")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())], authority.file.read_bytes(), require_client_auth=True
    )
    with (
        control_plane(tmp_path / "eu", worlds.Clock(), credentials) as (port, _),
        Link(f"127.0.0.1:{port.port}") as link,
    ):
        yield link.address


def fleet_at(address: str, **access: str) -> FleetSpec:
    fleet = load_fleet(fleet_text(controls=(address, "127.0.0.1:2", "127.0.0.1:3")), "fleet.yaml")
    del fleet.regions[1:]
    for field, value in access.items():
        setattr(fleet.access, field, value)
    return fleet


def look(fleet: FleetSpec, timeout_seconds: float) -> Any:
    def client(region: Region) -> Client:
        security = security_of(fleet, region)
        return Client(control=region.control, actor="fleet", timeout_seconds=timeout_seconds, security=security)

    with Coordinator(fleet, client, lambda: datetime.now(UTC)) as coordinator:
        (view,) = coordinator.turn().views
        return view


def test_a_region_is_reached_over_mutual_tls(address: str, authority: Any) -> None:
    certificate, key = authority.issue("fleet")
    access = {"cacert": str(authority.file), "cert": str(certificate), "key": str(key)}
    fleet = fleet_at(address, **access, servername="covey.eu.example")
    assert look(fleet, 60.0).reachable
    own = fleet_at(address, plaintext=True)  # type: ignore[arg-type]
    own.regions[0].access.CopyFrom(fleet.access)
    assert look(own, 60.0).reachable, "a region's own access goes before the fleet's"


@pytest.mark.parametrize("without", ["cert", "servername"])
def test_without_a_proof_it_is_out_of_reach_and_says_why(address: str, authority: Any, without: str) -> None:
    certificate, key = authority.issue("fleet")
    access = {
        "cacert": str(authority.file),
        "servername": "covey.eu.example",
        "cert": str(certificate),
        "key": str(key),
    }
    for field in ("cert", "key") if without == "cert" else ("servername",):
        del access[field]
    view = look(fleet_at(address, **access), 2.0)
    assert not view.reachable
    assert view.problem


def test_a_token_is_the_environments_only_where_no_file_holds_one() -> None:
    fleet = fleet_at("covey.eu.example:50052")
    assert security_of(fleet, fleet.regions[0], "secret").token == "secret"
    fleet.access.token_file = "~/fleet-token"
    security = security_of(fleet, fleet.regions[0], "secret")
    assert (security.token, security.token_file) == (None, Path("~/fleet-token").expanduser())
