"""A controller that lies about gates: everything that it cannot skip, and the twin without a second judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import journal_pb2
from covey.v1.rollouts_pb2 import Rollout
from covey_server.rollouts.judge import Judge

from .rollout_rooms import (
    NATIVE,
    START,
    TRIGGER,
    Caller,
    Refusal,
    Rooms,
    control_port,
    decided,
    entered,
    looked,
    refusal,
    rollback,
    tick,
)

X = "rollouts/x"


def run_canary(rooms: Rooms, call: Caller, seconds: int, *, requests: int = 1000) -> int:
    """In the canary, looked at every second; the epoch of the lease."""
    epoch = call.to_canary(rooms.clock)
    for second in range(1, seconds + 1):
        rooms.clock.pass_time(1)
        look = looked(rooms.clock.now, 100, 1, requests=requests * second)
        call.commit(epoch, *decided(rooms.journal.state(X), look))
    return epoch


def forged_without_approvals(rooms: Rooms, call: Caller) -> tuple[Any, ...]:
    call.started()
    return call.lease(), looked(), entered("canary", 100)


def forged_before_the_hold(rooms: Rooms, call: Caller) -> tuple[Any, ...]:
    epoch = run_canary(rooms, call, 5)
    return epoch, looked(rooms.clock.now, 100, requests=5000), entered("full", 10_000)


def forged_on_insufficient(rooms: Rooms, call: Caller) -> tuple[Any, ...]:
    epoch = run_canary(rooms, call, 13, requests=2)
    return epoch, looked(rooms.clock.now, 100, requests=26), entered("full", 10_000)


def forged_before_its_date(rooms: Rooms, call: Caller) -> tuple[Any, ...]:
    """It says that its clock has come to the date."""
    call.started()
    call.sign("canary", "engineering", "finance")
    date = Timestamp()
    date.FromDatetime(START + timedelta(days=3))
    call("PostponeRollout", phase="canary", not_before=date, reason="holiday")
    return call.lease(), looked(START + timedelta(days=4)), entered("canary", 100)


def forged_success(rooms: Rooms, call: Caller) -> tuple[Any, ...]:
    epoch = run_canary(rooms, call, 14)
    assert rooms.journal.state(X).phase == "full"
    done = journal_pb2.RolloutFinished(outcome=journal_pb2.RolloutFinished.OUTCOME_SUCCEEDED)
    return epoch, looked(rooms.clock.now, 10_000, requests=14_000), journal_pb2.Entry(finished=done)


FORGED = [
    (forged_without_approvals, "approval_awaited 'canary' (missing: engineering, finance)"),
    (forged_before_the_hold, "nothing more"),
    (forged_on_insufficient, "nothing more"),
    (forged_before_its_date, "nothing more. The controller's clock is 345600 s off the server's"),
    (forged_success, "nothing more"),
]


@pytest.mark.parametrize(("forge", "says"), FORGED, ids=[forge.__name__ for forge, _ in FORGED])
def test_a_forged_advance_is_refused(
    rooms: Rooms, call: Caller, forge: Callable[[Rooms, Caller], tuple[Any, ...]], says: str
) -> None:
    decision = forge(rooms, call)
    before = rooms.journal.state(X)
    refused = refusal(call.commit, *decision)
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECISION_DIFFERS")
    assert f"decide() says {says}" in refused.message
    assert rooms.journal.state(X) == before


@pytest.mark.parametrize("forge", [forge for forge, _ in FORGED], ids=[forge.__name__ for forge, _ in FORGED])
def test_without_a_second_judge_it_comes_to_pass(
    rooms: Rooms, call: Caller, monkeypatch: pytest.MonkeyPatch, forge: Callable[[Rooms, Caller], tuple[Any, ...]]
) -> None:
    """The twin: who holds the lease is believed."""
    decision = forge(rooms, call)
    before = rooms.journal.state(X)
    monkeypatch.setattr(Judge, "judge", believed)
    after = call.commit(*decision).rollout
    moved = after.candidate_weight_bp > before.candidate_weight_bp
    assert moved or after.state == Rollout.STATE_SUCCEEDED


def believed(
    _self: object, _connection: object, _state: object, entries: Sequence[journal_pb2.Entry], _now: object
) -> Sequence[journal_pb2.Entry]:
    return entries


def test_harm_cannot_be_hidden_once_it_was_read(rooms: Rooms, call: Caller) -> None:
    epoch = run_canary(rooms, call, 3)
    rooms.clock.pass_time(1)
    bad = looked(rooms.clock.now, 100, 1, requests=4000, errors=900)
    refused = refusal(call.commit, epoch, bad)
    assert "entry 2 of the decision says nothing more" in refused.message
    assert "decide() says rollback_started (error_rate > 1.5 %" in refused.message
    assert call.commit(epoch, *decided(rooms.journal.state(X), bad)).rollout.state == Rollout.STATE_ROLLING_BACK


def test_a_rollback_out_of_nothing_is_refused_too(rooms: Rooms, call: Caller) -> None:
    epoch = run_canary(rooms, call, 3)
    refused = refusal(call.commit, epoch, looked(rooms.clock.now, 100, requests=3000), rollback(TRIGGER))
    assert refused.reason == "DECISION_DIFFERS"
    assert rooms.weight() == 100


def test_time_that_has_not_passed_is_not_observed(rooms: Rooms, call: Caller) -> None:
    """Ticks of 3 s each, as many as one likes within a moment: the hold of 10 s would be over at once."""
    epoch = call.to_canary(rooms.clock)
    rooms.clock.pass_time(1)
    refused = None
    for number in range(1, 8):
        look = looked(rooms.clock.now, 100, 3, requests=1000 * number)
        try:
            call.commit(epoch, *decided(rooms.journal.state(X), look))
        except grpc.RpcError as error:
            refused = Refusal(error)
            break
    assert refused is not None
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OBSERVED_TOO_MUCH")
    assert "3 s were observed, but by the server's clock only" in refused.message
    assert rooms.journal.state(X).phase == "canary"
    rooms.clock.pass_time(3)
    look = looked(rooms.clock.now, 100, 3, requests=9000)
    assert call.commit(epoch, *decided(rooms.journal.state(X), look)).entries, "time that has passed is"


def test_a_refused_or_repeated_look_takes_no_time_from_the_account(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    rooms.clock.pass_time(1)
    for _ in range(10):
        assert refusal(call.commit, epoch, looked(rooms.clock.now, 100, 3), entered("full", 10_000)).reason
    look = looked(rooms.clock.now, 100, 3)
    fields: dict[str, Any] = {"request_id": "same", "expected_sequence": rooms.journal.state(X).last_sequence}
    first = call.commit(epoch, look, **fields)
    for _ in range(10):
        assert call.commit(epoch, look, **fields) == first


def test_a_clock_that_jumps_loses_no_time_and_makes_none(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    rooms.clock.pass_time(1)
    call.commit(epoch, *decided(rooms.journal.state(X), looked(rooms.clock.now, 100)))
    for jump in (3600, -3600, 0, 3600):
        rooms.clock.jump(jump)
        rooms.clock.pass_time(1)
        look = looked(rooms.clock.now, 100, 1, requests=10)
        call.commit(epoch, *decided(rooms.journal.state(X), look))
    assert rooms.journal.state(X).phase_elapsed_seconds == 4


def test_the_journal_keeps_the_servers_words(rooms: Rooms, call: Caller) -> None:
    call.started()
    call.sign("canary", "engineering", "finance")
    forged = entered("canary", 100)
    forged.phase_entered.verdicts.add(statement="error_rate < 0 %", sentence="all is well")
    forged.phase_entered.overridden_calendar = "everything"
    made = call.commit(call.lease(), looked(), forged).entries[-1].phase_entered
    assert (made.candidate_weight_bp, list(made.verdicts), made.overridden_calendar) == (100, [], "")


def test_a_controller_of_another_version_is_named(rooms: Rooms, call: Caller) -> None:
    epoch, look, forged = forged_without_approvals(rooms, call)
    look.version = "0.0.9"
    refused = refusal(call.commit, epoch, look, forged)
    assert "The controller is covey 0.0.9, this server 0.1.0: run the same version of both" in refused.message


@pytest.mark.parametrize("entries", [[entered("canary", 100)], [tick(), tick()], [entered("canary", 100), tick()]])
def test_a_decision_is_one_look(rooms: Rooms, call: Caller, entries: list[journal_pb2.Entry]) -> None:
    call.started()
    assert refusal(call.commit, call.lease(), *entries).reason == "NOT_ONE_LOOK"


def test_what_is_over_is_not_decided(rooms: Rooms, call: Caller) -> None:
    call.started()
    call("AbortRollout", reason="no")
    refused = refusal(call.commit, call.lease(), looked())
    assert refused.reason == "ILLEGAL_STATE"
    assert NATIVE in call("GetRollout").spec.candidate


def under_a_clock_set_back(rooms: Rooms, call: Caller) -> None:
    """Honest looks of a second each; the time of day is set back an hour before each of them."""
    epoch = call.to_canary(rooms.clock)
    for number in range(1, 20):
        rooms.clock.pass_time(1)
        rooms.clock.jump(-3600)
        look = looked(rooms.clock.now, 100, 1, requests=10 * number)
        call.commit(epoch, *decided(rooms.journal.state(X), look))


def test_honest_looks_have_time_under_a_clock_that_is_set_back(rooms: Rooms, call: Caller) -> None:
    under_a_clock_set_back(rooms, call)
    assert rooms.journal.state(X).phase_open_seconds == 19


def test_an_account_by_the_wall_clock_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin."""
    rooms = Rooms(tmp_path)
    monkeypatch.setattr(rooms.journal, "monotonic", lambda: rooms.clock().timestamp())
    with control_port(rooms) as port:
        call = Caller(port.port)
        refused = refusal(under_a_clock_set_back, rooms, call)
        call.close()
    rooms.close()
    assert refused.reason == "OBSERVED_TOO_MUCH"
