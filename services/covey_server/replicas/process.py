"""One replica as a process: started, known to be ready by its ports file, told to stop, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from covey_server.replicas.parent import PARENT_VARIABLE
from covey_server.replicas.told import Replica

_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 10.0
_STEADY_SECONDS = 60.0


class ReplicaProcess:
    """The process of a replica, and when it may be started again after it died.

    Args:
        replica: what it is told.
    """

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._again_at = 0.0
        self._kill_at = 0.0
        self.is_told_to_stop = False

    @property
    def is_running(self) -> bool:
        """Whether there is a process that was not seen to end."""
        return self._process is not None

    def start(self, now: float) -> None:
        """Start it; `now` by a clock that never goes back."""
        self.is_told_to_stop = False
        self._started_at = now
        # The path of the interpreter as it was called: where a link has been moved to a newer covey, that one starts.
        self._process = subprocess.Popen(  # noqa: S603 - this program again
            [sys.executable, "-m", "covey_server.main", *self.replica.arguments],
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
        )

    def stop(self, now: float, patience_seconds: float) -> None:
        """Tell it to drain; what has not ended after so long is killed."""
        if self._process is not None and not self.is_told_to_stop:
            self.is_told_to_stop = True
            self._kill_at = now + patience_seconds
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and wait for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ended(self, now: float) -> int | None:
        """The status of a process that has ended since the last call; None while there is none. Call it often."""
        if self._process is None:
            return None
        status = self._process.poll()
        if status is None:
            if self.is_told_to_stop and now >= self._kill_at:
                self._process.kill()
            return None
        self._process = None
        if not self.is_told_to_stop:
            self._deaths = 1 if now - self._started_at > _STEADY_SECONDS else self._deaths + 1
            self._again_at = now + min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2.0 ** (self._deaths - 1))
        return status

    def may_start(self, now: float) -> bool:
        """Whether it is time to start it (again)."""
        return self._process is None and now >= self._again_at

    def ports(self) -> dict[str, Any] | None:
        """The ports of the live process; None until it is ready."""
        if self._process is None:
            return None
        try:
            ports: dict[str, Any] = json.loads(self.replica.ports_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if ports.get("pid") != self._process.pid:
            return None  # of the process before
        return ports

    @property
    def serves(self) -> bool:
        """Whether it answers calls and was not told to stop."""
        return not self.is_told_to_stop and self.ports() is not None
