"""kill -9 at the failpoints of a controller: the next one goes on from the journal, and no look counts twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from server.rollout_rooms import Caller
from server.running import ServerProcess
from waiting import wait_until

from covey.failpoints import POINTS
from covey.rollout import chain
from covey.rollout.state import fold
from covey.v1 import journal_pb2

pytestmark = pytest.mark.e2e

NAME = "rollouts/x"
CONTROLLER_POINTS = [point for point in POINTS if point.startswith("controller.")]


def controller(server: ServerProcess, fault: str = "") -> subprocess.Popen[bytes]:
    data, metrics = f"127.0.0.1:{server.data_port}", f"http://127.0.0.1:{server.metrics_port}/metrics"
    command = [sys.executable, "-m", "covey_controller.main", "--control", f"127.0.0.1:{server.control_port}"]
    command += ["--replica", f"data={data},metrics={metrics}", "--metrics-listen", "127.0.0.1:0"]
    environment = {key: value for key, value in os.environ.items() if key != "COVEY_FAULT"}
    if fault:
        environment["COVEY_FAULT"] = fault
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def ticks(call: Caller) -> list[journal_pb2.Entry]:
    return [entry for entry in call.entries() if entry.HasField("tick")]


@pytest.mark.parametrize("point", CONTROLLER_POINTS)
def test_a_controller_killed_at_a_failpoint(point: str, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", tmp_path / "ports.json")
    call = Caller(server.control_port)
    processes: list[subprocess.Popen[bytes]] = []
    begun = time.monotonic()
    try:
        call.started()
        call.sign("canary", "engineering", "finance")
        processes.append(controller(server, f"{point}:kill:3"))
        assert processes[0].wait(timeout=90) == -signal.SIGKILL
        before = len(ticks(call))
        # Two looks were committed, the third where it came that far; routers are told at other times too.
        assert before == {"controller.committed": 3, "controller.steering": before, "controller.steered": before}.get(
            point, 2
        )
        processes.append(controller(server))
        wait_until(lambda: len(ticks(call)) >= before + 3, 90)
        lived = time.monotonic() - begun
        entries = list(call.entries())
        page = call("ListRecords", parent=NAME, page_size=1000)
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=30)
        call.close()
        server.kill()
    records = [chain.Record(each.sequence, each.entry, each.digest) for each in page.records]
    assert list(chain.breaks(NAME, records, page.last_sequence, page.head_digest)) == []
    assert fold(entries).candidate_weight_bp == 100
    looks = Counter(entry.request_id for entry in entries if entry.HasField("tick"))
    assert set(looks.values()) == {1}, "no look twice"
    observed = sum(entry.tick.observed.ToNanoseconds() / 1e9 for entry in entries if entry.HasField("tick"))
    assert observed <= lived, "time that nobody observed is no dwell"
