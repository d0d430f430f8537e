"""Every method as every role, over real ports; a method without a rule is nobody's."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from covey.access.principals import READERS, Role, unproven
from covey_server.access.gate import Gate
from covey_server.access.matrix import markdown
from covey_server.access.rules import ALLOWED_ROLES
from covey_server.errors import CallError

from ..rollout_rooms import Refusal
from ..running import ServedHere, question
from .known import METHODS, ON_CONTROL_PORT, TokensFile

Metadata = list[tuple[str, str]]


@pytest.fixture
def tokens(tmp_path: Path) -> TokensFile:
    return TokensFile(tmp_path / "tokens.json")


@pytest.fixture
def served(start_server: Callable[..., ServedHere], tokens: TokensFile) -> ServedHere:
    return start_server(tokens=tokens.path)


def call(served: ServedHere, method: str, metadata: Metadata) -> Refusal | None:
    """How an empty request ends: None where it succeeds."""
    descriptor = METHODS[method]
    channel = served.control_channel if method.startswith(ON_CONTROL_PORT, 1) else served.data_channel
    kind = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[descriptor.client_streaming, descriptor.server_streaming]
    request_type, response_type = (
        message_factory.GetMessageClass(message) for message in (descriptor.input_type, descriptor.output_type)
    )
    ask = kind(method, request_type.SerializeToString, response_type.FromString)
    request: Any = iter([request_type()]) if descriptor.client_streaming else request_type()
    try:
        answer = ask(request, timeout=20, metadata=metadata)
        if descriptor.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return Refusal(error)
    return None


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    assert {name for name in ALLOWED_ROLES if name.startswith("/covey.")} == METHODS.keys()
    assert all(ALLOWED_ROLES.values())


def test_every_method_as_every_role(served: ServedHere, tokens: TokensFile) -> None:
    wrong = []
    for method in METHODS:
        for role in Role:
            refusal = call(served, method, tokens.metadata(role.value))
            refused = refusal is not None and refusal.reason == "ROLE_MISSING"
            if refused != (role not in ALLOWED_ROLES[method]):
                wrong.append((method, role, refusal and (refusal.code, refusal.message)))
            if refusal is not None and refused:
                assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
                assert method.rpartition("/")[2] in refusal.message
    assert not wrong


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([], "CREDENTIALS_MISSING"),
        ([("authorization", "Bearer covey_nobody")], "TOKEN_REFUSED"),
        ([("authorization", "Basic b3BlcmF0b3I6")], "TOKEN_REFUSED"),
        ([("authorization", "Bearer")], "TOKEN_REFUSED"),
        ([("covey-actor", "admin")], "CREDENTIALS_MISSING"),
    ],
)
def test_strangers_may_call_nothing(served: ServedHere, metadata: Metadata, reason: str) -> None:
    for method in METHODS:
        refusal = call(served, method, metadata)
        assert refusal is not None
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason), method


def test_strangers_learn_that_the_server_serves_and_nothing_else(served: ServedHere, tokens: TokensFile) -> None:
    def services(metadata: Metadata) -> Iterator[Any]:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        return iter(stub.ServerReflectionInfo(iter([request]), timeout=10, metadata=metadata))

    for channel in (served.data_channel, served.control_channel):
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            next(services([]))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert next(services(tokens.metadata("viewer"))).list_services_response.service


def test_refused_calls_are_no_evidence(served: ServedHere, tokens: TokensFile) -> None:
    call(served, "/covey.v1.AnalyzerService/AnalyzeLearner", [])
    call(served, "/covey.v1.AnalyzerService/AnalyzeLearner", tokens.metadata("viewer"))
    assert served.room.book.snapshot().requests == {}


def test_a_method_without_a_rule_is_nobodys() -> None:
    gate = Gate(None, lambda: None, {})  # type: ignore[arg-type, return-value]
    with pytest.raises(CallError) as refused:
        gate.admit("/covey.v1.AnalyzerService/GetServerInfo", [("covey-actor", "ada")], dict)
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert "no access rule" in refused.value.message


def test_only_controllers_probe(served: ServedHere, tokens: TokensFile) -> None:
    request = question("1")
    probe = [("covey-probe-variant", "variants/native")]
    answer = served.analyzer.AnalyzeLearner(request, timeout=20, metadata=[*probe, *tokens.metadata("controller")])
    assert answer.variant == "variants/native"
    for name, extra in (("ingest", probe), ("controller", [])):
        with pytest.raises(grpc.RpcError) as refused:
            served.analyzer.AnalyzeLearner(request, timeout=20, metadata=[*extra, *tokens.metadata(name)])
        assert Refusal(refused.value).reason == "PROBE_REFUSED"


def test_the_page_about_access_has_the_table_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "access.md").read_text()
    assert markdown() in page, "print the table with `python -m covey_server.access.matrix`"
    for role in Role:
        assert f"`{role}`" in page


def test_unproven_callers_have_every_role_and_no_proof() -> None:
    principal = unproven("ada")
    assert principal.has_any(READERS)
    assert principal.may_sign_for("finance")
    assert not principal.is_authenticated


def test_the_metrics_page_is_for_those_who_may_read_it(served: ServedHere, tokens: TokensFile) -> None:
    def status(path: str, token: str = "") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{served.metrics_port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    for role in Role:
        assert status("/metrics", tokens.tokens[role.value]) == (200 if role in READERS else 403)
    assert status("/metrics") == 401
    assert status("/metrics", "covey_nobody") == 401
    assert status("/elsewhere") == 401
    assert status("/healthz") == 200
