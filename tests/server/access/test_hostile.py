"""Messages nobody should send, for every method: each field in turn holds what it must not.

From the contract itself: a new field or method is covered without a line here. Whatever is sent, the answer is a typed
refusal or an honest success, never INTERNAL or UNKNOWN, and the server goes on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from covey.v1 import analyzer_pb2, datasets_pb2

from ..rollout_rooms import Refusal, plan
from ..running import ServedHere, history, question
from .known import METHODS, ON_CONTROL_PORT

NAN, INFINITY = math.nan, math.inf
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS", "ABORTED"}
TIME = "2026-03-01T00:00:00Z"
NAME = {"name": "rollouts/x"}
REASON = {"reason": "r"}
PHASE = {"phase": "canary"}
BASES: dict[str, dict[str, Any]] = {
    "CreateDataset": {"dataset_id": "new"},
    "GetDataset": {"name": "datasets/kept"},
    "DeleteDataset": {"name": "datasets/nothing"},
    "DiscoverCohorts": {"spec": {"dataset": "datasets/kept"}},
    "GetJob": {"name": "jobs/nothing"},
    "WatchJob": {"name": "jobs/nothing"},
    "CancelJob": {"name": "jobs/nothing"},
    "GetCohortModel": {"name": "cohortModels/nothing"},
    "DeleteCohortModel": {"name": "cohortModels/nothing"},
    "GetLearnerCohort": {"learner_id": "ada", "dataset": "datasets/kept", "as_of": TIME},
    "DeleteLearner": {"learner_id": "ada"},
    "CreateVariant": {
        "variant_id": "new",
        "variant": {
            "engine": "native",
            "trait_parameters": {
                "velocity_alpha": 0.3,
                "velocity_kappa": 3,
                "affinity_entropy_penalty": 0.3,
                "frequency_window_days": 28,
                "feedback_prior_acted": 1,
                "feedback_prior_ignored": 1,
                "retention_decay_per_day": 0.05,
                "day_start_seconds": 0,
            },
        },
    },
    "GetVariant": {"name": "variants/native"},
    "ReportOutcomes": {"outcomes": [{"learner_id": "ada", "metric": "revenue", "value": 1, "time": TIME}]},
    "GetRollout": NAME,
    "WatchRollout": NAME,
    "ListEntries": {"parent": "rollouts/x"},
    "ListRecords": {"parent": "rollouts/x"},
    "StartRollout": {**NAME, **REASON},
    "PauseRollout": {**NAME, **REASON},
    "ResumeRollout": {**NAME, **REASON},
    "PromoteRollout": {**NAME, **REASON},
    "PostponeRollout": {**NAME, **PHASE, **REASON, "not_before": "2100-01-01T00:00:00Z"},
    "AbortRollout": {"name": "rollouts/nothing", **REASON},
    "ApproveRollout": {**NAME, **PHASE, "role": "engineering", **REASON},
    "DenyRollout": {**NAME, **PHASE, "role": "engineering", **REASON},
    "RevokeApproval": {**NAME, **PHASE, "role": "engineering", **REASON},
    "ReportIncident": {**NAME, "incident_id": "i", "description": "d"},
    "ResolveIncident": {**NAME, "incident_id": "i", **REASON},
    "AcknowledgeRollout": {**NAME, **REASON},
    "PullNotifications": {"sink": "webhook", "target": "analyzer", "epoch": 1},
    "AdvanceNotifications": {**NAME, "sink": "webhook", "sequence": 1, "epoch": 1},
    "AcquireLease": {"target": "analyzer", "holder": "h", "time_to_live": "1s", "release": True},
    "CommitDecision": {**NAME, "epoch": 1, "entries": [{"tick": {"observed": "1s", "observed_at": TIME}}]},
}
"""A request of each method with a value in every field that a caller may set; a method without
a line is held to the codes of refusals only, as its other fields are missing too."""


OPENING = datasets_pb2.AppendEventsRequest(dataset="datasets/kept", append_id="new")


def base(method: str) -> Message:
    """A request that means something, for one field at a time to be spoilt."""
    name = method.rpartition("/")[2]
    if name == "AnalyzeLearner":
        return question("ada", segment="north")
    if name == "AppendEvents":
        packed = history()
        packed.learner_id_int64 = b"\x01" + bytes(8 * packed.event_count - 1)
        return datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed)
    if name == "AnalyzeLearners":
        return analyzer_pb2.AnalyzeLearnersRequest(requests=[question("ada"), rows("ben")])
    request: Message = message_factory.GetMessageClass(METHODS[method].input_type)()
    ParseDict(BASES.get(name, {}), request)
    if name == "CreateRollout":
        request.rollout_id = "new"  # type: ignore[attr-defined]
        request.spec.CopyFrom(plan())  # type: ignore[attr-defined]
    return request


def rows(learner_id: str) -> analyzer_pb2.AnalyzeLearnerRequest:
    asked = analyzer_pb2.AnalyzeLearnerRequest(learner_id=learner_id)
    ParseDict({"rows": [{"time": TIME, "domain": "d", "capability": "c", "weight": 1.5}]}, asked.rows)
    return asked


def hostile_values(field: FieldDescriptor, value: Any) -> list[Any]:
    """What a field of this type may hold and must not."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING and field.type == FieldDescriptor.TYPE_BYTES:
        return [b"", b"\xff", value + b"\x00", value[:-1], b"\xff" * 10_007]
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return ["", "x" * 10_000, "../../etc/passwd", "a\x00b", "\n", "ü" * 300, "'; drop table entries; --", "%s%n{0}"]
    if kind in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
        return [NAN, INFINITY, -INFINITY, -1.0, 1e308 if kind == FieldDescriptor.CPPTYPE_DOUBLE else 3e38, 5e-324]
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return [-1, 99, 2**31 - 1]
    if kind == FieldDescriptor.CPPTYPE_INT64:
        return [-1, 2**63 - 1, -(2**63)]
    if kind == FieldDescriptor.CPPTYPE_INT32:
        return [-1, 2**31 - 1, -(2**31)]
    return []


