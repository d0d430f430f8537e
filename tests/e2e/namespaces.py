"""Regions as network namespaces: each with an address of its own, and nothing between them but this machine's end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from covey.client import Client, Security
from covey.demo.supervisor import Child, Supervisor

READY_SECONDS = 120.0


def ip(*arguments: str) -> None:
    """Runs ip of iproute2.

    Raises:
        CalledProcessError: it did not do it.
    """
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=60)


def require_namespaces() -> None:
    """Skips, with the reason, where namespaces cannot be made; fails there where CI is root."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    name = f"covey-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
    except (OSError, subprocess.SubprocessError) as error:
        message = f"network namespaces cannot be made here (apt-get install iproute2?): {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


class Namespace:
    """One region: a namespace, its wire to this machine, and the processes in it.

    Attributes:
        name: of the region.
        address: of the region.
    """

    def __init__(self, name: str, number: int, directory: Path) -> None:
        # Many suites may run on a machine: names and addresses are this process's own.
        pid = os.getpid()
        self.name, self.directory = name, directory
        self.space = f"covey-{pid}-{name}"
        self.outer, self.inner = f"cv{pid % 100_000}-{number}o", f"cv{pid % 100_000}-{number}i"
        subnet = f"10.{128 + pid % 100}.{(pid // 100) % 60 * 4 + number}"
        self.here, self.address = f"{subnet}.1", f"{subnet}.2"
        self.supervisor: Supervisor | None = None

    @property
    def control(self) -> str:
        """Of RolloutService."""
        return f"{self.address}:50052"

    @property
    def data(self) -> str:
        """Of AnalyzerService."""
        return f"{self.address}:50051"

    def build(self) -> None:
        """The namespace and the wire."""
        ip("netns", "add", self.space)
        ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner)
        ip("link", "set", self.inner, "netns", self.space)
        ip("address", "add", f"{self.here}/24", "dev", self.outer)
        ip("link", "set", self.outer, "up")
        ip("-n", self.space, "address", "add", f"{self.address}/24", "dev", self.inner)
        ip("-n", self.space, "link", "set", self.inner, "up")
        ip("-n", self.space, "link", "set", "lo", "up")

    def destroy(self) -> None:
        """Both; what is not there is no mistake."""
        for arguments in (("link", "delete", self.outer), ("netns", "delete", self.space)):
            subprocess.run(["ip", *arguments], check=False, capture_output=True, timeout=60)

    def inside(self, module: str, *arguments: object) -> Sequence[str]:
        """The command of a process inside."""
        return ["ip", "netns", "exec", self.space, sys.executable, "-m", module, *map(str, arguments)]

    def launch(self, supervisor: Supervisor) -> Child:
        """Starts the server."""
        self.supervisor = supervisor
        command = self.inside(
            "covey_server.main", "--data-directory", self.directory / "data", "--listen", self.data,
            "--control-listen", self.control, "--metrics-listen", f"{self.address}:9464", "--stable", "reference",
            "--replica", self.name, "--insecure-listen", "--ports-file", self.directory / "server.json",
        )  # fmt: skip
        return supervisor.start("server", lambda: command)

    def drive(self, server: Child) -> None:
        """Waits for the server, then starts its controller."""
        assert self.supervisor is not None
        self.supervisor.wait_for_file(server, self.directory / "server.json", seconds=READY_SECONDS)
        command = self.inside(
            "covey_controller.main", "--control", self.control, "--plaintext", "--replica",
            f"data={self.data},metrics=http://{self.address}:9464/metrics", "--metrics-listen", "127.0.0.1:0",
            "--poll-seconds", "0.5", "--ports-file", self.directory / "controller.json",
        )  # fmt: skip
        controller = self.supervisor.start("controller", lambda: command)
        self.supervisor.wait_for_file(controller, self.directory / "controller.json", seconds=READY_SECONDS)

    def call(self, events: Path, rate: float, learners: int) -> Child:
        """Starts callers inside."""
        assert self.supervisor is not None
        command = self.inside(
            "covey.demo.load", "--data", self.data, "--events", events, "--rate", rate, "--seconds", 600,
            "--learners", learners,
        )  # fmt: skip
        return self.supervisor.start("load", lambda: command, may_end=True)

    def people(self, actor: str = "people") -> Client:
        """A client of somebody in the region: no line between."""
        return Client(control=self.control, actor=actor, timeout_seconds=30.0, security=Security(plaintext=True))


@contextmanager
def namespaces(names: Sequence[str], directory: Path) -> Iterator[dict[str, Any]]:
    """Namespaces that are gone afterwards, whatever happened."""
    made = {}
    try:
        for number, name in enumerate(names):
            folder = directory / name
            folder.mkdir()
            made[name] = Namespace(name, number, folder)
            made[name].build()
        yield made
    finally:
        for space in made.values():
            space.destroy()
