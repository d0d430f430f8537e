"""From a fault to the moment from which no call reaches the candidate: a real server, controller and callers."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from server.running import ServedHere, history, question, server_command

from covey.client import CallFailed, Client
from covey.demo.supervisor import Child, Supervisor
from covey.rollout.spec import load_spec
from covey.v1 import analyzer_pb2
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollouts_pb2 import Rollout

PATIENCE_SECONDS = 110.0
PLAN = """
target: analyzer
baseline: reference
candidate: native
shadow_share: 50 %
tick_interval: {tick_seconds}s
probe_interval: 0.5s
metrics_grace: 1m
phases:
  - name: canary
    traffic_share: 50 %
    hold: 1h
    max_hold: 3h
    criteria: [{{statement: error_rate < 5 %, margin: 0}}, {{statement: p99 < 30 s}}]
triggers:
  - statement: error_rate > 1 %
  - statement: p99 > 2 s
  - statement: p99 worse than baseline
  - statement: availability < 98 %
  - statement: mismatch > 0.5 %
  - statement: critical_incidents > 0
"""
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
)
_ENDED = frozenset({Rollout.STATE_SUCCEEDED, Rollout.STATE_ROLLED_BACK, Rollout.STATE_ABORTED})


@dataclass(frozen=True)
class Answer:
    """How one call ended.

    Attributes:
        sent: `time.monotonic()`.
        who: "baseline", "candidate", or the code of a failure.
    """

    sent: float
    who: str


class Asker:
    """Calls at a rate that does not wait for answers, about the same few hundred learners over and over.

    Args:
        say: begins a call about a learner: the future of an answer, and who gave it.
        rate: calls a second.
    """

    def __init__(self, say: Callable[[int], tuple[grpc.Future[Any], Callable[[Any], str]]], rate: float) -> None:
        self._say = say
        self._rate = rate
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)

    def since(self, moment: float) -> list[Answer]:
        """Answers to calls that were sent then or later, in the order of their sending."""
        with self._lock:
            return sorted((each for each in self._answers if each.sent >= moment), key=lambda each: each.sent)

    def _run(self) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            if self._stopping.wait(max(0.0, begun + number / self._rate - time.monotonic())):
                return
            self._one(number)

    def _one(self, number: int) -> None:
        sent = time.monotonic()
        future, who = self._say(number)

        def end(done: grpc.Future[Any]) -> None:
            code = done.code()  # type: ignore[attr-defined]
            answer = Answer(sent, who(done.result()) if code is grpc.StatusCode.OK else code.name)
            with self._lock:
                self._answers.append(answer)

        future.add_done_callback(end)


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: for people.
        loaded: `--fault` arguments of the server: the candidate is bad from its first call on.
        act: makes a good candidate, or what is around it, bad; None where `loaded` does.
        begins_with: how the call ends with which the fault begins; "": whatever the baseline does not answer. `act`
            comes after that call, and is the fault where nothing is loaded.
        is_crash: two ticks are promised.
        tick_seconds: between two looks of the controller.
        is_here: the server runs in this process.
        restores: undoes what `act` did, after the measurement.
    """

    name: str
    loaded: tuple[str, ...] = ()
    act: Callable[[Stage], None] | None = None
    begins_with: str = ""
    is_crash: bool = False
    tick_seconds: float = 3.0
    is_here: bool = False
    restores: Callable[[Stage], None] = field(default=lambda _stage: None)


@dataclass(frozen=True)
class Measured:
    """One fault.

    Attributes:
        fault: its kind.
        seconds: from the fault to the sending of the last call that was not answered by the baseline.
        tick_seconds: between two looks of the controller.
        cause: of the rollback, by the journal; empty where nothing was rolled back.
    """

    fault: str
    seconds: float
    tick_seconds: float
    cause: str

    @property
    def ticks(self) -> float:
        """The same in ticks."""
        return self.seconds / self.tick_seconds