def spoilt(message: Message, path: str = "") -> Iterator[tuple[str, Any, Callable[[Message], None]]]:
    """Every way to spoil one field: its path, the value, and what puts it in."""
    for field in message.DESCRIPTOR.fields:
        here = f"{path}.{field.name}" if path else field.name
        if field.is_repeated:
            present = getattr(message, field.name)
            if field.message_type is not None and len(present) and not field.message_type.GetOptions().map_entry:
                yield from _within(spoilt(present[0], f"{here}[0]"), lambda m, f=field: getattr(m, f.name)[0])
            continue
        if field.message_type is not None:
            if message.HasField(field.name):
                yield here, "absent", lambda m, f=field: m.ClearField(f.name)
                yield from _within(spoilt(getattr(message, field.name), here), lambda m, f=field: getattr(m, f.name))
            continue
        for value in hostile_values(field, getattr(message, field.name)):
            yield here, value, lambda m, f=field, v=value: setattr(m, f.name, v)


def _within(
    found: Iterator[tuple[str, Any, Callable[[Message], None]]], step: Callable[[Message], Any]
) -> Iterator[tuple[str, Any, Callable[[Message], None]]]:
    for path, value, put in found:
        yield path, value, lambda m, p=put: p(step(m))


@pytest.fixture
def served(start_server: Callable[..., ServedHere]) -> ServedHere:
    """A server with a dataset and a rollout."""
    running = start_server()
    running.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="kept", request_id="1"), timeout=20)
    request = base("/covey.v1.RolloutService/CreateRollout")
    request.rollout_id, request.request_id = "x", "2"  # type: ignore[attr-defined]
    running.rollouts.CreateRollout(request, timeout=20)
    return running


