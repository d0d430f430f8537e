"""SIGSTOP of whoever holds the lease, past its end, with two more controllers in waiting: nobody writes too late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

import pytest
from findings import Finding
from server.rollout_rooms import Caller
from waiting import wait_until

from covey.rollout.spec import load_spec
from covey.v1.journal_pb2 import Entry
from covey_controller.client import ControlClient, open_channel

from .amounts import amount
from .killable import Killable

pytestmark = pytest.mark.e2e

HOLDERS = ("one", "two", "three")
TICK_SECONDS, LEASE_SECONDS = 0.3, 0.9
PLAN = """
target: analyzer
baseline: variants/reference
candidate: variants/native
shadow_share: 0 %
tick_interval: 0.3s
probe_interval: 1s
phases: [{name: canary, traffic_share: 50 %, hold: 6h, max_hold: 12h, criteria: [p99 < 60 s]}]
"""
# A controller with a lease of moments, which pauses before its next write when it finds a file.
SLEEPER = """
import os, signal, sys
from covey_controller import lease, main
from covey_controller.client import ControlClient

lease._SHORTEST_SECONDS = 0.9
file = sys.argv.pop(1)
commit = ControlClient.commit

def paused(self, *arguments):
    if os.path.exists(file):
        os.unlink(file)
        os.kill(os.getpid(), signal.SIGSTOP)
    return commit(self, *arguments)

ControlClient.commit = paused
sys.exit(main.main())
"""
# A server that asks for no epoch and no sequence, and folds whatever it is given.
UNFENCED = """
import sys
from dataclasses import replace
from covey_server.rollouts import journal
from covey_server.rollouts.leases import Leases

Leases.require = lambda *_: None
append, apply = journal.Journal.append, journal.apply

def unfenced(self, connection, name, entries, author, *, expected_sequence=None, judge=None):
    return append(self, connection, name, entries, author, judge=judge)

def folded(state, entry):
    return apply(replace(state, epoch=0) if state is not None else None, entry)

journal.Journal.append, journal.apply = unfenced, folded
import covey_server.main
sys.exit(covey_server.main.main())
"""


@dataclass
class Stage:
    """A server and three controllers of one rollout.

    Attributes:
        entries: of its journal, as read so far.
    """

    server: Killable
    directory: Path
    controllers: dict[str, subprocess.Popen[bytes]]
    client: ControlClient
    entries: list[Entry] = field(default_factory=list)
    _token: str = ""

    def read(self) -> list[Entry]:
        for token, entries in self.client.entries("rollouts/x", self._token):
            self._token = token
            known = self.entries[-1].sequence if self.entries else 0
            self.entries += [entry for entry in entries if entry.sequence > known]
        return self.entries

    def last_tick(self) -> Entry:
        """The newest one; waits for the first."""
        wait_until(lambda: any(entry.HasField("tick") for entry in self.read()), 60)
        return next(entry for entry in reversed(self.entries) if entry.HasField("tick"))

    def pause(self, chance: Random) -> float:
        """Stop the holder, before a write or at any moment, until another has written. Seconds from stop to that."""
        held = self.last_tick()
        process, ask = self.controllers[held.actor], self.directory / f"{held.actor}.pause"
        if chance.random() < 0.5:
            ask.touch()
            # A controller that has lost the lease meanwhile writes nothing and does not pause.
            wait_until(lambda: _is_stopped(process) or self.last_tick().epoch > held.epoch, 60)
        else:
            time.sleep(chance.uniform(0, TICK_SECONDS))
            process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        try:
            wait_until(lambda: self.last_tick().epoch > held.epoch, 60)
            return time.monotonic() - begun
        finally:
            ask.unlink(missing_ok=True)
            process.send_signal(signal.SIGCONT)

    def stale(self) -> list[Entry]:
        """Entries that came after one of a later lease."""
        newest, found = 0, []
        for entry in self.read():
            if 0 < entry.epoch < newest:
                found.append(entry)
            newest = max(newest, entry.epoch)
        return found

    def refused(self) -> int:
        """Writes that the server refused."""
        log = next(self.directory.glob("server-*.log")).read_text().splitlines()
        return sum('"CommitDecision"' in line and ("FAILED_PRECONDITION" in line or "ABORTED" in line) for line in log)


def _is_stopped(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def stage(directory: Path, program: str = "") -> Iterator[Stage]:
    server = Killable(directory / "data", 1, program=program)
    assert server.stubs is not None
    ports = server.stubs
    control, data = f"127.0.0.1:{ports.control_port}", f"127.0.0.1:{ports.data_port}"
    call = Caller(ports.control_port)
    call("CreateRollout", rollout_id="x", spec=load_spec(PLAN, "plan"))
    call("StartRollout")
    call.close()
    controllers: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in HOLDERS:
            replica = f"data={data},metrics=http://127.0.0.1:{ports.metrics_port}/metrics"
            command = [sys.executable, "-c", SLEEPER, str(directory / f"{name}.pause"), "--control", control]
            command += ["--replica", replica, "--metrics-listen", "127.0.0.1:0", "--holder", name]
            with (directory / f"{name}.log").open("wb") as log:
                controllers[name] = subprocess.Popen(command, stderr=log, env=dict(os.environ))
        with open_channel(control) as channel:
            yield Stage(server, directory, controllers, ControlClient(channel, actor="test", call_seconds=20.0))
    finally:
        for process in controllers.values():
            process.kill()  # one that is stopped, too
            process.wait(timeout=30)
        server.kill()
        server.reap()


def test_nobody_writes_after_a_later_lease(tmp_path: Path, finding: Finding) -> None:
    pauses, chance = amount("PAUSES", 4), Random(amount("SEED", 1))
    with stage(tmp_path) as running:
        taken = sorted(running.pause(chance) for _ in range(pauses))
        count, epochs = len(running.read()), running.last_tick().epoch
        stale, refused = running.stale(), running.refused()
    finding(
        f"{pauses} pauses of the holder among {len(HOLDERS)} controllers: {epochs} leases, {count} entries,"
        f" {refused} late writes refused, {len(stale)} stale; another has written after {median(taken):.2f} s"
        f" (median), {taken[-1]:.2f} s (longest), with leases of {LEASE_SECONDS} s"
    )
    assert epochs > pauses
    assert refused > 0, "some of them came too late"
    assert stale == []


def test_without_fences_the_sleeper_writes(tmp_path: Path) -> None:
    """The twin."""
    chance = Random(1)
    with stage(tmp_path, UNFENCED) as running:
        for _ in range(20):
            running.pause(chance)
            woken = time.monotonic()
            while not running.stale() and time.monotonic() < woken + 2:
                time.sleep(0.05)
            if running.stale():
                return
    raise AssertionError("twenty sleepers woke up and none of them wrote")
