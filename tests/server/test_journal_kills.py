"""The journal under kill -9: every acknowledged entry is there, none is doubled.

Six kills in the suite, COVEY_FAULTS_WRITERS=20 in `make faults`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from faults.amounts import amount

from covey_server.rollouts.journal import Journal
from covey_server.rollouts.leases import Leases
from covey_server.split import SplitBoard
from covey_server.store import open_store

from .rollout_rooms import Rooms

# One process imports everything and forks a writer for every line it reads: 20 starts would take a minute.
WRITERS = """
import os, sys
from datetime import UTC, datetime
from covey_server.catalogue.catalogue import Catalogue
from covey_server.rollouts.journal import Journal
from covey_server.rollouts.journal_entries import Author
from covey_server.split import SplitBoard
from covey_server.store import open_store
from covey.v1 import journal_pb2

def write():
    store = open_store(sys.argv[1])
    clock = lambda: datetime.now(UTC)
    journal = Journal(store, SplitBoard(), Catalogue(store, clock), clock)
    journal.load()
    tick = journal_pb2.Entry(tick=journal_pb2.Tick())
    tick.tick.observed.seconds = 1
    while True:
        written = journal.commit(lambda c: journal.append(c, "rollouts/x", [tick, tick], Author("w")))
        os.write(1, b"%d\\n" % written.state.last_sequence)

for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write()
    os.write(1, b"pid %d\\n" % pid)
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""
KILLS = amount("WRITERS", 6)


def killed_after(writers: subprocess.Popen[str], acknowledgements: int) -> int:
    """Kill a writer -9 after that many acknowledgements; the last sequence that it acknowledged."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write("write\n")
    writers.stdin.flush()
    acknowledged, pid = [], 0
    for line in writers.stdout:
        if line.startswith("pid "):
            pid = int(line.split()[1])
        elif line == "dead\n":
            return acknowledged[-1]
        else:
            acknowledged.append(int(line))
        if pid and len(acknowledged) == acknowledgements:
            os.kill(pid, signal.SIGKILL)
    raise AssertionError("the writers have ended")


def test_every_acknowledged_entry_survives_kill_9(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()
    rooms.close()
    directory = rooms.store.directory
    command = [sys.executable, "-c", WRITERS, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writers:
        for kill in range(KILLS):
            acknowledged = killed_after(writers, 1 + 4 * kill)
            store = open_store(directory)
            journal = Journal(store, SplitBoard(), rooms.catalogue, rooms.clock, Leases(store, rooms.clock))
            journal.load()
            stored = [entry.sequence for entry in journal.entries("rollouts/x")]
            store.close()
            assert stored == list(range(1, len(stored) + 1)), "none is lost, none is doubled"
            # At most the one decision of two entries that was synced and not yet said.
            assert len(stored) in {acknowledged, acknowledged + 2}
        assert writers.stdin is not None
        writers.stdin.close()
    assert writers.returncode == 0
