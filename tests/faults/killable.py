"""A server that may be killed at any moment, at its start too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from server.running import Stubs, server_command


class Killable:
    """A server process that may end by SIGKILL, at its start too.

    Attributes:
        stubs: None where it died before it was ready.
        ready_seconds: from its start until it said that it is ready.
    """

    def __init__(self, directory: Path, number: int, fault: str = "", program: str = "") -> None:
        ports_file = directory.parent / f"ports-{number}.json"
        command = server_command(directory)
        if program:
            command = [command[0], "-c", program, *command[3:]]
        environment = {key: value for key, value in os.environ.items() if key != "COVEY_FAULT"}
        if fault:
            environment["COVEY_FAULT"] = fault
        begun = time.monotonic()
        self._log = (directory.parent / f"server-{number}.log").open("wb")
        self.process = subprocess.Popen(
            [*command, "--ports-file", str(ports_file)], env=environment, stderr=self._log, stdout=self._log
        )
        self.stubs: Stubs | None = None
        while self.process.poll() is None and not ports_file.exists():
            assert time.monotonic() < begun + 60, "the server is not ready after a minute"
            time.sleep(0.002)
        self.ready_seconds = time.monotonic() - begun
        if ports_file.exists():
            ports = json.loads(ports_file.read_text())
            self.stubs = Stubs(ports["data"], ports["control"], ports["metrics"])

    def kill(self) -> None:
        """SIGKILL, now."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)

    def reap(self) -> int:
        """Wait for its end; its exit status."""
        status = self.process.wait(timeout=60)
        self._log.close()
        if self.stubs is not None:
            self.stubs.close()
        return status
