"""The server's side of a discovery process: start it, follow it, end it."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from covey.v1 import cohorts_pb2

if TYPE_CHECKING:
    from covey_server.jobs.order import DiscoveryRequest

_log = logging.getLogger("covey_server.jobs")

_STDERR_TAIL_BYTES = 4000


class DiscoveryFailedError(Exception):
    """A discovery that came to nothing, for people."""


class DiscoveryProcess:
    """One discovery in a process of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def run(self, request: DiscoveryRequest, report: Callable[[str, float], None]) -> cohorts_pb2.CohortModel:
        """Run to the end.

        Args:
            request: what to discover.
            report: called with (step, progress from 0 to 1).

        Raises:
            DiscoveryFailedError: with the reason, also after `kill`.
        """
        with tempfile.TemporaryFile() as errors:
            command = [sys.executable, "-m", "covey_server.jobs.discovery"]
            with self._lock:
                if self._killed:
                    raise DiscoveryFailedError("cancelled")
                process = self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
                )
            with process:
                try:
                    answer = self._follow(process, request, report)
                finally:
                    process.kill()
            if answer is not None:
                return answer
            errors.seek(0, 2)
            errors.seek(max(0, errors.tell() - _STDERR_TAIL_BYTES))
            tail = errors.read().decode("utf-8", "replace")
        _log.error("a discovery process died", extra={"exit_code": process.returncode, "stderr": tail})
        raise DiscoveryFailedError(
            f"the discovery process ended early (status {process.returncode}); the server's log says more"
        )

    def kill(self) -> None:
        """End the process at once; it holds nothing that needs saving."""
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                # A process frees its own memory, and at its low priority it would wait for everybody else first.
                with suppress(OSError):  # not everybody may
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0))

    def _follow(
        self, process: subprocess.Popen[str], request: DiscoveryRequest, report: Callable[[str, float], None]
    ) -> cohorts_pb2.CohortModel | None:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(request.to_json() + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        for line in process.stdout:
            try:
                message = json.loads(line)
                if "error" in message:
                    raise DiscoveryFailedError(message["error"])
                if "model" in message:
                    return cohorts_pb2.CohortModel.FromString(base64.b64decode(message["model"]))
                report(message["step"], message["progress"])
            except (KeyError, TypeError, json.JSONDecodeError, binascii.Error):
                return None
        return None
