"""A real server in this process under a clock that only the test moves, with real calls as its traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from covey.client import Client
from covey.rollout.spec import load_spec
from covey.rollout.state import RolloutState
from covey.v1 import analyzer_pb2, journal_pb2
from covey.v1.analyzer_pb2_grpc import AnalyzerServiceStub
from covey.v1.rollouts_pb2 import Rollout
from covey_controller.client import ControlClient, open_channel
from covey_controller.config import Config, Replica, ScrapeLimits
from covey_controller.exporter import Exporter
from covey_controller.loop import Loop
from covey_controller.notify import Notifier
from covey_controller.probes import probe_request
from covey_server.config import Address, ServerConfig
from covey_server.wiring import AnalyzerServer

from .pages import ROLLOUT

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
NAME = ROLLOUT
LOOPBACK = Address("127.0.0.1", 0)
# Its time stands still while a page is read: a machine that is busy with other tests makes no absence.
PATIENT = ScrapeLimits(10.0, 10.0, 20.0)

PLAN = """
target: analyzer
baseline: variants/reference
candidate: variants/native
shadow_share: 0 %
tick_interval: 30s
soak_tick_interval: 1m
probe_interval: 1s
metrics_grace: 1h
phases:
  - name: canary
    traffic_share: 50 %
    hold: 5m
    max_hold: 5h
    criteria: [{statement: error_rate < 5 %, margin: 0}, {statement: p99 < 60 s}]
  - name: rollout
    traffic_share: 100 %
    hold: 5m
    max_hold: 5h
    soak: true
    criteria: [{statement: error_rate < 5 %, margin: 0}]
triggers:
  - statement: error_rate > 10 %
    tolerance: 0
"""


class World:
    """Virtual time, a server that lives in it, and `calls_per_pass` calls whenever the controller sleeps.

    It is the controller's clock, too: a sleep returns at once and moves the time. `wall_jump` sets the time of day off.
    """

    def __init__(self, directory: Path) -> None:
        self.seconds = 0.0
        self.calls_per_pass = 150
        self.stop_when: Callable[[], bool] = lambda: False
        self._learner = 0
        self.wall_jump = timedelta()
        self.scrape = PATIENT
        own = ServerConfig(directory, LOOPBACK, LOOPBACK, LOOPBACK, replica="world")
        self.server = AnalyzerServer(own, self.wall, self.monotonic)
        self.data = f"127.0.0.1:{self.server.data_port}"
        self.control = f"127.0.0.1:{self.server.control_port}"
        self.metrics_url = f"http://127.0.0.1:{self.server.metrics_port}/metrics"
        self.client = Client(control=self.control, data=self.data, actor="test")
        self._channel = grpc.insecure_channel(self.data)
        self._stub = AnalyzerServiceStub(self._channel)

    def close(self) -> None:
        self.client.close()
        self._channel.close()
        self.server.stop()

    def monotonic(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds) + self.wall_jump

    def sleep(self, seconds: float) -> bool:
        self.traffic()
        self.seconds += seconds
        return self.stop_when()

    def traffic(self) -> None:
        """As many learners as `calls_per_pass` says, none of them twice, in one message."""
        if not self.calls_per_pass:
            return
        requests = []
        for _ in range(self.calls_per_pass):
            self._learner += 1
            request = probe_request()
            request.learner_id = f"learner-{self._learner}"
            requests.append(request)
        message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests)
        for answer in self._stub.AnalyzeLearners(iter([message]), timeout=30):
            assert all(result.status.code == 0 for result in answer.results)

    def begin(self, plan: str = PLAN) -> None:
        """Creates and starts the rollout."""
        self.client.create_rollout(NAME, load_spec(plan, "plan"))
        self.client.start_rollout(NAME)

    def rollout(self) -> Rollout:
        return self.client.get_rollout(NAME)

    def state(self) -> RolloutState:
        """The server's own fold, without a call."""
        return self.server.journal.state(NAME)

    def entries(self) -> list[journal_pb2.Entry]:
        return list(self.client.list_entries(NAME))

    def kinds(self) -> list[str]:
        """The journal but its ticks, by name of the payloads."""
        names = [entry.WhichOneof("payload") or "" for entry in self.entries()]
        return [name for name in names if name != "tick"]

    def ticks(self) -> list[journal_pb2.Tick]:
        return [entry.tick for entry in self.entries() if entry.HasField("tick")]

    @contextmanager
    def controller(self, holder: str = "one", metrics_url: str = "") -> Iterator[Loop]:
        """A controller of this server, not yet running."""
        config = Config(
            control_address=self.control,
            replicas=(Replica("world", self.data, metrics_url or self.metrics_url),),
            holder=holder,
            poll_seconds=30.0,
            scrape=self.scrape,
        )
        with open_channel(self.control) as channel:
            client = ControlClient(channel, actor=holder, call_seconds=10.0)
            loop = Loop(config, client, self, Exporter(), Notifier())
            try:
                yield loop
            finally:
                loop.close()

    def run(self, loop: Loop, until: Callable[[], bool], passes: int = 5000) -> None:
        """Lets a controller work until a condition holds."""
        for _ in range(passes):
            if until():
                return
            self.sleep(loop.pass_once())
        raise AssertionError(f"not reached: {self.rollout()}")
