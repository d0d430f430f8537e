"""Four times what the server can do: what it can do goes on, the rest is refused at once, and control does not starve.

Five seconds here; COVEY_FAULTS_SECONDS=60 for the figure of docs/access.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from covey.client import Client
from covey.rollout.spec import load_spec
from covey.v1.rollouts_pb2 import ListRolloutsRequest

from .running import ServerProcess, history, question, wait_until

SECONDS = float(os.environ.get("COVEY_FAULTS_SECONDS") or "5")
DELAY_SECONDS = 0.02
THREADS = 4
CAPACITY = THREADS / DELAY_SECONDS
DEADLINE_SECONDS = 1.0
PLAN = """
target: analyzer
baseline: reference
candidate: native
shadow_share: 0 %
phases: [{name: all, traffic_share: 100 %, hold: 1h, criteria: [{statement: error_rate < 1 %, margin: 0}]}]
triggers: [{statement: error_rate > 90 %, tolerance: 0, sustained: 10m}]
"""


def slow_server(start: Callable[..., ServerProcess], queue_limit: int) -> ServerProcess:
    """A server whose every answer takes twenty milliseconds: a candidate with all of the traffic, slow on purpose."""
    server = start(
        *("--threads", str(THREADS), "--queue-limit", str(queue_limit), "--call-deadline", "30"),
        *("--enable-faults", "--fault", f"latency={round(1000 * DELAY_SECONDS)}ms@1"),
    )
    with Client(control=f"127.0.0.1:{server.control_port}", timeout_seconds=30.0) as client:
        client.create_rollout("x", load_spec(PLAN, "plan.yaml"))
        client.start_rollout("x")
    command = [sys.executable, "-m", "covey_controller.main", "--control", f"127.0.0.1:{server.control_port}"]
    command += [
        "--replica",
        f"data=127.0.0.1:{server.data_port},metrics=http://127.0.0.1:{server.metrics_port}/metrics",
    ]
    with subprocess.Popen([*command, "--metrics-listen", "127.0.0.1:0"], stderr=subprocess.DEVNULL) as controller:
        try:
            wait_until(lambda: answering_variant(server) == "variants/native", 60.0)
        finally:
            controller.kill()
    return server


def answering_variant(server: ServerProcess) -> str:
    return server.analyzer.AnalyzeLearner(question("x", packed=history(0, 3)), timeout=30).variant


def storm(server: ServerProcess, rate: float, seconds: float) -> dict[str, Any]:
    """Offers calls at a rate."""
    command = [sys.executable, str(Path(__file__).with_name("storm.py")), str(server.data_port), str(rate)]
    command += [str(seconds), str(DEADLINE_SECONDS)]
    request = question("x", packed=history(0, 3)).SerializeToString()
    done = subprocess.run(command, input=request, capture_output=True, timeout=seconds + 90, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class Control:
    """Asks the control port twenty times a second, and remembers how long each answer took."""

    def __init__(self, server: ServerProcess) -> None:
        self.seconds: list[float] = []
        self._server = server
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def p99(self) -> float:
        self._stopping.set()
        self._thread.join(30)
        self.seconds.sort()
        return self.seconds[int(0.99 * (len(self.seconds) - 1))]

    def _ask(self) -> None:
        while not self._stopping.wait(0.05):
            started = time.monotonic()
            self._server.rollouts.ListRollouts(ListRolloutsRequest(), timeout=30)
            self.seconds.append(time.monotonic() - started)


def test_four_times_the_capacity(server_process: Callable[..., ServerProcess]) -> None:
    server = slow_server(server_process, queue_limit=32)
    status = Path("/proc") / str(server.process.pid) / "status"

    def mebibytes(field: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(field))

    peak = max(storm(server, CAPACITY * share, max(2.0, SECONDS / 4))["goodput"] for share in (0.9, 1.2))
    before = mebibytes("VmRSS")
    control = Control(server)
    storming = storm(server, 4 * peak, SECONDS)
    control_p99 = control.p99()
    grown = mebibytes("VmHWM") - before
    figures = {"peak": peak, "control_p99_seconds": control_p99, "grown_mebibytes": grown, **storming}
    print(json.dumps(figures))
    assert set(storming["codes"]) <= {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}, figures
    assert storming["codes"]["RESOURCE_EXHAUSTED"] > storming["codes"]["OK"], figures
    # A machine that is shared gives the server less than it had a moment ago: the promise is for a long run on one
    # that is not.
    is_long = SECONDS >= 30
    assert storming["goodput"] >= (0.9 if is_long else 0.6) * peak, figures
    assert control_p99 <= (0.1 if is_long else 1.0), figures
    assert grown < 256, figures


def test_without_a_bounded_queue_everybody_waits_in_vain(server_process: Callable[..., ServerProcess]) -> None:
    """The twin: calls wait until their callers have gone, and what is served is served too late."""
    server = slow_server(server_process, queue_limit=100_000)
    storming = storm(server, 4 * CAPACITY, SECONDS)
    assert storming["codes"]["DEADLINE_EXCEEDED"] > storming["codes"].get("OK", 0), storming
    assert storming["goodput"] < 0.5 * CAPACITY, storming
