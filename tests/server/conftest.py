"""Real servers on free loopback ports: in this process (`server`, `start_server`) and as processes of their own.

Also what a server is made of: a `store`, the `rooms` of the control plane and a `call` to them over a port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covey_server.store import Store, open_store

from .postgres import Cluster
from .rollout_rooms import Caller, Rooms, control_port
from .running import ServedHere, ServerProcess


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServedHere]]:
    """Starts wired servers in this process; keyword arguments are fields of `ServerConfig`."""
    running: list[ServedHere] = []

    def start(**changes: Any) -> ServedHere:
        changes.setdefault("data_directory", tmp_path / f"data{len(running)}")
        running.append(ServedHere(**changes))
        return running[-1]

    yield start
    for served in running:
        served.stop()


@pytest.fixture
def server(start_server: Callable[..., ServedHere]) -> ServedHere:
    """A wired server with default settings."""
    return start_server()


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers as processes; arguments are added to the command line. They share one data directory."""
    running: list[ServerProcess] = []

    def start(*arguments: str) -> ServerProcess:
        running.append(ServerProcess(tmp_path / "data", tmp_path / f"ports{len(running)}.json", arguments))
        return running[-1]

    yield start
    for process in running:
        process.kill()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real PostgreSQL, whose `database()` is empty."""
    running = Cluster()
    yield running
    running.remove()


@pytest.fixture
def pair(cluster: Cluster, start_server: Callable[..., ServedHere]) -> tuple[ServedHere, ServedHere]:
    """Two servers over one PostgreSQL, each with a data directory of its own."""
    url = cluster.database()
    return start_server(store_url=url), start_server(store_url=url)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in a new directory."""
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    """The rooms of the control plane, without ports."""
    made = Rooms(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def call(rooms: Rooms) -> Iterator[Caller]:
    """A caller of the rooms over a real port."""
    with control_port(rooms) as port:
        caller = Caller(port.port)
        yield caller
        caller.close()
