"""Load and time: every request is counted once, whatever becomes of it, and nobody waits in vain."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from waiting import wait_until

from covey.v1 import analyzer_pb2
from covey_server.answering.admission import RETRY_AFTER_SECONDS, overloaded
from covey_server.answering.faults import FaultPlan
from covey_server.metrics.counters import NO_VARIANT

from .running import NATIVE, REFERENCE, ServedHere, history, question

EVERYBODY = 10_000
SHED = "RESOURCE_EXHAUSTED"


def code_of(server: ServedHere, learner_id: str, timeout: float = 30.0) -> str:
    """The code of a call as its caller sees it."""
    try:
        server.analyzer.AnalyzeLearner(question(learner_id), timeout=timeout)
    except grpc.RpcError as error:
        name: str = error.code().name
        return name
    return "OK"


def counted(server: ServedHere, **labels: str) -> Counter[str]:
    """Requests by code, as the metrics page has them."""
    found: Counter[str] = Counter()
    for other_labels, value in server.samples("covey_requests_total", **labels).items():
        if value:
            found[dict(other_labels)["code"]] += int(value)
    return found


def retry_milliseconds(error: Any) -> int:
    """After which time an error says that a retry makes sense."""
    status = rpc_status.from_call(error)
    assert status is not None
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    return int(retry.retry_delay.ToMilliseconds())


def test_concurrent_calls_of_every_kind_sum_to_their_number(server: ServedHere) -> None:
    server.split(5_000)
    packed = history()
    good = [analyzer_pb2.AnalyzeLearnerRequest(learner_id=str(number), packed=packed) for number in range(200)]
    bad = [analyzer_pb2.AnalyzeLearnerRequest(learner_id=str(number)) for number in range(100)]

    def ask(request: analyzer_pb2.AnalyzeLearnerRequest) -> str:
        try:
            server.analyzer.AnalyzeLearner(request, timeout=30)
        except grpc.RpcError as error:
            name: str = error.code().name
            return name
        return "OK"

    with ThreadPoolExecutor(12) as callers:
        seen = Counter(callers.map(ask, [*good, *bad]))
    assert seen == {"OK": 200, "INVALID_ARGUMENT": 100}
    assert counted(server) == seen
    assert server.count("covey_request_duration_seconds_count") == 300
    assert server.count("covey_shard_requests_total") == 300
    assert server.count(variant=NATIVE) + server.count(variant=REFERENCE) == 300


def test_overload_is_refused_at_once_with_a_time_to_come_back(start_server: Callable[..., ServedHere]) -> None:
    slow = FaultPlan(delay_seconds=0.3, delay_share=1.0)
    server = start_server(threads=2, queue_limit=2, fault_plan=slow, faults_enabled=True)
    server.split(EVERYBODY)
    with ThreadPoolExecutor(24) as callers:
        seen = Counter(callers.map(lambda number: code_of(server, str(number)), range(24)))
    assert seen["RESOURCE_EXHAUSTED"] > 0
    assert seen["OK"] > 0
    assert set(seen) == {"OK", "RESOURCE_EXHAUSTED"}
    assert counted(server) == seen
    assert server.count("covey_request_duration_seconds_count") == seen["OK"]
    assert server.count("covey_shard_requests_total", result="shed") == seen["RESOURCE_EXHAUSTED"]


def test_a_refusal_says_when_to_come_back(start_server: Callable[..., ServedHere]) -> None:
    hangs = FaultPlan(hangs=True)
    server = start_server(threads=1, queue_limit=1, fault_plan=hangs, faults_enabled=True, call_deadline_seconds=3.0)
    server.split(EVERYBODY)
    with ThreadPoolExecutor(8) as callers:
        calls = [
            callers.submit(server.analyzer.AnalyzeLearner, question(str(number)), timeout=30) for number in range(8)
        ]
        errors = [call.exception() for call in calls]
    refused = [error for error in errors if isinstance(error, grpc.RpcError) and "waiting" in (error.details() or "")]
    assert refused
    assert retry_milliseconds(refused[0]) > 0


def test_most_of_a_storm_is_refused_unread(start_server: Callable[..., ServedHere]) -> None:
    hangs = FaultPlan(hangs=True)
    server = start_server(threads=1, queue_limit=1, fault_plan=hangs, faults_enabled=True, call_deadline_seconds=5.0)
    server.split(EVERYBODY)
    calls = [server.analyzer.AnalyzeLearner.future(question(str(number)), timeout=30) for number in range(250)]
    # Of every kind of method, and nobody waits for their messages.
    never: SimpleQueue[Any] = SimpleQueue()
    streams = [
        server.analyzer.AnalyzeLearners(iter(never.get, None), timeout=30),
        server.analyzer.AppendEvents(iter(never.get, None), timeout=30),
    ]
    errors = [error for call in (*calls, *streams) if isinstance(error := call.exception(), grpc.RpcError)]
    never.put(None)
    never.put(None)
    refused = [error for error in errors if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert {error.details() for error in refused} == {overloaded().message}
    for error in (refused[0], refused[-1], *streams):
        assert retry_milliseconds(error) == 1000 * RETRY_AFTER_SECONDS
    read, unread = (server.count(code=SHED, variant=variant) for variant in (NATIVE, NO_VARIANT))
    # How many are read also depends on how fast the thread is that reads them.
    assert read > 0 and unread > 0, "what was read counts against who would have answered"
    assert read + unread == server.count(code=SHED) == len(refused) - 1, "of appends there is no count"
    assert server.count("covey_shard_requests_total", result="shed") == read


def test_health_answers_while_every_thread_is_busy(start_server: Callable[..., ServedHere]) -> None:
    server = start_server(
        threads=1, queue_limit=4, fault_plan=FaultPlan(hangs=True), faults_enabled=True, call_deadline_seconds=60.0
    )
    server.split(EVERYBODY)
    pending = [server.analyzer.AnalyzeLearner.future(question(str(number)), timeout=30) for number in range(3)]
    health = health_pb2_grpc.HealthStub(server.data_channel)
    assert health.Check(health_pb2.HealthCheckRequest(), timeout=15).status == health_pb2.HealthCheckResponse.SERVING
    assert server.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=15).faults_enabled
    assert not any(call.done() for call in pending)
    for call in pending:
        call.cancel()


def test_a_candidate_that_hangs_times_out_and_leaves_the_baseline_alone(
    start_server: Callable[..., ServedHere],
) -> None:
    server = start_server(threads=4, fault_plan=FaultPlan(hangs=True), faults_enabled=True, call_deadline_seconds=0.3)
    server.split(5_000)
    seen: Counter[tuple[str, str]] = Counter()
    for number in range(40):
        learner = f"learner-{number}"
        started = time.monotonic()
        try:
            variant = server.analyzer.AnalyzeLearner(question(learner), timeout=30).variant
            seen[variant, "OK"] += 1
        except grpc.RpcError as error:
            seen[NATIVE, error.code().name] += 1
            assert time.monotonic() - started < 20.0
    assert set(seen) == {(REFERENCE, "OK"), (NATIVE, "DEADLINE_EXCEEDED"), (NATIVE, "UNAVAILABLE")}
    # Half of the threads may hang; every later call is refused without waiting.
    assert seen[NATIVE, "DEADLINE_EXCEEDED"] == 2
    for (variant, code), count in seen.items():
        assert counted(server, variant=variant)[code] == count
    assert server.samples("covey_requests_over_limit_total", variant=NATIVE, method="AnalyzeLearner") == {
        (("limit_seconds", "0.2"),): 2
    }
    # A probe of it is not answered either.
    with pytest.raises(grpc.RpcError) as unanswered:
        server.analyzer.AnalyzeLearner(question("p"), metadata=[("covey-probe-variant", NATIVE)], timeout=10)
    assert unanswered.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_caller_that_goes_away_is_counted_as_cancelled(start_server: Callable[..., ServedHere]) -> None:
    slow = FaultPlan(delay_seconds=1.5, delay_share=1.0)
    server = start_server(fault_plan=slow, faults_enabled=True)
    server.split(EVERYBODY)
    call = server.analyzer.AnalyzeLearner.future(question("1"), timeout=30)
    threading.Timer(0.4, call.cancel).start()
    with pytest.raises(grpc.FutureCancelledError):
        call.result()
    wait_until(lambda: server.count() == 1)
    assert counted(server, variant=NATIVE) == {"CANCELLED": 1}


def test_a_callers_own_deadline_is_counted_as_exceeded(start_server: Callable[..., ServedHere]) -> None:
    slow = FaultPlan(delay_seconds=1.5, delay_share=1.0)
    server = start_server(fault_plan=slow, faults_enabled=True)
    server.split(EVERYBODY)
    assert code_of(server, "1", timeout=0.8) == "DEADLINE_EXCEEDED"
    wait_until(lambda: server.count() == 1)
    assert counted(server, variant=NATIVE) == {"DEADLINE_EXCEEDED": 1}


def test_calls_that_expire_in_the_queue_are_shed_and_counted(start_server: Callable[..., ServedHere]) -> None:
    slow = FaultPlan(delay_seconds=1.5, delay_share=1.0)
    server = start_server(threads=1, queue_limit=8, fault_plan=slow, faults_enabled=True)
    server.split(EVERYBODY)
    first = server.analyzer.AnalyzeLearner.future(question("first"), timeout=30)
    wait_until(lambda: any(thread.name.startswith("engine-") for thread in threading.enumerate()))
    with ThreadPoolExecutor(3) as callers:
        seen = list(callers.map(lambda number: code_of(server, str(number), timeout=0.8), range(3)))
    assert seen == ["DEADLINE_EXCEEDED"] * 3
    assert first.result().variant == NATIVE
    wait_until(lambda: server.count() == 4)
    assert counted(server, variant=NATIVE) == {"OK": 1}
    assert counted(server, variant="none") == {"RESOURCE_EXHAUSTED": 3}


def test_injected_errors_and_wrong_results_are_seen_by_metrics_and_shadow(
    start_server: Callable[..., ServedHere],
) -> None:
    plan = FaultPlan(error_share=0.2, wrong_share=0.5)
    server = start_server(fault_plan=plan, faults_enabled=True, fault_seed=1)
    server.split(EVERYBODY, shadow_share=1.0)
    seen = Counter(code_of(server, str(number)) for number in range(100))
    assert 5 <= seen["INTERNAL"] <= 40
    assert counted(server, variant=NATIVE) == seen
    wait_until(lambda: server.count("covey_shadow_total") == seen["OK"])
    # The baseline is honest, so what the shadow finds different is what the candidate got wrong.
    different = server.count("covey_shadow_total", result="different")
    assert 0.3 * seen["OK"] < different < 0.7 * seen["OK"]
    assert server.count("covey_shadow_total", result="failed") == 0
