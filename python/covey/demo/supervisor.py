"""Starts processes, starts them again when they die, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.05


class ProcessError(RuntimeError):
    """A process that could not be kept running, with the last lines of its log."""


@dataclass
class Child:
    """One supervised process.

    Attributes:
        name: for people and for the log file.
        command: makes the command line anew at every start, so that a restart can name the ports of the first.
        restart_limit: how many ends are answered with a restart.
        may_end: it has an end of its own: status 0 is no reason to start it again.
        log_path: standard output and error of every start.
        restart_count: deaths answered so far.
        exit_codes: of the processes that ended, oldest first.
    """

    name: str
    command: Callable[[], Sequence[str]]
    log_path: Path
    restart_limit: int = 0
    may_end: bool = False
    restart_count: int = 0
    exit_codes: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def log_tail(self, line_count: int = 12) -> str:
        """The last lines of its log."""
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-line_count:])


class Supervisor:
    """Holds the children of one thread; that thread must live as long as they should.

    As a context manager it stops all of them at the end, whatever happened: SIGTERM, then SIGKILL to the process group.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[Child] = []

    def start(
        self, name: str, command: Callable[[], Sequence[str]], *, restart_limit: int = 0, may_end: bool = False
    ) -> Child:
        """Starts a process whose output goes to `NAME.log`."""
        child = Child(name, command, self._directory / f"{name}.log", restart_limit, may_end)
        self._children.append(child)
        _spawn(child)
        return child

    def check(self) -> list[Child]:
        """Starts again what died; call it often.

        Returns:
            Children that were started again just now.

        Raises:
            ProcessError: when one died more often than allowed.
        """
        restarted = []
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            code = child.process.returncode
            child.exit_codes.append(code)
            child.process = None
            if code == 0 and child.may_end:
                continue
            if child.restart_count >= child.restart_limit:
                raise ProcessError(
                    f"{child.name} ended with status {code} after {child.restart_count} restarts:\n{child.log_tail()}"
                )
            child.restart_count += 1
            _spawn(child)
            restarted.append(child)
        return restarted

    def wait_for_file(self, child: Child, path: Path, *, seconds: float) -> str:
        """The content of a file that a process writes once it is ready.

        Raises:
            ProcessError: when the process ends first, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if path.exists():
                return path.read_text(encoding="utf-8")
            self.check()
            if child.process is None:
                break
            time.sleep(_POLL_SECONDS)
        raise ProcessError(f"{child.name} was not ready within {seconds:g} s:\n{child.log_tail()}")

    def stop(self, child: Child) -> None:
        """Stops one process and everything it started."""
        _signal(child, signal.SIGTERM)
        _reap(child, _STOP_SECONDS)

    def kill(self, child: Child) -> None:
        """Ends one process as a crash would; it is not started again."""
        _signal(child, signal.SIGKILL)
        _reap(child, _STOP_SECONDS)

    def stop_all(self) -> None:
        """Stops the processes, last started first."""
        for child in reversed(self._children):
            self.stop(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop_all()


def _spawn(child: Child) -> None:
    command = [sys.executable, "-m", "covey.demo.child", str(os.getpid()), *child.command()]
    with child.log_path.open("ab") as log:
        child.process = subprocess.Popen(  # noqa: S603 - the demo's own commands
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is None:
        return
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        return


def _reap(child: Child, seconds: float) -> None:
    if child.process is None:
        return
    try:
        child.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal(child, signal.SIGKILL)
    child.process.wait()
    child.exit_codes.append(child.process.returncode)
    child.process = None
