"""RolloutService over a real port: every verb, who called it, and retries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import journal_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.rollouts_pb2 import Rollout

from .rollout_rooms import (
    ABORTED,
    ROLLED_BACK,
    START,
    Caller,
    Rooms,
    control_port,
    decided,
    entered,
    finished,
    looked,
    plan,
    refusal,
    tick,
)


def drive(rooms: Rooms, call: Caller, epoch: int, *, weight_bp: int, seconds: int, error_rate: float = 0.0) -> None:
    """Looks of a second each at 1,000 requests, as a controller decides on them."""
    for second in range(1, seconds + 1):
        rooms.clock.pass_time(1)
        state = rooms.journal.state("rollouts/x")
        if state.is_terminal or state.candidate_weight_bp != weight_bp:
            return
        requests = 1000 * second
        look = looked(rooms.clock.now, weight_bp, 1, requests=requests, errors=round(error_rate * requests))
        call.commit(epoch, *decided(state, look))


# Verbs


def test_a_whole_rollout(rooms: Rooms, call: Caller) -> None:
    draft = call.create()
    assert draft.state == Rollout.STATE_DRAFT
    assert (draft.name, draft.last_sequence) == ("rollouts/x", 1)
    assert len(draft.uid) == 32
    assert draft.spec.candidate == "variants/native"
    for role in ("engineering", "finance"):
        approved = call("ApproveRollout", actor=f"of-{role}", phase="canary", role=role, reason="looks good").rollout
    assert [(approval.role, approval.actor) for approval in approved.approvals] == [
        ("engineering", "of-engineering"),
        ("finance", "of-finance"),
    ]
    call("RevokeApproval", phase="canary", role="finance", reason="too early")
    denied = call("DenyRollout", phase="canary", role="finance", reason="end of the quarter").rollout
    assert [approval.role for approval in denied.approvals] == ["engineering"]
    call("ApproveRollout", phase="canary", role="finance", actor="of-finance")
    later = Timestamp()
    later.FromDatetime(START + timedelta(hours=1))
    call("PostponeRollout", phase="canary", not_before=later, reason="after lunch")
    assert call("StartRollout", reason="go").rollout.state == Rollout.STATE_SCHEDULED
    epoch = call.lease()
    rooms.clock.pass_time(3600)
    committed = call.enter_canary(epoch)
    assert [entry.sequence for entry in committed.entries] == [9, 10]
    assert {entry.epoch for entry in committed.entries} == {epoch}
    assert committed.rollout.state == Rollout.STATE_RUNNING
    assert committed.rollout.candidate_weight_bp == 100
    assert call("PauseRollout", reason="lunch").rollout.paused
    assert not call("ResumeRollout").rollout.paused
    incident = call("ReportIncident", incident_id="INC-1", critical=True, description="it burns").rollout
    assert [(found.incident_id, found.critical) for found in incident.open_incidents] == [("INC-1", True)]
    assert not call("ResolveIncident", incident_id="INC-1", reason="put out").rollout.open_incidents
    rooms.clock.pass_time(1)
    held = journal_pb2.Entry(held=journal_pb2.PhaseHeld(phase="canary", explanation="no replica was read"))
    assert call.commit(epoch, tick(rooms.clock.now), held).rollout.state == Rollout.STATE_HOLDING
    released = journal_pb2.Entry(released=journal_pb2.PhaseReleased(phase="canary"))
    assert call.commit(epoch, looked(rooms.clock.now, 100), released).rollout.state == Rollout.STATE_RUNNING
    for role in ("engineering", "finance"):
        call("ApproveRollout", phase="full", role=role, actor=f"of-{role}")
    promoted = call("PromoteRollout", reason="we know what we do").rollout
    assert promoted.verdicts
    call.commit(epoch, looked(rooms.clock.now, 100), entered("full", 10_000))
    drive(rooms, call, epoch, weight_bp=10_000, seconds=13)
    last = call("GetRollout")
    assert last.state == Rollout.STATE_SUCCEEDED
    assert rooms.catalogue.stable() == "variants/native"
    entries = call.entries()
    assert [entry.sequence for entry in entries] == list(range(1, last.last_sequence + 1))
    assert {entry.actor for entry in entries} == {"ann", "of-engineering", "of-finance"}
    assert not any(entry.actor_verified for entry in entries)
    by_kind = {entry.WhichOneof("payload"): entry for entry in entries}
    assert by_kind["denied"].reason == "end of the quarter"
    assert by_kind["incident_resolved"].reason == "put out"
    assert by_kind["promoted"].reason == "we know what we do"
    assert len(by_kind["promoted"].promoted.overridden_verdicts) == 2


def test_abort_is_in_force_before_the_call_returns(rooms: Rooms, call: Caller) -> None:
    call.to_canary(rooms.clock)
    assert rooms.weight() == 100
    aborted = call("AbortRollout", reason="stop it").rollout
    assert rooms.weight() == 0
    assert aborted.state == Rollout.STATE_ROLLING_BACK
    assert aborted.candidate_weight_bp == 0
    assert aborted.weight_effective_at.ToDatetime(tzinfo=START.tzinfo) == rooms.clock.now
    epoch = call.lease()
    assert call.commit(epoch, looked(rooms.clock.now), finished(ABORTED)).rollout.state == Rollout.STATE_ABORTED
    assert refusal(call, "AbortRollout", reason="again").code == grpc.StatusCode.FAILED_PRECONDITION


def test_the_controllers_rollback_is_in_force_before_the_call_returns(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    drive(rooms, call, epoch, weight_bp=100, seconds=3, error_rate=0.2)
    assert rooms.weight() == 0
    assert (
        call.commit(epoch, looked(rooms.clock.now, requests=3000, errors=600), finished(ROLLED_BACK)).rollout.state
        == Rollout.STATE_ROLLED_BACK
    )


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


# Retries


def test_a_retry_returns_the_first_result_whatever_happened_since(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    fields: dict[str, Any] = {"reason": "lunch", "request_id": "pause"}
    first = call("PauseRollout", **fields)
    call("ResumeRollout")
    decision: dict[str, Any] = {"request_id": "decision", "expected_sequence": 8}
    done = call.commit(epoch, looked(weight_bp=100), **decision)
    call("AbortRollout", reason="stop")
    before = len(call.entries())
    assert call("PauseRollout", **fields) == first
    assert call.commit(epoch, looked(weight_bp=100), **decision) == done
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
