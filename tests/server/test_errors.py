"""What callers see of errors: codes and details, and never more."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status as grpc_rpc_status

from covey.access.principals import EVERY_ROLE
from covey_server import errors, logs
from covey_server.access.gate import Gate
from covey_server.access.limits import RateLimits
from covey_server.answering.admission import StreamPlaces
from covey_server.answering.budget import MemoryBudget
from covey_server.answering.refusals import Turn
from covey_server.errors import CallError, invalid, not_found, rpc_status
from covey_server.ports.interceptors import CallInterceptor

Ping = health_pb2.HealthCheckRequest


def fail(request: Any, context: grpc.ServicerContext) -> Any:
    """A method that fails the way it is asked to."""
    if request.service == "internal":
        raise ZeroDivisionError("secret detail")
    if request.service == "refused":
        raise CallError(grpc.StatusCode.NOT_FOUND, "nothing here", reason="NOTHING", retry_after_seconds=1.5)
    if request.service == "aborted":
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "by the method itself")
    return request


def fail_midway(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    yield request
    fail(request, context)


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    rules = {f"/test.Failing/{kind}": EVERY_ROLE for kind in ("Unary", "Stream")}
    gate = Gate(None, lambda: datetime.now(UTC), rules)
    interceptor = CallInterceptor(
        *(gate, RateLimits(None), MemoryBudget(1 << 20), StreamPlaces(2), frozenset()),
        lambda arrival: None,
        lambda now: Turn.SERVED,
    )
    codec = {"request_deserializer": Ping.FromString, "response_serializer": Ping.SerializeToString}
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(fail, **codec),  # type: ignore[arg-type]
        "Stream": grpc.unary_stream_rpc_method_handler(fail_midway, **codec),  # type: ignore[arg-type]
    }
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, interceptors=[interceptor])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Failing", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield opened
        server.stop(None).wait(10)
        interceptor.shutdown()


def call(channel: grpc.Channel, kind: str, service: str, request_id: str = "id-1") -> grpc.RpcError:
    make = channel.unary_unary if kind == "Unary" else channel.unary_stream
    method = make(f"/test.Failing/{kind}", Ping.SerializeToString, Ping.FromString)
    metadata = [("covey-request-id", request_id)] if request_id else []
    with pytest.raises(grpc.RpcError) as caught:
        answer = method(Ping(service=service), timeout=10, metadata=metadata)
        list(answer)
    return caught.value


@pytest.mark.parametrize("kind", ["Unary", "Stream"])
def test_an_unexpected_error_tells_its_request_id_and_nothing_else(
    channel: grpc.Channel, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = call(channel, kind, "internal")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error, request id id-1"
    assert "secret" not in str(error.trailing_metadata())
    (record,) = [record for record in caplog.records if record.name == "covey_server.errors"]
    assert record.exc_info is not None
    assert record.__dict__["request_id"] == "id-1"


@pytest.mark.parametrize("kind", ["Unary", "Stream"])
def test_an_error_for_callers_carries_its_details(channel: grpc.Channel, kind: str) -> None:
    error = call(channel, kind, "refused")
    assert error.code() is grpc.StatusCode.NOT_FOUND
    status = grpc_rpc_status.from_call(error)
    assert status is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("NOTHING", "covey")
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500


@pytest.mark.parametrize("kind", ["Unary", "Stream"])
def test_a_status_that_the_method_set_itself_stays(channel: grpc.Channel, kind: str) -> None:
    error = call(channel, kind, "aborted")
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert error.details() == "by the method itself"


def test_a_call_without_an_id_gets_one(channel: grpc.Channel) -> None:
    error = call(channel, "Unary", "internal", request_id="")
    assert len((error.details() or "").rsplit(" ", 1)[1]) == 16


def test_every_call_is_a_line_in_the_log(channel: grpc.Channel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "covey_server.calls")
    call(channel, "Unary", "refused")
    method = channel.unary_unary("/test.Failing/Unary", Ping.SerializeToString, Ping.FromString)
    method(Ping(service="fine"), timeout=10, metadata=[("covey-actor", "ann")])
    noted = [record.__dict__ for record in caplog.records if record.name == "covey_server.calls"]
    assert [(note["code"], note["actor"]) for note in noted] == [("NOT_FOUND", "anonymous"), ("OK", "ann")]


def test_a_place_for_a_stream_comes_back_however_the_stream_ends(channel: grpc.Channel) -> None:
    for service in ("internal", "refused", "aborted") * 3:
        assert call(channel, "Stream", service).code() is not grpc.StatusCode.RESOURCE_EXHAUSTED


def test_field_errors_name_field_and_remedy() -> None:
    status = rpc_status(invalid("packed.time_us", "17 bytes is not a multiple of 8"))
    bad_request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad_request)
    assert bad_request.field_violations[0].field == "packed.time_us"
    assert status.message == "packed.time_us: 17 bytes is not a multiple of 8"
    assert "ListVariants" in rpc_status(not_found("variants/x", "ListVariants shows them")).message


def test_a_status_always_fits_into_trailers() -> None:
    violations = [(f"requests[{number}].packed.time_us", "x" * 10_000) for number in range(1024)]
    status = rpc_status(CallError(grpc.StatusCode.INVALID_ARGUMENT, "y" * 100_000, violations=violations))
    assert len(status.SerializeToString()) < 8 * 1024 * 0.75


def test_log_lines_are_json_with_the_request_id() -> None:
    stream = StringIO()
    handler = logs.configure("info", stream)
    token = errors.current_request_id.set("id-7")
    try:
        log = logging.getLogger("covey_server.test")
        log.info("counted %d", 3, extra={"variant": "variants/x"})
        log.debug("not at this level")
        try:
            raise ZeroDivisionError("why")
        except ZeroDivisionError:
            log.exception("failed")
    finally:
        errors.current_request_id.reset(token)
        logs.remove(handler)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "counted 3"
    assert (first["request_id"], first["variant"], first["level"]) == ("id-7", "variants/x", "info")
    assert "ZeroDivisionError: why" in second["traceback"]
