"""Rounds of: a server starts, callers work, the server dies; and the comparison after each."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from .killable import Killable
from .workload import ServerDiedError, Workload


@dataclass(frozen=True)
class Bounds:
    """How much is tried: a part in the suite, all of it in `make faults`.

    Attributes:
        seed: of everything that is random.
        kills: random ones.
        calls: with answers that are lost.
        nth_times: at which times that a failpoint is reached the process is killed.
    """

    seed: int
    kills: int
    calls: int
    nth_times: tuple[int, ...]


@pytest.fixture
def bounds() -> Bounds:
    """From COVEY_FAULTS_SEED, _KILLS, _CALLS, _NTH."""
    given = os.environ.get
    return Bounds(
        seed=int(given("COVEY_FAULTS_SEED", "1")),
        kills=int(given("COVEY_FAULTS_KILLS", "8")),
        calls=int(given("COVEY_FAULTS_CALLS", "1000")),
        nth_times=tuple(int(each) for each in given("COVEY_FAULTS_NTH", "2").split(",")),
    )


class Rounds:
    """One data directory, one workload, many servers.

    Args:
        place: a folder of its own.
        seed: of the workload and of the moments of random kills.
        program: Python in the place of covey-server, for twins.
        aborts: whether rollouts are aborted now and then; else the first one lasts.

    Attributes:
        problems: what was lost, doubled or illegal.
        ready_seconds: of every start after a kill.
    """

    def __init__(self, place: Path, seed: int, program: str = "", *, aborts: bool = True) -> None:
        self.directory = place / "data"
        self.problems: list[str] = []
        self.ready_seconds: list[float] = []
        self.workload = Workload(seed, aborts=aborts)
        self._chance = Random(seed)
        self._program = program
        self._count = 0

    def run(self, *, fault: str = "", kill_within_seconds: float | None = None, calls: int | None = None) -> int:
        """A server, work, and its death; what it left is compared by the next round. Its exit status.

        Args:
            fault: armed failpoints.
            kill_within_seconds: SIGKILL at a random moment within so much time of work.
            calls: at most so many; then it is killed.
        """
        server = self._started(fault)
        if server.stubs is not None:
            timer = None
            if kill_within_seconds is not None:
                timer = threading.Timer(self._chance.uniform(0, kill_within_seconds), server.kill)
                timer.start()
            try:
                self.workload.run(server.stubs, calls)
            except ServerDiedError:
                pass
            else:  # every call was made, and it lives
                server.kill()
                server.reap()
                return 0
            if timer is not None:
                timer.join()
        return server.reap()

    def finish(self) -> None:
        """A last server without faults: everything that was ever acknowledged is compared."""
        server = self._started("")
        assert server.stubs is not None
        self.workload.run(server.stubs, 10)
        self.workload.touch_all()
        self.problems += self.workload.problems()
        server.kill()
        server.reap()
        with closing(sqlite3.connect(self.directory / "covey.db")) as connection:
            (stored,) = connection.execute("SELECT count(*) FROM outcomes").fetchone()
        if stored != self.workload.outcomes_stored:
            self.problems.append(f"outcomes: {stored} are stored, {self.workload.outcomes_stored} were acknowledged")

    def _started(self, fault: str) -> Killable:
        if fault and self._count:
            # What the death before left is compared without a fault, which might come before the comparison.
            plain = self._started("")
            plain.kill()
            plain.reap()
        self._count += 1
        server = Killable(self.directory, self._count, fault, self._program)
        if server.stubs is not None and not fault:
            if self._count > 1:
                self.ready_seconds.append(server.ready_seconds)
            self.workload.settle(server.stubs)
            self.problems += self.workload.problems()
        return server
