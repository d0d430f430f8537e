"""RolloutService over a real port: every verb, retries, conflicts, pages and watching."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import journal_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.rollouts_pb2 import Rollout

from .rollout_rooms import (
    ABORTED,
    ROLLED_BACK,
    START,
    SUCCEEDED,
    TRIGGER,
    Caller,
    Refusal,
    Rooms,
    control_port,
    entered,
    finished,
    plan,
    refusal,
    rollback,
    tick,
)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    made = Rooms(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def call(rooms: Rooms) -> Iterator[Caller]:
    with control_port(rooms) as port:
        caller = Caller(port.port)
        yield caller
        caller.close()


def to_canary(rooms: Rooms, call: Caller) -> int:
    """A rollout in its first phase, its weight in force; the epoch of the lease."""
    call.started()
    epoch = call.lease()
    call.commit(epoch, tick(), entered("canary", 100))
    rooms.clock.pass_time(1)
    return epoch


# Verbs


def test_a_whole_rollout(rooms: Rooms, call: Caller) -> None:
    draft = call.create()
    assert draft.state == Rollout.STATE_DRAFT
    assert (draft.name, draft.last_sequence) == ("rollouts/x", 1)
    assert len(draft.uid) == 32
    assert draft.spec.candidate == "variants/native"
    for role in ("engineering", "finance"):
        approved = call("ApproveRollout", phase="canary", role=role, reason="looks good").rollout
    assert [(approval.role, approval.actor) for approval in approved.approvals] == [
        ("engineering", "ann"),
        ("finance", "ann"),
    ]
    call("RevokeApproval", phase="canary", role="finance", reason="too early")
    denied = call("DenyRollout", phase="canary", role="finance", reason="end of the quarter").rollout
    assert [approval.role for approval in denied.approvals] == ["engineering"]
    call("ApproveRollout", phase="canary", role="finance")
    later = Timestamp()
    later.FromDatetime(START + timedelta(hours=1))
    call("PostponeRollout", phase="canary", not_before=later, reason="after lunch")
    assert call("StartRollout", reason="go").rollout.state == Rollout.STATE_SCHEDULED
    epoch = call.lease()
    committed = call.commit(epoch, tick(), entered("canary", 100))
    assert [entry.sequence for entry in committed.entries] == [9, 10]
    assert {entry.epoch for entry in committed.entries} == {epoch}
    assert committed.rollout.state == Rollout.STATE_RUNNING
    assert committed.rollout.candidate_weight_bp == 100
    assert call("PauseRollout", reason="lunch").rollout.paused
    assert not call("ResumeRollout").rollout.paused
    incident = call("ReportIncident", incident_id="INC-1", critical=True, description="it burns").rollout
    assert [(found.incident_id, found.critical) for found in incident.open_incidents] == [("INC-1", True)]
    assert not call("ResolveIncident", incident_id="INC-1", reason="put out").rollout.open_incidents
    held = journal_pb2.Entry(held=journal_pb2.PhaseHeld(phase="canary", explanation="too few requests"))
    assert call.commit(epoch, held).rollout.state == Rollout.STATE_HOLDING
    released = journal_pb2.Entry(released=journal_pb2.PhaseReleased(phase="canary"))
    assert call.commit(epoch, released).rollout.state == Rollout.STATE_RUNNING
    for role in ("engineering", "finance"):
        call("ApproveRollout", phase="full", role=role)
    promoted = call("PromoteRollout", reason="we know what we do").rollout
    assert promoted.verdicts
    call.commit(epoch, entered("full", 10_000))
    call.commit(epoch, finished(SUCCEEDED))
    last = call("GetRollout")
    assert last.state == Rollout.STATE_SUCCEEDED
    assert rooms.catalogue.stable() == "variants/native"
    entries = call.entries()
    assert [entry.sequence for entry in entries] == list(range(1, last.last_sequence + 1))
    assert {entry.actor for entry in entries} == {"ann"}
    assert not any(entry.actor_verified for entry in entries)
    by_kind = {entry.WhichOneof("payload"): entry for entry in entries}
    assert by_kind["denied"].reason == "end of the quarter"
    assert by_kind["incident_resolved"].reason == "put out"
    assert by_kind["promoted"].reason == "we know what we do"
    assert len(by_kind["promoted"].promoted.overridden_verdicts) == 2


def test_abort_is_in_force_before_the_call_returns(rooms: Rooms, call: Caller) -> None:
    to_canary(rooms, call)
    assert rooms.weight() == 100
    aborted = call("AbortRollout", reason="stop it").rollout
    assert rooms.weight() == 0
    assert aborted.state == Rollout.STATE_ROLLING_BACK
    assert aborted.candidate_weight_bp == 0
    assert aborted.weight_effective_at.ToDatetime(tzinfo=START.tzinfo) == rooms.clock.now
    epoch = call.lease()
    assert call.commit(epoch, finished(ABORTED)).rollout.state == Rollout.STATE_ABORTED
    assert refusal(call, "AbortRollout", reason="again").code == grpc.StatusCode.FAILED_PRECONDITION


def test_the_controllers_rollback_is_in_force_before_the_call_returns(rooms: Rooms, call: Caller) -> None:
    epoch = to_canary(rooms, call)
    call.commit(epoch, tick(rooms.clock.now), rollback(TRIGGER))
    assert rooms.weight() == 0
    assert call.commit(epoch, finished(ROLLED_BACK)).rollout.state == Rollout.STATE_ROLLED_BACK


# Retries


def test_a_retry_returns_the_first_result_whatever_happened_since(rooms: Rooms, call: Caller) -> None:
    epoch = to_canary(rooms, call)
    fields: dict[str, Any] = {"reason": "lunch", "request_id": "pause"}
    first = call("PauseRollout", **fields)
    call("ResumeRollout")
    decision: dict[str, Any] = {"request_id": "decision", "expected_sequence": 6}
    decided = call.commit(epoch, tick(), tick(), **decision)
    call("AbortRollout", reason="stop")
    before = len(call.entries())
    assert call("PauseRollout", **fields) == first
    assert call.commit(epoch, tick(), tick(), **decision) == decided
    assert len(call.entries()) == before


def test_retries_of_creation_and_lease(rooms: Rooms, call: Caller) -> None:
    create: dict[str, Any] = {"rollout_id": "x", "spec": plan(), "request_id": "create"}
    assert call("CreateRollout", **create) == call("CreateRollout", **create)
    acquire: dict[str, Any] = {"target": "analyzer", "holder": "a", "request_id": "lease"}
    first = call("AcquireLease", **acquire)
    rooms.clock.pass_time(5)
    assert call("AcquireLease", **acquire) == first


def test_a_retry_survives_a_restart(rooms: Rooms) -> None:
    with control_port(rooms) as port:
        caller = Caller(port.port)
        first = caller("CreateRollout", rollout_id="x", spec=plan(), request_id="create")
        caller("StartRollout")
        caller.close()
    rooms.close()
    again = Rooms(rooms.store.directory)
    with control_port(again) as port:
        caller = Caller(port.port)
        assert caller("CreateRollout", rollout_id="x", spec=plan(), request_id="create") == first
        caller.close()
    again.close()


def test_the_same_request_id_for_another_request_is_refused(call: Caller) -> None:
    call.started()
    call("PauseRollout", reason="lunch", request_id="same")
    refused = refusal(call, "PauseRollout", reason="another reason", request_id="same")
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "REQUEST_ID_REUSED"
    assert call("ResumeRollout", request_id="same").rollout.name == "rollouts/x", "another method, another request"


def test_a_refused_request_may_be_tried_again_under_its_id(call: Caller) -> None:
    call.create()
    assert refusal(call, "PauseRollout", request_id="p").code == grpc.StatusCode.FAILED_PRECONDITION
    call("StartRollout")
    assert call("PauseRollout", request_id="p").rollout.paused


# Refusals


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
    epoch = to_canary(rooms, call)
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
    to_canary(rooms, call)
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


# Lists


def test_rollouts_are_listed_newest_first_in_pages_without_verdicts(call: Caller) -> None:
    for number in range(5):
        call.create(f"r{number}")
    call("AbortRollout", name="rollouts/r2", reason="not needed")
    names, token = [], ""
    while True:
        page = call("ListRollouts", page_size=2, page_token=token)
        assert len(page.rollouts) <= 2
        names += [rollout.name for rollout in page.rollouts]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"rollouts/r{number}" for number in (4, 3, 2, 1, 0)]
    active = call("ListRollouts", active_only=True).rollouts
    assert [rollout.name for rollout in active] == [f"rollouts/r{number}" for number in (4, 3, 1, 0)]
    every = {rollout.name: rollout for rollout in call("ListRollouts").rollouts}
    assert every["rollouts/r2"].state == Rollout.STATE_ABORTED
    assert not any(rollout.verdicts for rollout in every.values())
    token = call("ListRollouts", page_size=2).next_page_token
    assert refusal(call, "ListRollouts", active_only=True, page_token=token).fields == ["page_token"]


def test_a_rollout_created_between_two_pages_disturbs_nobody(call: Caller) -> None:
    for number in range(4):
        call.create(f"r{number}")
    first = call("ListRollouts", page_size=2)
    call.create("r9")
    second = call("ListRollouts", page_size=2, page_token=first.next_page_token)
    assert [rollout.name for rollout in second.rollouts] == ["rollouts/r1", "rollouts/r0"]


def test_entries_come_in_pages_with_or_without_ticks(rooms: Rooms, call: Caller) -> None:
    epoch = to_canary(rooms, call)
    for _ in range(10):
        call.commit(epoch, tick(rooms.clock.now))
    found, token = [], ""
    while True:
        page = call("ListEntries", parent="rollouts/x", page_size=4, page_token=token)
        found += [entry.sequence for entry in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found == list(range(1, 15))
    without = call("ListEntries", parent="rollouts/x", omit_ticks=True)
    assert [entry.WhichOneof("payload") for entry in without.entries] == ["created", "started", "phase_entered"]
    assert not without.next_page_token


def test_a_page_of_large_entries_stays_within_what_clients_accept(rooms: Rooms, call: Caller) -> None:
    epoch = to_canary(rooms, call)
    large = tick(rooms.clock.now)
    large.tick.absences.add(replica="r", detail="x" * 900_000)
    for _ in range(6):
        call.commit(epoch, large)
    found, token = 0, ""
    while True:
        page = call("ListEntries", parent="rollouts/x", page_size=1000, page_token=token)
        assert page.ByteSize() < 4 << 20
        found += len(page.entries)
        token = page.next_page_token
        if not token:
            break
    assert found == 10
    refused = refusal(call.commit, epoch, *[large] * 5)
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED, "above the 4 MiB of a message"


# Watching


def test_a_watch_delivers_every_entry_once_and_ends_with_the_rollout(rooms: Rooms, call: Caller) -> None:
    call.started()
    epoch = call.lease()
    stream = call.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x", after_sequence=1), timeout=30)
    messages = iter(stream)
    first = next(messages)
    assert [entry.sequence for entry in first.entries] == [2]
    assert first.rollout.state == Rollout.STATE_SCHEDULED
    writer = threading.Thread(
        target=lambda: [
            call.commit(epoch, tick(), entered("canary", 100)),
            *[call.commit(epoch, tick()) for _ in range(30)],
            call("AbortRollout", reason="enough"),
            call.commit(epoch, finished(ABORTED)),
        ]
    )
    writer.start()
    sequences, last = [2], first
    for message in messages:
        assert message.entries, "a message without news"
        sequences += [entry.sequence for entry in message.entries]
        assert message.rollout.last_sequence >= message.entries[-1].sequence
        last = message
    writer.join(timeout=20)
    assert sequences == list(range(2, 37))
    assert last.rollout.state == Rollout.STATE_ABORTED
    assert stream.code() == grpc.StatusCode.OK


def test_a_watch_without_a_position_begins_now(call: Caller) -> None:
    call.started()
    stream = iter(call.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x"), timeout=30))
    first = next(stream)
    assert (first.rollout.last_sequence, len(first.entries)) == (2, 0)
    call("PauseRollout")
    second = next(stream)
    assert [entry.sequence for entry in second.entries] == [3]
    assert second.rollout.paused


def test_a_watch_that_falls_behind_gets_what_it_missed(rooms: Rooms, call: Caller) -> None:
    call.started()
    epoch = call.lease()
    for _ in range(15):
        call.commit(epoch, *[tick()] * 100)
    stream = iter(call.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x", after_sequence=2), timeout=30))
    sequences: list[int] = []
    while len(sequences) < 1500:
        sequences += [entry.sequence for entry in next(stream).entries]
    assert sequences == list(range(3, 1503))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.WatchRolloutRequest(name="rollouts/none"), grpc.StatusCode.NOT_FOUND),
        (pb.WatchRolloutRequest(name="x"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.WatchRolloutRequest(name="rollouts/x", after_sequence=99), grpc.StatusCode.OUT_OF_RANGE),
        (pb.WatchRolloutRequest(name="rollouts/x", after_sequence=-1), grpc.StatusCode.OUT_OF_RANGE),
    ],
)
def test_a_watch_that_cannot_be(call: Caller, request_: pb.WatchRolloutRequest, code: grpc.StatusCode) -> None:
    call.create()
    assert refusal(lambda: next(iter(call.stub.WatchRollout(request_, timeout=10)))).code == code


def test_the_actor_is_asserted_or_anonymous(rooms: Rooms, call: Caller) -> None:
    call.create()
    call.stub.StartRollout(pb.StartRolloutRequest(name="rollouts/x", request_id="s"), timeout=10)
    assert [entry.actor for entry in call.entries()] == ["ann", "anonymous"]
    assert [entry.request_id for entry in call.entries()][1] == "s"


def test_short_names_of_variants_are_made_whole(call: Caller) -> None:
    spec = plan()
    spec.baseline, spec.candidate = "reference", "native"
    made = call("CreateRollout", rollout_id="x", spec=spec)
    assert (made.spec.baseline, made.spec.candidate) == ("variants/reference", "variants/native")
