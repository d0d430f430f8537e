"""The processes of a demonstration: a server, a controller and a load generator on free loopback ports."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covey.client import Client
from covey.demo.supervisor import Child, Supervisor

_READY_SECONDS = 30.0
_RESTARTS = 6
_ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True)
class Ports:
    """Where a server listens, all on loopback."""

    data: int
    control: int
    metrics: int

    @property
    def data_address(self) -> str:
        """Of AnalyzerService and OutcomeService."""
        return f"127.0.0.1:{self.data}"

    @property
    def control_address(self) -> str:
        """Of RolloutService."""
        return f"127.0.0.1:{self.control}"

    @property
    def metrics_url(self) -> str:
        """The metrics page."""
        return f"http://127.0.0.1:{self.metrics}/metrics"


class Stack:
    """Starts the processes in a directory, one after the other; the supervisor keeps and stops them.

    Args:
        supervisor: of the thread that runs the demonstration.
        directory: for the server's data, ports files and logs.
        faults: given to the server, which is started with `--enable-faults` only if there are any.
        restarts: how many deaths of server and controller are answered with a restart.
    """

    def __init__(
        self, supervisor: Supervisor, directory: Path, *, faults: Sequence[str] = (), restarts: int = _RESTARTS
    ) -> None:
        self._supervisor = supervisor
        self._directory = directory
        self._faults = tuple(faults)
        self._restarts = restarts
        self.ports: Ports | None = None
        self.server: Child | None = None
        self.controller: Child | None = None
        self.load: Child | None = None

    def launch_server(self) -> None:
        """Starts a server with a new data directory and returns at once."""
        (self._directory / "server-ports.json").unlink(missing_ok=True)
        self.server = self._supervisor.start("server", self._server_command, restart_limit=self._restarts)

    def await_server(self) -> Ports:
        """Waits until the server is ready, for the first time.

        Raises:
            ProcessError: when it ends instead.
        """
        assert self.server is not None
        path = self._directory / "server-ports.json"
        found = json.loads(self._supervisor.wait_for_file(self.server, path, seconds=_READY_SECONDS))
        self.ports = Ports(data=found["data"], control=found["control"], metrics=found["metrics"])
        return self.ports

    def start_controller(self) -> Child:
        """Starts the controller of that server and waits until it is ready."""
        path = self._directory / "controller-ports.json"
        path.unlink(missing_ok=True)
        self.controller = self._supervisor.start("controller", self._controller_command, restart_limit=self._restarts)
        self._supervisor.wait_for_file(self.controller, path, seconds=_READY_SECONDS)
        return self.controller

    def start_load(self, events: Path, *, rate: float, seconds: float, learners: int, seed: int = 0) -> Child:
        """Starts calls at a rate per second, for at most so many seconds."""
        ports = self._known_ports()
        command = [sys.executable, "-m", "covey.demo.load", "--data", ports.data_address, "--events", str(events)]
        command += ["--rate", str(rate), "--seconds", str(seconds), "--learners", str(learners)]
        command += ["--seed", str(seed)]
        self.load = self._supervisor.start("load", lambda: command, restart_limit=1, may_end=True)
        return self.load

    def client(self, actor: str, timeout_seconds: float = 15.0) -> Client:
        """A client of that server; by default patient enough for a restart."""
        ports = self._known_ports()
        return Client(
            control=ports.control_address, data=ports.data_address, actor=actor, timeout_seconds=timeout_seconds
        )

    def load_summary(self) -> dict[str, object]:
        """What the load generator printed at its end; empty while it runs."""
        if self.load is None:
            return {}
        for line in reversed(self.load.log_tail().splitlines()):
            if line.startswith("{"):
                summary = json.loads(line)
                return summary if isinstance(summary, dict) else {}
        return {}

    def start_dashboard(self) -> str:
        """Starts the pages and waits until they are served; returns their address.

        Raises:
            ProcessError: they are not served, such as for want of `covey[dashboard]`.
        """
        path = self._directory / "dashboard-ports.json"
        child = self._supervisor.start("dashboard", lambda: self._dashboard_command(path))
        port = json.loads(self._supervisor.wait_for_file(child, path, seconds=_READY_SECONDS))["pages"]
        return f"http://127.0.0.1:{port}/"

    def _dashboard_command(self, ports_file: Path) -> list[str]:
        ports = self._known_ports()
        return [
            *(sys.executable, "-m", "covey_dashboard.main", "--listen", _ANY_PORT),
            *("--control", ports.control_address, "--data", ports.data_address, "--ports-file", str(ports_file)),
        ]

    def _known_ports(self) -> Ports:
        if self.ports is None:
            raise RuntimeError("the server is not ready yet")
        return self.ports

    def _server_command(self) -> list[str]:
        # A restart listens where callers know it; only the first start takes any free port.
        ports = self.ports
        addresses = (
            (_ANY_PORT, _ANY_PORT, _ANY_PORT)
            if ports is None
            else (ports.data_address, ports.control_address, f"127.0.0.1:{ports.metrics}")
        )
        command = [sys.executable, "-m", "covey_server.main", "--data-directory", str(self._directory / "data")]
        for option, address in zip(("--listen", "--control-listen", "--metrics-listen"), addresses, strict=True):
            command += [option, address]
        command += ["--stable", "reference", "--replica", "demo", "--ports-file"]
        command += [str(self._directory / "server-ports.json")]
        if self._faults:
            command.append("--enable-faults")
            for fault in self._faults:
                command += ["--fault", fault]
        return command

    def _controller_command(self) -> list[str]:
        ports = self._known_ports()
        return [
            *(sys.executable, "-m", "covey_controller.main", "--control", ports.control_address),
            *("--replica", f"data={ports.data_address},metrics={ports.metrics_url}"),
            *("--metrics-listen", _ANY_PORT, "--poll-seconds", "0.5"),
            *("--ports-file", str(self._directory / "controller-ports.json")),
        ]
