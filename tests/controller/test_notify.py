"""Transitions are told once, to the log and to a real webhook."""

from __future__ import annotations

import json
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from covey.v1 import journal_pb2, rollout_spec_pb2
from covey_controller.logs import JsonFormatter
from covey_controller.notify import Notifier, describe

from .pages import wait_until

ON_CALL = rollout_spec_pb2.OnCall(primary="ada", secondary="grace", escalation="edsger")


def held(sequence: int) -> journal_pb2.Entry:
    return journal_pb2.Entry(
        sequence=sequence, held=journal_pb2.PhaseHeld(phase="canary", explanation="no evidence of availability")
    )


def rolled_back(sequence: int) -> journal_pb2.Entry:
    return journal_pb2.Entry(
        sequence=sequence, rollback_started=journal_pb2.RollbackStarted(explanation="error_rate > 1 % is shown")
    )


def tick(sequence: int) -> journal_pb2.Entry:
    return journal_pb2.Entry(sequence=sequence, tick=journal_pb2.Tick())


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    return [(record.getMessage(), vars(record)["page"]) for record in caplog.records if "page" in vars(record)]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    logger = logging.getLogger("covey_controller")
    logger.propagate = True
    caplog.set_level(logging.INFO, logger="covey_controller")
    return caplog


def test_each_transition_is_told_once_and_ticks_never(log: pytest.LogCaptureFixture) -> None:
    notifier = Notifier()
    entries = [tick(1), held(2), tick(3)]
    notifier.tell("rollouts/a", entries, ON_CALL)
    notifier.tell("rollouts/a", [*entries, rolled_back(4)], ON_CALL)
    assert told(log) == [
        ("held: phase canary: no evidence of availability", True),
        ("rollback started: error_rate > 1 % is shown", True),
    ]


def test_the_past_is_not_told_by_a_controller_that_starts(log: pytest.LogCaptureFixture) -> None:
    notifier = Notifier()
    notifier.past("rollouts/a", 2)
    notifier.tell("rollouts/a", [held(2), rolled_back(3)], ON_CALL)
    assert [text for text, _ in told(log)] == ["rollback started: error_rate > 1 % is shown"]


def test_holds_and_rollbacks_page_and_the_rest_does_not(log: pytest.LogCaptureFixture) -> None:
    entered = journal_pb2.Entry(
        sequence=1, phase_entered=journal_pb2.PhaseEntered(phase="ramp", candidate_weight_bp=1250)
    )
    finished = journal_pb2.Entry(
        sequence=2, finished=journal_pb2.RolloutFinished(outcome=journal_pb2.RolloutFinished.OUTCOME_SUCCEEDED)
    )
    Notifier().tell("rollouts/a", [entered, finished, held(3)], ON_CALL)
    assert told(log) == [
        ("phase entered: phase ramp: candidate at 12.5 %", False),
        ("finished: SUCCEEDED", False),
        ("held: phase canary: no evidence of availability", True),
    ]
    assert vars(log.records[-1])["on_call"] == ["ada", "grace", "edsger"]


def test_an_operators_words_are_told() -> None:
    entry = journal_pb2.Entry(reason="looks wrong", paused=journal_pb2.RolloutPaused())
    assert describe(entry) == "paused: looks wrong"
    awaited = journal_pb2.ApprovalAwaited(phase="canary", missing_roles=["finance", "product"])
    assert "missing: finance, product" in describe(journal_pb2.Entry(approval_awaited=awaited))


def test_a_webhook_gets_every_transition_as_json() -> None:
    bodies: list[dict[str, object]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        notifier = Notifier(f"http://127.0.0.1:{server.server_address[1]}/hook")
        notifier.tell("rollouts/a", [held(1), tick(2), rolled_back(3)], ON_CALL)
        assert wait_until(lambda: len(bodies) == 2)
        server.shutdown()
    assert [body["event"] for body in bodies] == ["held", "rollback_started"]
    assert bodies[0]["on_call"] == ["ada", "grace", "edsger"]
    assert bodies[1]["text"] == "rollback started: error_rate > 1 % is shown"


def test_a_dead_webhook_delays_nobody(log: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    notifier = Notifier(f"http://127.0.0.1:{port}/hook")
    notifier.tell("rollouts/a", [held(1)], ON_CALL)
    assert wait_until(lambda: any("webhook failed" in record.getMessage() for record in log.records))


def test_a_webhook_that_speaks_no_http_does_not_end_the_notices(log: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        notifier = Notifier(f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
        for sequence in (1, 2):
            notifier.tell("rollouts/a", [held(sequence)], ON_CALL)
            listener.settimeout(10)
            caller, _ = listener.accept()
            with caller:
                caller.recv(65_536)
                caller.sendall(b"this is no status line\r\n\r\n")
                caller.shutdown(socket.SHUT_WR)
                while caller.recv(65_536):
                    pass
    assert wait_until(lambda: sum("webhook failed" in record.getMessage() for record in log.records) == 2)


def test_log_lines_are_json_with_their_fields() -> None:
    record = logging.makeLogRecord({"msg": "held %s", "args": ("x",), "levelname": "ERROR", "rollout": "rollouts/a"})
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["rollout"]) == ("error", "held x", "rollouts/a")
