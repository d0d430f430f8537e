"""A real server and a real controller whose wall clock jumps in every phase: no phase ends more than a second off."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from findings import Finding
from server.rollout_rooms import Caller
from server.running import Stubs, server_command
from waiting import wait_until

from covey.rollout.spec import load_spec
from covey.v1 import analyzer_pb2
from covey.v1.rollouts_pb2 import Rollout
from covey_controller.probes import probe_request

from .amounts import amount
from .faked_time import FakedTime

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

HOLD_SECONDS = 4.0
# What make faults asks for has the machine for itself.
IS_QUIET = amount("JUMPED_PHASES", 0) > 0
HEAD = """
target: analyzer
baseline: variants/reference
candidate: variants/native
shadow_share: 0 %
tick_interval: 1s
probe_interval: 1s
metrics_grace: 20s
triggers: [{statement: error_rate > 50 %, tolerance: 0}]
phases:
"""
PHASE = """
  - name: phase-{number}
    traffic_share: {share} %
    hold: 4s
    max_hold: 5m
    criteria: [{{statement: error_rate < 50 %, margin: 0}}]
"""
_AS_PLANNED = {Rollout.STATE_SCHEDULED, Rollout.STATE_RUNNING, Rollout.STATE_HOLDING, Rollout.STATE_SUCCEEDED}
JUMPS = ("-3600", "@1970-01-01 00:10:00", "@2038-01-19 03:14:08", "+3600")
"""Two of them in each phase: when its weight is given, and later."""


class Faked:
    """A server, its controller and some callers, all by one faked time of day."""

    def __init__(self, directory: Path) -> None:
        self.time = FakedTime(directory / "time")
        environment = {**os.environ, **self.time.environment}
        ports_file = directory / "ports.json"
        self._log = (directory / "log").open("wb")
        command = [*server_command(directory / "data"), "--ports-file", str(ports_file)]
        self._processes = [subprocess.Popen(command, env=environment, stderr=self._log)]
        wait_until(ports_file.exists, 60)
        ports = json.loads(ports_file.read_text())
        self.stubs = Stubs(ports["data"], ports["control"], ports["metrics"])
        self.call = Caller(ports["control"])
        command = [sys.executable, "-m", "covey_controller.main", "--control", f"127.0.0.1:{ports['control']}"]
        page = f"http://127.0.0.1:{ports['metrics']}/metrics"
        command += ["--replica", f"data=127.0.0.1:{ports['data']},metrics={page}", "--metrics-listen", "127.0.0.1:0"]
        self._processes.append(subprocess.Popen(command, env=environment, stderr=self._log))
        self._stopped = threading.Event()
        self.unanswered = 0
        self._callers = threading.Thread(target=self._ask)
        self._callers.start()

    def _ask(self) -> None:
        for number in itertools.count():
            requests = [probe_request() for _ in range(20)]
            for place, request in enumerate(requests):
                request.learner_id = f"learner-{number}-{place}"
            message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests)
            try:
                (answer,) = self.stubs.analyzer.AnalyzeLearners(iter([message]), timeout=20)
                self.unanswered += sum(result.status.code != 0 for result in answer.results)
            except grpc.RpcError:
                self.unanswered += 1
            if self._stopped.wait(0.1):
                return

    def close(self) -> None:
        self._stopped.set()
        self._callers.join()
        self.call.close()
        self.stubs.close()
        for process in self._processes:
            process.kill()
            process.wait(timeout=30)
        self._log.close()


@pytest.fixture
def faked(tmp_path: Path) -> Iterator[Faked]:
    made = Faked(tmp_path)
    yield made
    made.close()


def watch(faked: Faked, phases: int, jumps: Iterator[str]) -> tuple[dict[str, float], float]:
    """How long each phase dwelt, by the machine's monotonic clock, while the time of day jumps twice in it.

    Also the longest pause between two looks: a phase may have begun as much earlier than was seen.
    """
    dwelt: dict[str, float] = {}
    phase, began, jumped = "", 0.0, 0
    begun = before = time.monotonic()
    pause = 0.0
    while len(dwelt) < phases:
        asked = time.monotonic()
        before, pause = asked, max(pause, asked - before)
        rollout: Rollout = faked.call("GetRollout")
        now = time.monotonic()
        assert now < begun + 60 + 60 * phases, rollout
        assert rollout.state in _AS_PLANNED, rollout
        elapsed = rollout.phase_elapsed.ToNanoseconds() / 1e9
        if phase and (rollout.phase != phase or rollout.state == Rollout.STATE_SUCCEEDED):
            dwelt[phase] = now - began
        if rollout.phase != phase:
            phase, began, jumped = rollout.phase, now, 0
        # The phase's time is counted from the look that saw its weight; of several answers the quickest says it best.
        began = min(began, asked - elapsed) if elapsed else now
        if phase and (jumped == 0 or (jumped == 1 and elapsed > HOLD_SECONDS / 2)):
            # COVEY_FAULTS_STEADY=1 tells what the machine itself adds.
            faked.time.set("+0" if amount("STEADY", 0) else next(jumps))
            jumped += 1
        time.sleep(0.02)
    return dwelt, pause


def test_no_phase_ends_more_than_a_second_off(faked: Faked, finding: Finding) -> None:
    phases = amount("JUMPED_PHASES", 2)
    plan = HEAD + "".join(
        PHASE.format(number=number, share=50 + 50 * (number + 1) // phases) for number in range(phases)
    )
    faked.call("CreateRollout", rollout_id="x", spec=load_spec(plan, "plan"))
    faked.call("StartRollout")
    # One further every four: each jump comes at both moments.
    jumps = (JUMPS[(place + place // 4) % 4] for place in itertools.count())
    dwelt, pause = watch(faked, phases, jumps)
    assert faked.call("GetRollout").state == Rollout.STATE_SUCCEEDED
    entries = faked.call.entries()
    assert {entry.epoch for entry in entries if entry.HasField("tick")} == {1}, "no lease was lost"
    assert faked.unanswered == 0
    years = {entry.time.ToDatetime().year for entry in entries}
    looked = {entry.tick.observed_at.ToDatetime().year for entry in entries if entry.HasField("tick")}
    assert len(years) > 1 and len(looked) > 1, "the time of day jumped for the server and for the controller"
    off = [seconds - HOLD_SECONDS for seconds in dwelt.values()]
    finding(f"{2 * phases} jumps of the wall clock in {phases} phases: ended {min(off):.2f} to {max(off):.2f} s late")
    assert min(off) >= -0.05 - pause
    assert max(off) <= 1 + (0 if IS_QUIET else 60), "a busy machine adds to it; make faults shows the figure"
