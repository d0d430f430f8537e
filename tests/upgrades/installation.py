"""Three replicas over one PostgreSQL, a balancer of connections before them, a controller: each can be replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from programs import free_ports, program
from waiting import PATIENCE_SECONDS, wait_until

from .code import Code

START_SECONDS = 3 * PATIENCE_SECONDS
COUNT = 3


class Process:
    """A program that writes a ports file once it is ready; started again with other code, it keeps its ports.

    Args:
        module: what is run.
        arguments: of its command line.
        directory: for its ports file and its log.
        name: of both.
    """

    def __init__(self, module: str, arguments: list[str], directory: Path, name: str) -> None:
        self.name = name
        self._ports_file = directory / f"{name}.json"
        self._log = directory / f"{name}.log"
        self._command = [sys.executable, "-m", module, *arguments, "--ports-file", str(self._ports_file)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, code: Code) -> None:
        """Start it; returns once it is ready."""
        self._ports_file.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = process = subprocess.Popen(
                self._command, env=os.environ | code.environment, stdout=log, stderr=log
            )
        wait_until(lambda: self._ports_file.exists() or process.poll() is not None, START_SECONDS, self.log)
        if process.poll() is not None:
            raise AssertionError(f"{self.name} with the code of {code.name} ended: {self.log()}")
        assert json.loads(self._ports_file.read_text())["pid"] == process.pid

    def log(self) -> str:
        return self._log.read_text()[-3000:]

    def stop(self) -> None:
        """Tell it to drain, and wait for its clean end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE_SECONDS) == 0, self.log()
        self._process = None

    def replace(self, code: Code) -> None:
        """The same process with other code."""
        self.stop()
        self.start(code)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)
            self._process = None


class Replica(Process):
    """A server; Attributes: `data`, `control`, `metrics`: its ports."""

    def __init__(self, number: int, directory: Path, store_url: str, own_ports: list[int]) -> None:
        self.data, self.control, self.metrics = own_ports
        ports = {"--listen": self.data, "--control-listen": self.control, "--metrics-listen": self.metrics}
        arguments = [word for option, port in ports.items() for word in (option, f"127.0.0.1:{port}")]
        name = f"replica-{number}"
        own = ["--data-directory", str(directory / name), "--store-url", store_url, "--stable", "native"]
        super().__init__("covey_server.main", [*own, *arguments], directory, name)


class Balancer:
    """HAProxy that deals connections to healthy replicas; Attributes: `data_port`, `control_port`."""

    def __init__(self, replicas: list[Replica], directory: Path, own_ports: list[int]) -> None:
        self.data_port, self.control_port, statistics = own_ports
        lines = [
            "defaults",
            "  mode tcp",
            "  timeout connect 2s",
            "  timeout client 1h",
            "  timeout server 1h",
            "  retries 5",
            "  option redispatch 1",
            "  default-server inter 200ms fastinter 100ms fall 1 rise 1",
            "frontend statistics",
            "  mode http",
            f"  bind 127.0.0.1:{statistics}",
            "  stats enable",
        ]
        for name, port in (("data", self.data_port), ("control", self.control_port)):
            lines += [
                f"listen {name}",
                f"  bind 127.0.0.1:{port}",
                "  balance leastconn",
                "  option httpchk GET /healthz",
            ]
            for replica in replicas:
                address = f"127.0.0.1:{getattr(replica, name)}"
                lines.append(f"  server {replica.name} {address} check port {replica.metrics}")
        (directory / "haproxy.cfg").write_text("\n".join(lines) + "\n")
        self._log = directory / "haproxy.log"
        with self._log.open("wb") as log:
            command = [program("haproxy"), "-db", "-f", str(directory / "haproxy.cfg")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)


class Installation:
    """All of it, on one code at first.

    Attributes:
        replicas: the servers.
        controller: theirs.
        balancer: where callers go.
    """

    def __init__(self, directory: Path, store_url: str, code: Code) -> None:
        directory.mkdir(exist_ok=True)
        ports = free_ports(3 * COUNT + 4)
        self.replicas = [
            Replica(number, directory, store_url, [ports.pop() for _ in range(3)]) for number in range(1, COUNT + 1)
        ]
        self.balancer = Balancer(self.replicas, directory, [ports.pop() for _ in range(3)])
        pages = [
            f"--replica=data=127.0.0.1:{one.data},metrics=http://127.0.0.1:{one.metrics}/metrics"
            for one in self.replicas
        ]
        control = f"127.0.0.1:{self.balancer.control_port}"
        listen = ["--metrics-listen", f"127.0.0.1:{ports.pop()}"]
        self.controller = Process(
            "covey_controller.main", ["--control", control, *pages, *listen], directory, "controller"
        )
        try:
            for process in (*self.replicas, self.controller):
                process.start(code)
        except BaseException:
            self.kill()
            raise

    def replace(self, code: Code) -> None:
        """Every process with other code, one after the other, the controller last."""
        for process in (*self.replicas, self.controller):
            process.replace(code)

    def kill(self) -> None:
        for process in (self.controller, *self.replicas):
            process.kill()
        self.balancer.stop()
