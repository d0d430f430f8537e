"""A real control port in this process, with a clock moved by hand, and the command line to call it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from covey.cli import main
from covey.client import Client


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class Terminal:
    """`covey rollout ...` against one control port."""

    control: str
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, actor: str = "ada", timeout: str = "5s") -> Ran:
        full = ["rollout", *arguments, "--control", self.control, "--as", actor, "--timeout", timeout]
        with pytest.raises(SystemExit) as ended:
            main(full)
        out, err = self.capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)


@dataclass
class Plane:
    """A control port, and who drives its rollouts."""

    port: Any
    port_journal: Any
    clock: Any
    client: Client
    plan: Path
    worlds: ModuleType

    def controller(self, **traffic: Any) -> Any:
        return self.worlds.Controller(
            self.client, self.clock, self.worlds.Traffic(**{"requests_per_second": 20.0, **traffic})
        )


@pytest.fixture
def plane(tmp_path: Path, worlds: ModuleType) -> Iterator[Plane]:
    from covey_server.access.gate import open_gate
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.ports.control_port import start_control_port
    from covey_server.rollouts.journal import Journal
    from covey_server.rollouts.leases import Leases
    from covey_server.split import SplitBoard
    from covey_server.store import open_store

    clock = worlds.Clock()
    store = open_store(tmp_path / "data")
    catalogue = Catalogue(store, clock)
    catalogue.ensure_defaults()
    journal = Journal(store, SplitBoard(), catalogue, clock, Leases(store, clock, clock.seconds), clock.seconds)
    journal.load()
    port = start_control_port("127.0.0.1:0", journal, open_gate())
    plan = tmp_path / "native.yaml"
    plan.write_text(worlds.plan(tick="1m"))
    with Client(control=f"127.0.0.1:{port.port}", actor="controller-1") as client:
        plane = Plane(port, journal, clock, client, plan, worlds)
        yield plane
    plane.port.stop(None)
    store.close()


@pytest.fixture
def covey(plane: Plane, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal(plane.client.control, capsys)


@pytest.fixture
def started(plane: Plane, covey: Terminal) -> Callable[..., Any]:
    """Creates, approves and starts `native`; the controller that drives it is returned."""

    def start(ticks: int = 0, **traffic: Any) -> Any:
        assert covey("create", str(plane.plan)).code == 0
        assert covey("approve", "native", "--role", "engineering", actor="edda").code == 0
        assert covey("approve", "native", "--role", "operations", actor="otto").code == 0
        assert covey("start", "native", "--reason", "release 7").code == 0
        controller = plane.controller(**traffic)
        controller.tick("native", ticks)
        return controller

    return start
