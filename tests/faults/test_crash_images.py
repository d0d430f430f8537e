"""Power cuts: images of the disk built from a trace of a server's writes and syncs, each opened by a new server."""

from __future__ import annotations

import copy
import filecmp
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from findings import Finding
from server.running import Stubs, server_command

from .amounts import amount
from .disks import needs_strace
from .killable import Killable
from .traced import Trace, tracing
from .workload import Workload

pytestmark = [pytest.mark.e2e, needs_strace]

CALLS = 60
UNSYNCED = """
import sys
from covey_server.store import sqlite

pragmas = sqlite._pragmas
sqlite._pragmas = lambda connection, *each: pragmas(
    connection, *(pragma.replace("synchronous = FULL", "synchronous = OFF") for pragma in each)
)
import covey_server.main
sys.exit(covey_server.main.main())
"""


@dataclass
class Traced:
    """A server's trace, and what its callers had been told at which time."""

    trace: Trace
    told: list[tuple[float, Workload]]
    directory: Path
    sent: set[str]

    def at(self, moment: float) -> Workload | None:
        """What was acknowledged by then."""
        known = [workload for time, workload in self.told if time <= moment]
        return copy.deepcopy(known[-1]) if known else None


def traced(place: Path, seed: int, program: str = "") -> Traced:
    """A server under every kind of mutation, and its trace."""
    data, file, ports_file = place / "data", place / "trace", place / "ports.json"
    command = [*server_command(data), "--ballast-kilobytes", "64", "--ports-file", str(ports_file)]
    if program:
        command = [command[0], "-c", program, *command[3:]]
    log = (place / "log").open("wb")
    process = subprocess.Popen([*tracing(file), *command], stdout=log, stderr=log)
    try:
        begun = time.monotonic()
        while not ports_file.exists():
            said = (place / "log").read_text()
            if process.poll() is not None and "ptrace" in said.lower():
                pytest.skip(f"tracing is not allowed here: {said.strip()}")
            assert process.poll() is None, said
            assert time.monotonic() < begun + 120, said
            time.sleep(0.02)
        ports = json.loads(ports_file.read_text())
        stubs = Stubs(ports["data"], ports["control"], ports["metrics"])
        workload, told = Workload(seed), []
        for _ in range(CALLS):
            workload.run(stubs, 1)
            told.append((time.time(), _without_server(workload)))
        stubs.close()
    finally:
        # A tracer that is told to end goes on with what it traces; without that it ends by itself.
        if ports_file.exists():
            os.kill(json.loads(ports_file.read_text())["pid"], signal.SIGKILL)
        else:
            process.kill()
        process.wait(timeout=120)
        log.close()
    return Traced(Trace.read(file, data), told, data, workload.ledger.sent)


def _without_server(workload: Workload) -> Workload:
    stubs, workload._stubs = workload._stubs, None
    try:
        return copy.deepcopy(workload)
    finally:
        workload._stubs = stubs


def problems(run: Traced, image: Path, moment: float) -> list[str]:
    """What a new server on an image lacks of what was acknowledged; the image is removed."""
    known = run.at(moment)
    server = Killable(image, 1)
    try:
        if server.stubs is None:
            return [f"the server does not start: {(image.parent / 'server-1.log').read_text()[-500:]}"]
        if known is None:
            return []
        known.ledger.sent = run.sent
        known._stubs = server.stubs
        known.touch_all()
        found = known.problems()
    finally:
        server.kill()
        server.reap()
    with closing(sqlite3.connect(image / "covey.db")) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM outcomes").fetchone()
    if not known.outcomes_stored <= stored <= known.outcomes_stored + 1:
        found.append(f"outcomes: {stored} are stored, {known.outcomes_stored} were acknowledged")
    shutil.rmtree(image)
    return found


def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, finding: Finding) -> None:
    images, chance = amount("IMAGES", 4), Random(amount("SEED", 1))
    run = traced(tmp_path, seed=amount("SEED", 1))
    whole = tmp_path / "whole" / "data"
    run.trace.image(float("inf"), whole, _Everything())
    assert filecmp.cmpfiles(whole, run.directory, [p.name for p in whole.iterdir() if p.is_file()], shallow=False)[
        1:
    ] == ([], [])
    first, last = run.told[0][0], run.told[-1][0]
    found: list[str] = []
    for number in range(images):
        # Half of them right after an acknowledgement, without anything that was not synced.
        least = number % 2 == 0
        moment = chance.choice(run.told)[0] if least else chance.uniform(first - 1, last)
        image = tmp_path / f"image-{number}" / "data"
        run.trace.image(moment, image, None if least else chance)
        found += [f"image {number}: {problem}" for problem in problems(run, image, moment)]
    finding(
        f"{images} crash images of {len(run.trace.writes)} writes and {len(run.trace.syncs)} syncs under"
        f" {CALLS} calls: {len(found)} problems"
    )
    assert found == []


class _Everything(Random):
    """Chance that keeps all."""

    def random(self) -> float:
        return 0.99

    def randint(self, a: int, b: int) -> int:
        return b


def test_without_syncs_a_power_cut_loses_something(tmp_path: Path) -> None:
    """The twin."""
    run = traced(tmp_path, seed=1, program=UNSYNCED)
    moment = run.told[-1][0]
    image = tmp_path / "image" / "data"
    run.trace.image(moment, image)
    assert problems(run, image, moment) != []
