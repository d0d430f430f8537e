"""Real servers on free loopback ports: in this process (`server`, `start_server`) and as processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
