"""RolloutService over a real port: what it refuses, why, and who of two wins."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import journal_pb2

from .rollout_rooms import Caller, Refusal, Rooms, plan, refusal, rollback, tick


@pytest.mark.parametrize(
    ("method", "fields", "wrong"),
    [
        ("CreateRollout", {"rollout_id": "X!", "spec": plan()}, ["rollout_id"]),
        ("CreateRollout", {"rollout_id": "x"}, ["spec"]),
        ("CreateRollout", {"rollout_id": "x", "spec": plan(target="billing")}, ["spec.target"]),
        ("CreateRollout", {"rollout_id": "x", "spec": plan(), "request_id": ""}, ["request_id"]),
        ("CreateRollout", {"rollout_id": "x", "spec": plan(), "request_id": "x" * 129}, ["request_id"]),
        ("GetRollout", {"name": "datasets/x"}, ["name"]),
        ("ListRollouts", {"page_size": -1}, ["page_size"]),
        ("ListRollouts", {"page_token": "nonsense"}, ["page_token"]),
        ("ListEntries", {"parent": "rollouts/"}, ["parent"]),
        ("PauseRollout", {"reason": "x" * 2001}, ["reason"]),
        ("PauseRollout", {"request_id": ""}, ["request_id"]),
        ("AbortRollout", {}, ["reason"]),
        ("ApproveRollout", {}, ["phase", "role"]),
        ("ApproveRollout", {"phase": "no-such-phase", "role": "finance"}, ["phase"]),
        ("DenyRollout", {"phase": "canary", "role": "x" * 257, "reason": "r"}, ["role"]),
        ("PostponeRollout", {"phase": "canary", "reason": "r"}, ["not_before"]),
        (
            "PostponeRollout",
            {"phase": "canary", "reason": "r", "not_before": Timestamp(seconds=1 << 50)},
            ["not_before"],
        ),
        ("PostponeRollout", {"phase": "canary", "reason": "r", "not_before": Timestamp(seconds=1)}, ["not_before"]),
        ("ReportIncident", {"incident_id": "i"}, ["description"]),
        ("AcquireLease", {"target": "analyzer"}, ["holder"]),
        ("AcquireLease", {"target": "analyzer", "holder": "h", "time_to_live": {"seconds": 301}}, ["time_to_live"]),
        ("AcquireLease", {"target": "analyzer", "holder": "h", "time_to_live": {"seconds": 0}}, ["time_to_live"]),
        ("CommitDecision", {}, ["epoch", "entries"]),
        ("CommitDecision", {"epoch": 1, "entries": [journal_pb2.Entry()]}, ["entries[0]"]),
        ("CommitDecision", {"epoch": 1, "entries": [tick()] * 101}, ["entries"]),
    ],
)
def test_a_wrong_field_is_named(call: Caller, method: str, fields: dict[str, Any], wrong: list[str]) -> None:
    call.create("x" if method != "CreateRollout" else "another")
    refused = refusal(call, method, **fields)
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == wrong
    assert refused.message


def test_a_spec_that_cannot_be_used_names_every_wrong_field(call: Caller) -> None:
    spec = plan()
    spec.phases[0].traffic_share = 1.5
    spec.phases[1].criteria[0].statement = "eror_rate < 1 %"
    refused = refusal(call, "CreateRollout", rollout_id="x", spec=spec)
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ["spec.phases[0].traffic_share", "spec.phases[1].criteria[0].statement"]


def test_a_variant_that_does_not_exist_is_named(call: Caller) -> None:
    refused = refusal(call, "CreateRollout", rollout_id="x", spec=plan(candidate="variants/tuned"))
    assert refused.code == grpc.StatusCode.NOT_FOUND
    assert refused.metadata == {"resource": "variants/tuned"}


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GetRollout", {}),
        ("StartRollout", {}),
        ("ListEntries", {"parent": "rollouts/none"}),
        ("CommitDecision", {"epoch": 1, "entries": [tick()]}),
    ],
)
def test_a_rollout_that_does_not_exist(call: Caller, method: str, fields: dict[str, Any]) -> None:
    assert refusal(call, method, name="rollouts/none", **fields).code == grpc.StatusCode.NOT_FOUND


def test_what_is_not_possible_now_says_why(call: Caller) -> None:
    call.started()
    again = refusal(call, "StartRollout")
    assert again.code == grpc.StatusCode.FAILED_PRECONDITION
    assert again.reason == "ILLEGAL_STATE"
    call.create("second")
    taken = refusal(call, "StartRollout", name="rollouts/second")
    assert taken.reason == "TARGET_TAKEN"
    assert "rollouts/x" in taken.message
    assert refusal(call.create).code == grpc.StatusCode.ALREADY_EXISTS


OPERATORS_KINDS = [
    journal_pb2.Entry(started=journal_pb2.RolloutStarted()),
    journal_pb2.Entry(paused=journal_pb2.RolloutPaused()),
    journal_pb2.Entry(resumed=journal_pb2.RolloutResumed()),
    journal_pb2.Entry(created=journal_pb2.RolloutCreated()),
    journal_pb2.Entry(promoted=journal_pb2.PhasePromoted(phase="canary")),
    journal_pb2.Entry(approved=journal_pb2.PhaseApproved(phase="canary", role="finance")),
    journal_pb2.Entry(incident_resolved=journal_pb2.IncidentResolved(incident_id="i")),
    rollback(journal_pb2.RollbackStarted.CAUSE_ABORT),
    rollback(journal_pb2.RollbackStarted.CAUSE_CRASH_LOOP),
]


@pytest.mark.parametrize("entry", OPERATORS_KINDS, ids=lambda entry: entry.WhichOneof("payload"))
def test_a_controller_cannot_write_what_is_for_operators(rooms: Rooms, call: Caller, entry: journal_pb2.Entry) -> None:
    epoch = call.to_canary(rooms.clock)
    refused = refusal(call.commit, epoch, tick(), entry)
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ["entries[1]"]
    assert rooms.weight() == 100


def test_leases_over_the_wire(rooms: Rooms, call: Caller) -> None:
    call.started()
    first = call.lease("a")
    held = refusal(call, "AcquireLease", target="analyzer", holder="b")
    assert held.code == grpc.StatusCode.FAILED_PRECONDITION
    assert held.reason == "LEASE_HELD"
    assert held.retry_after_seconds == pytest.approx(10)
    call("AcquireLease", target="analyzer", holder="a", release=True)
    second = call.lease("b")
    assert second == first + 1
    stale = refusal(call.commit, first, tick())
    assert stale.code == grpc.StatusCode.FAILED_PRECONDITION
    assert stale.reason == "STALE_EPOCH"
    assert call.commit(second, tick()).entries[0].epoch == second
    conflict = refusal(call.commit, second, tick(), expected_sequence=2)
    assert conflict.code == grpc.StatusCode.ABORTED
    assert conflict.metadata == {"expected_sequence": "2", "last_sequence": "3"}


def test_of_two_controllers_that_commit_at_once_exactly_one_wins(call: Caller) -> None:
    call.started()
    epoch = call.lease()
    results: list[grpc.StatusCode] = []

    def commit() -> None:
        try:
            call.commit(epoch, tick(), expected_sequence=2)
            results.append(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            results.append(Refusal(error).code)

    threads = [threading.Thread(target=commit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(code.name for code in results) == ["ABORTED"] * 7 + ["OK"]
    assert len(call.entries()) == 3


def test_a_store_that_cannot_answer_is_unavailable(rooms: Rooms, call: Caller) -> None:
    call.to_canary(rooms.clock)
    with rooms.store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    refused = None
    for number in range(200):
        try:
            call("PauseRollout" if number % 2 == 0 else "ResumeRollout", reason="x" * 2000)
        except grpc.RpcError as error:
            refused = Refusal(error)
            break
    assert refused is not None
    assert refused.code == grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "STORE_UNAVAILABLE"
    assert refused.retry_after_seconds == 1.0
