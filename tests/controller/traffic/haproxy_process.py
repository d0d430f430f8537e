"""A real HAProxy on loopback, with the configuration that covey writes for a plan."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from programs import free_port, program
from waiting import wait_until

from covey.rollout.spec import load_spec, with_defaults
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.scrape import AbsenceError
from covey_controller.traffic.haproxy import exchange
from covey_controller.traffic.haproxy_config import haproxy_config

from ..echo import Echo

PLAN = """
target: echo
baseline: {baseline}
candidate: {candidate}
tick_interval: {tick}
probe_interval: 1s
metrics_grace: {grace}
traffic: {{{router}}}
metrics:
  scrape: {{baseline_urls: ['{baseline_url}'], candidate_urls: ['{candidate_url}']}}
phases:
  - name: canary
    traffic_share: 10 %
    hold: {hold}
    max_hold: 5h
    criteria: [{{statement: error_rate < 5 %, margin: 0}}, p99 < 300 ms]
  - name: rollout
    traffic_share: 100 %
    hold: {hold}
    max_hold: 5h
    criteria: [{{statement: error_rate < 5 %, margin: 0}}]
triggers:
  - {{statement: error_rate > 10 %, tolerance: 0}}
"""


def echo_plan(
    baseline: Echo, candidate: Echo, router: str, *, tick: str = "30s", grace: str = "5m", hold: str = "5m"
) -> RolloutSpec:
    """A plan of two echos behind a router."""
    text = PLAN.format(
        baseline=baseline.address,
        candidate=candidate.address,
        baseline_url=baseline.metrics_url,
        candidate_url=candidate.metrics_url,
        router=router,
        tick=tick,
        grace=grace,
        hold=hold,
    )
    return with_defaults(load_spec(text, "echo.yaml"))


class HaproxyProcess:
    """HAProxy for one plan; `change` rewrites the configuration, for a HAProxy that is not as it should be."""

    def __init__(self, spec: RolloutSpec, directory: Path, change: Callable[[str], str] = lambda text: text) -> None:
        self._program = program("haproxy")
        self.control = spec.traffic.haproxy.routers[0]
        self.address = f"127.0.0.1:{free_port()}"
        self._file = directory / "haproxy.cfg"
        self._file.write_text(change(haproxy_config(spec, listen=self.address, router=self.control)))
        self._log = directory / "haproxy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-db", "-f", str(self._file)], stdout=log, stderr=log)
        wait_until(self._answers, why=self._log.read_text)

    def _answers(self) -> bool:
        try:
            exchange(self.control)
        except AbsenceError:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=30)
            self._process = None


def control_socket(directory: Path) -> str:
    """A control socket's address; short, as a socket's path has 107 characters at most."""
    return f"unix:{directory}/covey.sock"


@contextmanager
def haproxy(
    spec: RolloutSpec, directory: Path, change: Callable[[str], str] = lambda text: text
) -> Iterator[HaproxyProcess]:
    """A running HAProxy."""
    process = HaproxyProcess(spec, directory, change)
    try:
        process.start()
        yield process
    finally:
        process.kill()
