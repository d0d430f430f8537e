"""Who the journal says it was; tokens that come, expire and go while the server runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from waiting import wait_until

from covey.access.principals import Role
from covey.v1 import access_pb2, access_pb2_grpc, analyzer_pb2
from covey.v1 import rollouts_pb2 as pb

from ..rollout_rooms import Refusal, plan
from ..running import ServedHere
from .known import TokensFile

INFO = analyzer_pb2.GetServerInfoRequest()


@pytest.fixture
def tokens(tmp_path: Path) -> TokensFile:
    return TokensFile(tmp_path / "tokens.json")


def code(served: ServedHere, metadata: list[tuple[str, str]]) -> str:
    try:
        served.analyzer.GetServerInfo(INFO, timeout=20, metadata=metadata)
    except grpc.RpcError as error:
        name: str = error.code().name
        return name
    return "OK"


def test_the_journal_names_the_principal_and_not_what_a_caller_says(
    start_server: Callable[..., ServedHere], tokens: TokensFile
) -> None:
    served = start_server(tokens=tokens.path)
    metadata = [*tokens.metadata("operator"), ("covey-actor", "somebody-else")]
    request = pb.CreateRolloutRequest(rollout_id="x", spec=plan(), request_id="1")
    served.rollouts.CreateRollout(request, timeout=20, metadata=metadata)
    listed = pb.ListEntriesRequest(parent="rollouts/x")
    entry = served.rollouts.ListEntries(listed, timeout=20, metadata=tokens.metadata("viewer")).entries[0]
    assert (entry.actor, entry.actor_verified) == ("operator", True)


def test_callers_learn_who_they_are_and_what_they_may_do(
    start_server: Callable[..., ServedHere], tokens: TokensFile
) -> None:
    served = start_server(tokens=tokens.path)
    stub = access_pb2_grpc.AccessServiceStub(served.control_channel)
    for role in Role:
        caller = stub.GetCaller(access_pb2.GetCallerRequest(), timeout=20, metadata=tokens.metadata(role.value))
        assert (caller.principal, list(caller.roles), caller.proven) == (role.value, [role.value], True)
        assert list(caller.signs_for) == (["engineering"] if role is Role.APPROVER else [])
        assert ("covey.v1.RolloutService/AbortRollout" in caller.methods) == (role in {Role.OPERATOR, Role.ADMIN})


def test_callers_of_an_open_server_are_who_they_say(server: ServedHere) -> None:
    stub = access_pb2_grpc.AccessServiceStub(server.control_channel)
    caller = stub.GetCaller(access_pb2.GetCallerRequest(), timeout=20, metadata=[("covey-actor", "ada")])
    assert (caller.principal, caller.proven, list(caller.signs_for)) == ("ada", False, ["*"])


def test_without_tokens_the_journal_says_that_nobody_was_proven(server: ServedHere) -> None:
    request = pb.CreateRolloutRequest(rollout_id="x", spec=plan(), request_id="1")
    server.rollouts.CreateRollout(request, timeout=20, metadata=[("covey-actor", "ad%C3%A4")])
    entry = server.rollouts.ListEntries(pb.ListEntriesRequest(parent="rollouts/x"), timeout=20).entries[0]
    assert (entry.actor, entry.actor_verified) == ("adä", False)


def test_an_approver_signs_for_their_own_roles_only(
    start_server: Callable[..., ServedHere], tokens: TokensFile
) -> None:
    served = start_server(tokens=tokens.path)
    operator, approver = tokens.metadata("operator"), tokens.metadata("approver")
    create = pb.CreateRolloutRequest(rollout_id="x", spec=plan(), request_id="1")
    served.rollouts.CreateRollout(create, timeout=20, metadata=operator)

    def approve(role: str) -> pb.Rollout:
        request = pb.ApproveRolloutRequest(name="rollouts/x", phase="canary", role=role, request_id=role)
        return served.rollouts.ApproveRollout(request, timeout=20, metadata=approver).rollout

    approval = approve("engineering").approvals[0]
    assert (approval.role, approval.actor) == ("engineering", "approver")
    for verb in ("Approve", "Deny"):
        request_type = getattr(pb, f"{verb}RolloutRequest")
        request = request_type(name="rollouts/x", phase="canary", role="finance", reason="r", request_id=verb)
        with pytest.raises(grpc.RpcError) as refused:
            getattr(served.rollouts, f"{verb}Rollout")(request, timeout=20, metadata=approver)
        refusal = Refusal(refused.value)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SIGNATURE_NOT_ALLOWED")
        assert "'finance', only for engineering" in refusal.message


def test_two_who_sign_alike_sign_twice(start_server: Callable[..., ServedHere], tokens: TokensFile) -> None:
    served = start_server(tokens=tokens.path)
    tokens.add("bob", {Role.APPROVER}, signs_for=frozenset({"engineering"}))
    create = pb.CreateRolloutRequest(rollout_id="x", spec=plan(), request_id="1")
    served.rollouts.CreateRollout(create, timeout=20, metadata=tokens.metadata("operator"))
    # One script, one request id for everybody who runs it.
    request = pb.ApproveRolloutRequest(name="rollouts/x", phase="canary", role="engineering", request_id="approve")
    first = served.rollouts.ApproveRollout(request, timeout=20, metadata=tokens.metadata("approver"))
    assert served.rollouts.ApproveRollout(request, timeout=20, metadata=tokens.metadata("approver")) == first

    def by_bob() -> pb.ApproveRolloutResponse:
        return served.rollouts.ApproveRollout(request, timeout=20, metadata=tokens.metadata("bob"))

    wait_until(lambda: code(served, tokens.metadata("bob")) == "OK")
    with pytest.raises(grpc.RpcError) as refused:
        by_bob()
    refusal = Refusal(refused.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert "used by approver" in refusal.message
    request.request_id = "approve-bob"
    assert [each.actor for each in by_bob().rollout.approvals] == ["approver", "bob"]


def test_tokens_come_and_go_without_a_restart(start_server: Callable[..., ServedHere], tokens: TokensFile) -> None:
    served = start_server(tokens=tokens.path)
    tokens.add("late", {Role.VIEWER})
    late = tokens.metadata("late")
    wait_until(lambda: code(served, late) == "OK")
    tokens.revoke("late")
    wait_until(lambda: code(served, late) == "UNAUTHENTICATED")


def test_a_broken_file_leaves_the_last_good_one_in_force(
    start_server: Callable[..., ServedHere], tokens: TokensFile, caplog: pytest.LogCaptureFixture
) -> None:
    served = start_server(tokens=tokens.path)
    tokens.path.write_text("{")
    viewer = tokens.metadata("viewer")

    def is_noticed() -> bool:
        assert code(served, viewer) == "OK"
        return "stays in force" in caplog.text

    wait_until(is_noticed)
    assert code(served, []) == "UNAUTHENTICATED"


def test_an_expired_token_proves_nothing(start_server: Callable[..., ServedHere], tokens: TokensFile) -> None:
    tokens.add("past", {Role.VIEWER}, expire_time=datetime.now(UTC) - timedelta(seconds=1))
    served = start_server(tokens=tokens.path)
    assert code(served, tokens.metadata("past")) == "UNAUTHENTICATED"
    assert code(served, tokens.metadata("viewer")) == "OK"


def test_no_secret_is_in_the_file(tokens: TokensFile) -> None:
    text = tokens.path.read_text()
    assert json.loads(text)["credentials"]
    for token in tokens.tokens.values():
        assert token not in text
        assert token.removeprefix("covey_") not in text
