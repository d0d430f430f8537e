"""Transitions are told once to the log, and call whom they must."""

from __future__ import annotations

import json
import logging

import pytest

from covey.json_logs import JsonFormatter
from covey.v1 import journal_pb2, rollout_spec_pb2
from covey_controller.notify import Notifier, called, describe, is_page

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
    assert vars(log.records[-1])["on_call"] == ["ada"]


def test_an_operators_words_are_told() -> None:
    entry = journal_pb2.Entry(reason="looks wrong", paused=journal_pb2.RolloutPaused())
    assert describe(entry) == "paused: looks wrong"
    awaited = journal_pb2.ApprovalAwaited(phase="canary", missing_roles=["finance", "product"])
    assert "missing: finance, product" in describe(journal_pb2.Entry(approval_awaited=awaited))


def test_a_wait_for_the_calendar_calls_nobody_and_an_escalation_calls_the_next() -> None:
    waits = held(1)
    waits.held.calendar_open_time.seconds = 1
    assert not is_page(waits)
    assert called(held(1), ON_CALL) == ["ada"]
    escalated = journal_pb2.Entry(escalated=journal_pb2.HoldEscalated(phase="canary", on_call="grace"))
    assert called(escalated, ON_CALL) == ["grace"]
    assert describe(escalated) == "escalated: phase canary: nobody acknowledged the hold, grace is called"
    assert called(journal_pb2.Entry(paused=journal_pb2.RolloutPaused()), ON_CALL) == []
    assert called(held(1), rollout_spec_pb2.OnCall()) == []


def test_log_lines_are_json_with_their_fields() -> None:
    record = logging.makeLogRecord({"msg": "held %s", "args": ("x",), "levelname": "ERROR", "rollout": "rollouts/a"})
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["rollout"]) == ("error", "held x", "rollouts/a")
