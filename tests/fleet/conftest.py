"""Three regions in virtual time: real control ports, each behind a line that can be cut, each with a controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from covey.client import Client
from covey.demo.link import Link
from covey.fleet.coordinator import Coordinator, FleetLook
from covey.fleet.spec import load_fleet
from covey.v1.fleet_pb2 import FleetSpec, Region

from .fleets import fleet_text
from .planes import control_plane

PATIENT_SECONDS, CUT_SECONDS = 30.0, 0.5


class Regions:
    """The three of them.

    Attributes:
        fleet: over the far ends of the lines.
        clients: of the regions' own people, who need no line.
        controllers: `worlds.Controller` of each.
        links: the coordinator's lines.
        clocks: of each region.
    """

    def __init__(self, stack: ExitStack, directory: Path, worlds: ModuleType, **options: Any) -> None:
        self._stack = stack
        self._far: dict[str, list[Client]] = {}
        self.clients: dict[str, Client] = {}
        self.controllers: dict[str, Any] = {}
        self.links: dict[str, Link] = {}
        self.clocks: dict[str, Any] = {}
        for name in ("eu", "us", "ap"):
            clock = worlds.Clock()
            port, _ = stack.enter_context(control_plane(directory / name, clock))
            address = f"127.0.0.1:{port.port}"
            client = stack.enter_context(
                Client(control=address, actor=f"{name}-people", timeout_seconds=PATIENT_SECONDS)
            )
            self.clients[name], self.clocks[name] = client, clock
            self.controllers[name] = worlds.Controller(client, clock, worlds.Traffic())
            self.links[name] = stack.enter_context(Link(address))
        self.text = fleet_text(controls=[link.address for link in self.links.values()], **options)
        self.fleet: FleetSpec = load_fleet(self.text, "fleet.yaml")

    def now(self) -> datetime:
        """The coordinator's clock: the latest of all."""
        return max(clock.now for clock in self.clocks.values())

    def coordinator(self) -> Coordinator:
        """One more; they share nothing."""
        return self._stack.enter_context(Coordinator(self.fleet, self._client, self.now))

    def _client(self, region: Region) -> Client:
        limit = CUT_SECONDS if self.links[region.name].is_cut else PATIENT_SECONDS
        client = Client(control=region.control, actor="fleet", timeout_seconds=limit)
        self._far.setdefault(region.name, []).append(client)
        return client

    def cut(self, name: str) -> None:
        """Nobody outside reaches it; nobody waits long for it either."""
        self.links[name].cut()
        for client in self._far.get(name, []):
            client.timeout_seconds = CUT_SECONDS

    def heal(self, name: str) -> None:
        self.links[name].heal()
        for client in self._far.get(name, []):
            client.timeout_seconds = PATIENT_SECONDS

    def go_on(self, name: str, looks: int) -> Any:
        """So many looks of the region's own controller; its rollout after them."""
        return self.controllers[name].tick("three", looks)

    def kinds(self, name: str) -> list[str]:
        """What its journal has, ticks left out."""
        return [str(it.WhichOneof("payload")) for it in self.clients[name].list_entries("three", omit_ticks=True)]


@pytest.fixture
def regions_of(tmp_path: Path, worlds: ModuleType) -> Iterator[Callable[..., Regions]]:
    """Makes three regions, with the options of `fleet_text`."""
    with ExitStack() as stack:
        yield lambda **options: Regions(stack, tmp_path, worlds, **options)


def turn(coordinator: Coordinator, times: int = 1, **more: Any) -> FleetLook:
    """Some turns; the last."""
    for _ in range(times):
        look = coordinator.turn(**more)
    return look