def caller(served: ServedHere, method: str) -> Callable[[bytes], bytes | None]:
    """Sends bytes, whatever they are; the first answer comes back, or None where there is none."""
    descriptor = METHODS[method]
    channel = served.control_channel if method.startswith(ON_CONTROL_PORT, 1) else served.data_channel
    if descriptor.client_streaming:
        stream = channel.stream_stream(method)
        before = [OPENING.SerializeToString()] if method.endswith("/AppendEvents") else []

        def last(message: bytes) -> bytes | None:
            return list(stream(iter([*before, message]), timeout=20))[-1]

        return last
    if descriptor.server_streaming:
        watch = channel.unary_stream(method)

        def first(message: bytes) -> bytes | None:
            call = watch(message, timeout=20)
            answer = next(call, None)
            call.cancel()
            return answer

        return first
    return lambda message: channel.unary_unary(method)(message, timeout=20)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_one_spoilt_field_is_a_typed_refusal_or_an_honest_success(served: ServedHere, method: str) -> None:
    send, good = caller(served, method), base(method)
    is_known = good.ByteSize() > 0
    is_in_batch = method.endswith("/AnalyzeLearners")
    wrong: list[str] = []
    for number, (path, value, put) in enumerate(spoilt(good)):
        request = copy.deepcopy(good)
        put(request)
        if "request_id" in request.DESCRIPTOR.fields_by_name and path != "request_id":
            request.request_id = f"hostile-{number}"  # type: ignore[attr-defined]
        shown = f"{path} = {value!r:.60}"
        try:
            answer = send(request.SerializeToString())
        except grpc.RpcError as error:
            refusal = Refusal(error)
            if refusal.code.name not in REFUSALS:
                wrong.append(f"{shown}: {refusal.code.name} {refusal.message}")
            elif is_known and refusal.code is grpc.StatusCode.INVALID_ARGUMENT and not names(refusal, path):
                wrong.append(f"{shown}: refused without its name: {refusal.fields} {refusal.message[:200]}")
        else:
            if is_in_batch and answer is not None:
                results = analyzer_pb2.AnalyzeLearnersResponse.FromString(answer).results
                codes = {list(grpc.StatusCode)[result.status.code].name for result in results}
                wrong += [f"{shown}: {code}" for code in codes - REFUSALS - {"OK"}]
            # The place of an append is read from its opening only.
            is_unread = method.endswith("/AppendEvents") and path in {"dataset", "append_id"}
            if must_be_refused(value) and not is_in_batch and not is_unread:
                wrong.append(f"{shown}: was taken")
    assert not wrong, "\n".join(wrong)
    assert served.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=20).version


def names(refusal: Refusal, path: str) -> bool:
    """Whether a refusal names the field, or what it is a part of."""
    parts = [part.partition("[")[0] for part in path.split(".")]
    said = " ".join([*refusal.fields, refusal.message])
    return any(part in said for part in parts)


def must_be_refused(value: Any) -> bool:
    """What no field of the contract takes, whatever it means."""
    return (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, str) and len(value) >= 10_000)


def test_what_is_no_message_is_the_callers_mistake(served: ServedHere) -> None:
    """Broken wire format, text that is no UTF-8, a length beyond the end, field number zero."""
    wrong = []
    for method in sorted(METHODS):
        for message in (b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\xff\xff\xff\xff\x0f", bytes(50)):
            try:
                caller(served, method)(message)
            except grpc.RpcError as error:
                refusal = Refusal(error)
                if refusal.code.name not in REFUSALS:
                    wrong.append((method, message, refusal.code, refusal.message))
    assert not wrong
    assert served.room.book.snapshot().requests.keys() <= {("AnalyzeLearner", "none"), ("AnalyzeLearners", "none")}


def test_without_the_guard_the_caller_is_told_of_an_internal_error() -> None:
    """The twin: what the library makes of bytes that are no message."""
    from concurrent.futures import ThreadPoolExecutor

    handlers = {"Get": grpc.unary_unary_rpc_method_handler(lambda request, _: request, rows("x").FromString)}
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Bare", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as told:
        channel.unary_unary("/test.Bare/Get")(b"\xff\xff\xff", timeout=20)
    server.stop(None).wait(10)
    assert told.value.code() is grpc.StatusCode.INTERNAL