class Relay:
    """The metrics page from another address, until it is cut."""

    def __init__(self) -> None:
        self.source = ""
        self.is_cut = False
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if relay.is_cut:
                    self.close_connection = True
                    return
                try:
                    with urllib.request.urlopen(relay.source, timeout=10) as answer:
                        body, kind = answer.read(), answer.headers["Content-Type"]
                except OSError:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/metrics"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Stage:
    """A server with a kind of fault, its controller and callers; measures as often as it is asked to."""

    def __init__(self, place: Path, fault: Fault) -> None:
        self.fault = fault
        self.supervisor = Supervisor(place)
        self.relay = Relay()
        self.here: ServedHere | None = None
        self.server: Child | None = None
        self._place = place
        self._ports: dict[str, int] = {}
        self._numbers = itertools.count()
        if fault.is_here:
            self.here = ServedHere(data_directory=place / "data")
            room = self.here.room
            self._ports = {"data": room.data_port, "control": room.control_port, "metrics": room.metrics_port}
        else:
            self.server = self.supervisor.start("server", self._server_command, restart_limit=1000)
            self._ports = json.loads(self.supervisor.wait_for_file(self.server, place / "server.json", seconds=60))
        self.relay.source = f"http://127.0.0.1:{self._ports['metrics']}/metrics"
        self.controller = self.supervisor.start("controller", self._controller_command, restart_limit=1000)
        self.supervisor.wait_for_file(self.controller, place / "controller.json", seconds=60)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._ports['data']}", options=_CHANNEL)
        self._call = self._channel.unary_unary("/covey.v1.AnalyzerService/AnalyzeLearner")
        self._requests = [
            question(f"learner-{number}", packed=history(number % 20)).SerializeToString() for number in range(200)
        ]
        addresses = {key: f"127.0.0.1:{self._ports[key]}" for key in ("control", "data")}
        self.client = Client(**addresses, actor="ada", timeout_seconds=30.0)
        # Between two looks at the processes: while a call waits for a server that died, nobody starts it again.
        self._hasty = Client(**addresses, actor="ada", timeout_seconds=0.5)
        self.name = ""

    def close(self) -> None:
        self.client.close()
        self._hasty.close()
        self._channel.close()
        self.supervisor.stop_all()
        if self.here is not None:
            self.here.stop()
        self.relay.close()

    def measure(self) -> Measured:
        """A rollout, its fault, its end."""
        begun = time.monotonic()
        asker = self.begin()
        try:
            faulty_since = self.begin_fault(asker, begun)
            self.until(lambda: is_quiet(asker, faulty_since))
            reached = [each.sent for each in asker.since(faulty_since) if each.who != "baseline"]
        finally:
            asker.stop()
        self.fault.restores(self)
        rollbacks = [e for e in self.client.list_entries(self.name) if e.HasField("rollback_started")]
        cause = RollbackStarted.Cause.Name(rollbacks[0].rollback_started.cause) if rollbacks else ""
        if not rollbacks:
            self.client.abort_rollout(self.name, reason="measured")
        self.until(self._has_ended)
        seconds = max(reached, default=faulty_since) - faulty_since
        return Measured(self.fault.name, seconds, self.fault.tick_seconds, cause)

    def begin(self) -> Asker:
        """The next rollout is started, and callers call."""
        self.name = f"rollouts/r{next(self._numbers)}"
        plan = PLAN.format(tick_seconds=self.fault.tick_seconds)
        self.client.create_rollout(self.name, load_spec(plan, "plan.yaml"))
        self.client.start_rollout(self.name)
        return Asker(self._say, 100.0)

    def begin_fault(self, asker: Asker, begun: float) -> float:
        """See to it that the fault is there; since when."""
        fault = self.fault

        def is_first(answer: Answer) -> bool:
            return answer.who == fault.begins_with if fault.begins_with else answer.who != "baseline"

        first: Answer = self.until(lambda: next(filter(is_first, asker.since(begun)), None))
        acted = time.monotonic()
        if fault.act is not None:
            fault.act(self)
        return acted if fault.act is not None and not fault.loaded else first.sent

    def kill_server(self) -> None:
        """SIGKILL; whoever supervises it starts it again."""
        assert self.server is not None
        started = self.server.restart_count
        assert self.server.process is not None
        self.server.process.kill()
        self.until(lambda: self.server is not None and self.server.restart_count > started)
        self.until(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            self._call(self._requests[0], timeout=1)
        except grpc.RpcError:
            return False
        return True

    def _has_ended(self) -> bool:
        try:
            return self._hasty.get_rollout(self.name).state in _ENDED
        except CallFailed:
            return False

    def until(self, found: Callable[[], Any]) -> Any:
        """What was found, while the processes are kept alive."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (result := found()):
            assert time.monotonic() < deadline, f"{self.fault.name}: {self.client.get_rollout(self.name).explanation}"
            self.supervisor.check()
            time.sleep(0.02)
        return result

    def _say(self, number: int) -> tuple[grpc.Future[Any], Callable[[Any], str]]:
        return self._call.future(self._requests[number % len(self._requests)], timeout=2.0), _who

    def _server_command(self) -> list[str]:
        if self._ports:
            options = (("--listen", "data"), ("--control-listen", "control"), ("--metrics-listen", "metrics"))
            ports = [word for option, port in options for word in (option, f"127.0.0.1:{self._ports[port]}")]
            command = [sys.executable, "-m", "covey_server.main", "--data-directory", str(self._place / "data"), *ports]
        else:
            command = server_command(self._place / "data")
        command += ["--ports-file", str(self._place / "server.json")]
        if self.fault.loaded:
            command += ["--enable-faults", *(word for each in self.fault.loaded for word in ("--fault", each))]
        return command

    def _controller_command(self) -> Sequence[str]:
        command = [sys.executable, "-m", "covey_controller.main", "--control", f"127.0.0.1:{self._ports['control']}"]
        command += ["--replica", f"data=127.0.0.1:{self._ports['data']},metrics={self.relay.url}"]
        command += ["--metrics-listen", "127.0.0.1:0", "--poll-seconds", "0.5"]
        return [*command, "--ports-file", str(self._place / "controller.json")]


def is_quiet(asker: Asker, since: float) -> bool:
    """Whether the baseline alone answered all calls of a second that is over, the last one."""
    now = time.monotonic()
    answers = [each for each in asker.since(since) if now - 1.5 <= each.sent <= now - 0.5]
    return len(answers) >= 50 and all(each.who == "baseline" for each in answers)


def _who(answer: bytes) -> str:
    variant = analyzer_pb2.AnalyzeLearnerResponse.FromString(answer).variant
    return "baseline" if variant == "variants/reference" else "candidate"
