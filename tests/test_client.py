"""The client against real gRPC servers on loopback: retries, request ids, errors, streams that drop, TLS."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from covey.client import CallFailed, Client, Retry, Security, rollout_name
from covey.client.channel import is_loopback
from covey.v1 import analyzer_pb2, journal_pb2, outcomes_pb2, outcomes_pb2_grpc, rollout_spec_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.analyzer_pb2_grpc import AnalyzerServiceServicer, add_AnalyzerServiceServicer_to_server
from covey.v1.rollouts_pb2_grpc import RolloutServiceServicer, add_RolloutServiceServicer_to_server

Running = pb.Rollout.STATE_RUNNING
Succeeded = pb.Rollout.STATE_SUCCEEDED


def quick(**changes: Any) -> Retry:
    """Backoff of a millisecond."""
    return Retry(first_delay_seconds=0.001, longest_delay_seconds=0.002, **changes)


def details(*messages: Any, code: grpc.StatusCode, message: str) -> Any:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in messages:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)


class Service(RolloutServiceServicer, AnalyzerServiceServicer, outcomes_pb2_grpc.OutcomeServiceServicer):
    """Remembers what it was asked; fails as told."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.failures: list[Callable[[grpc.ServicerContext], None]] = []
        self.streams: list[list[pb.WatchRolloutResponse | grpc.StatusCode]] = []

    def _note(self, request: Any, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.failures:
            self.failures.pop(0)(context)

    def GetRollout(self, request: Any, context: Any) -> pb.Rollout:  # noqa: N802
        self._note(request, context)
        return pb.Rollout(name=request.name, state=Running)

    def ListRollouts(self, request: Any, context: Any) -> pb.ListRolloutsResponse:  # noqa: N802
        self._note(request, context)
        first = int(request.page_token or 0)
        rollouts = [pb.Rollout(name=f"rollouts/r{number}") for number in range(first, first + 2)]
        return pb.ListRolloutsResponse(rollouts=rollouts, next_page_token=str(first + 2) if first < 4 else "")

    def AbortRollout(self, request: Any, context: Any) -> pb.AbortRolloutResponse:  # noqa: N802
        self._note(request, context)
        return pb.AbortRolloutResponse(rollout=pb.Rollout(name=request.name, state=pb.Rollout.STATE_ROLLING_BACK))

    def PostponeRollout(self, request: Any, context: Any) -> pb.PostponeRolloutResponse:  # noqa: N802
        self._note(request, context)
        return pb.PostponeRolloutResponse(rollout=pb.Rollout(name=request.name))

    def WatchRollout(self, request: Any, context: Any) -> Iterator[pb.WatchRolloutResponse]:  # noqa: N802
        self._note(request, context)
        for step in self.streams.pop(0):
            if isinstance(step, grpc.StatusCode):
                context.abort(step, "the stream broke")
            else:
                yield step

    def GetServerInfo(self, request: Any, context: Any) -> analyzer_pb2.GetServerInfoResponse:  # noqa: N802
        self._note(request, context)
        return analyzer_pb2.GetServerInfoResponse(version="9")

    def AnalyzeLearners(self, requests: Any, context: Any) -> Iterator[analyzer_pb2.AnalyzeLearnersResponse]:  # noqa: N802
        for message in requests:
            if not message.requests:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "requests: empty")
            yield analyzer_pb2.AnalyzeLearnersResponse(results=[analyzer_pb2.AnalyzeLearnerResult()])

    def ReportOutcomes(self, request: Any, context: Any) -> outcomes_pb2.ReportOutcomesResponse:  # noqa: N802
        self._note(request, context)
        return outcomes_pb2.ReportOutcomesResponse(stored_count=len(request.outcomes))


def serve(service: Service, credentials: grpc.ServerCredentials | None = None) -> tuple[grpc.Server, int]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    add_RolloutServiceServicer_to_server(service, server)
    add_AnalyzerServiceServicer_to_server(service, server)
    outcomes_pb2_grpc.add_OutcomeServiceServicer_to_server(service, server)
    port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    return server, port


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    server, port = serve(service)
    address = f"127.0.0.1:{port}"
    with Client(control=address, data=address, actor="ada", retry=quick()) as client:
        yield client
    server.stop(None).wait()


def fails(code: grpc.StatusCode, message: str = "as told") -> Callable[[grpc.ServicerContext], None]:
    return lambda context: context.abort(code, message)


def test_a_retry_repeats_the_request_id_and_a_second_call_has_another(service: Service, client: Client) -> None:
    service.failures = [fails(grpc.StatusCode.UNAVAILABLE)] * 2
    assert client.abort_rollout("x", reason="it burns").state == pb.Rollout.STATE_ROLLING_BACK
    client.abort_rollout("rollouts/x", reason="again")
    ids = [request.request_id for request in service.requests]
    assert len(ids) == 4
    assert ids[0]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert {request.name for request in service.requests} == {"rollouts/x"}


def test_the_caller_may_choose_the_request_id(service: Service, client: Client) -> None:
    client.abort_rollout("x", reason="r", request_id="mine")
    assert service.requests[0].request_id == "mine"


def test_the_actor_travels_with_every_call(service: Service, client: Client) -> None:
    client.get_rollout("x")
    client.get_server_info()
    assert [metadata["covey-actor"] for metadata in service.metadata] == ["ada", "ada"]
    client_of_zoe = Client(control=client.control, actor="Zoë")
    with client_of_zoe:
        client_of_zoe.get_rollout("x")
    assert service.metadata[-1]["covey-actor"] == "Zo%C3%AB"


def test_other_failures_are_not_tried_again(service: Service, client: Client) -> None:
    service.failures = [fails(grpc.StatusCode.FAILED_PRECONDITION, "not while it is DRAFT")]
    with pytest.raises(CallFailed, match="not while it is DRAFT") as raised:
        client.abort_rollout("x", reason="r")
    assert len(service.requests) == 1
    assert not raised.value.is_unreachable
    assert "covey rollout status" in raised.value.remedy


def test_details_become_words(service: Service, client: Client) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="reason", description="is empty")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    status = details(
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.ErrorInfo(reason="INVALID_FIELD", domain="covey", metadata={"remedy": "give one"}),
        retry,
        code=grpc.StatusCode.INVALID_ARGUMENT,
        message="the request is wrong",
    )
    service.failures = [lambda context: context.abort_with_status(status)]
    with pytest.raises(CallFailed) as raised:
        client.get_rollout("x")
    failure = raised.value
    assert failure.details.violations == (("reason", "is empty"),)
    assert failure.details.reason == "INVALID_FIELD"
    assert failure.details.retry_after_seconds == 1.5
    assert str(failure) == (
        "INVALID_ARGUMENT: the request is wrong\n  reason: is empty\nwhat to do: try again in 1.5 s; give one"
    )


def test_a_server_that_is_away_is_tried_until_the_deadline() -> None:
    now, waits = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    retry = Retry(monotonic=lambda: now[0], sleep=sleep, uniform=lambda: 1.0)
    with (
        Client(control="127.0.0.1:1", timeout_seconds=3, retry=retry) as client,
        pytest.raises(CallFailed, match=r"no covey server answers at 127\.0\.0\.1:1") as raised,
    ):
        client.get_rollout("x")
    assert raised.value.is_unreachable
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert "covey serve" in raised.value.remedy


def test_a_server_that_gives_a_reason_is_reachable(service: Service, client: Client) -> None:
    status = details(
        error_details_pb2.ErrorInfo(reason="STORE_UNAVAILABLE", domain="covey"),
        code=grpc.StatusCode.UNAVAILABLE,
        message="the disk is full",
    )
    service.failures = [lambda context: context.abort_with_status(status)] * 80_000
    with (
        Client(control=client.control, timeout_seconds=2.0, retry=quick()) as hasty,
        pytest.raises(CallFailed, match="the disk is full") as raised,
    ):
        hasty.get_rollout("x")
    assert not raised.value.is_unreachable
    assert len(service.requests) > 1


def test_the_server_may_ask_for_a_longer_wait() -> None:
    retry = Retry(uniform=lambda: 0.0)
    assert retry.delay_seconds(0, None) == 0.05
    assert retry.delay_seconds(0, 2.5) == 2.5
    assert retry.delay_seconds(60, None) == 0.5


def test_a_call_ends_at_its_deadline(service: Service, client: Client) -> None:
    release = threading.Event()
    service.failures = [lambda context: release.wait(10) and None]
    with Client(control=client.control, timeout_seconds=0.2) as hasty:
        with pytest.raises(CallFailed, match=r"no answer within 0\.2 s") as raised:
            hasty.get_rollout("x")
        release.set()
    assert raised.value.is_unreachable
    assert "--timeout" in raised.value.remedy


def test_lists_go_through_their_pages(client: Client) -> None:
    assert [rollout.name for rollout in client.list_rollouts()] == [f"rollouts/r{number}" for number in range(6)]


def message(sequence: int, state: pb.Rollout.State.ValueType = Running, entries: int = 0) -> pb.WatchRolloutResponse:
    return pb.WatchRolloutResponse(
        rollout=pb.Rollout(last_sequence=sequence, state=state),
        entries=[journal_pb2.Entry(sequence=sequence - entries + 1 + index) for index in range(entries)],
    )


def test_a_watch_goes_on_after_the_last_sequence(service: Service, client: Client) -> None:
    service.streams = [
        [message(3), message(4, entries=1), grpc.StatusCode.UNAVAILABLE],
        [grpc.StatusCode.UNAVAILABLE],
        [message(4), message(6, entries=2), grpc.StatusCode.CANCELLED],
        [message(6)],  # the server drained: a clean end before the rollout's
        [message(7, Succeeded, entries=1)],
    ]
    dropped = list[CallFailed]()
    seen = list(client.watch_rollout("x", on_dropped=dropped.append))
    assert [answer.rollout.last_sequence for answer in seen] == [3, 4, 6, 7]
    assert [request.after_sequence for request in service.requests] == [0, 4, 4, 6, 6]
    assert len(dropped) == 3


def test_a_long_past_comes_in_parts(service: Service, client: Client) -> None:
    part = message(9, Succeeded)
    part.entries.add(sequence=5)
    service.streams = [[part, grpc.StatusCode.UNAVAILABLE], [message(9, Succeeded, entries=4)]]
    seen = list(client.watch_rollout("x", after_sequence=4))
    assert [entry.sequence for answer in seen for entry in answer.entries] == [5, 6, 7, 8, 9]
    assert [request.after_sequence for request in service.requests] == [4, 5]


def test_a_watch_gives_up_when_the_server_stays_away(service: Service, client: Client) -> None:
    service.streams = [[message(1), grpc.StatusCode.UNAVAILABLE]] + [[grpc.StatusCode.UNAVAILABLE]] * 2000
    with pytest.raises(CallFailed) as raised:
        list(client.watch_rollout("x", give_up_seconds=0.05))
    assert raised.value.is_unreachable


def test_a_watch_may_end_before_the_rollout(service: Service, client: Client) -> None:
    service.streams = [[message(1)]] * 80_000
    assert [answer.rollout.last_sequence for answer in client.watch_rollout("x", stop_after_seconds=2.0)] == [1]


def test_a_watch_ends_at_once_on_a_refusal(service: Service, client: Client) -> None:
    service.streams = [[grpc.StatusCode.NOT_FOUND]]
    with pytest.raises(CallFailed, match="NOT_FOUND"):
        list(client.watch_rollout("x"))


def test_streams_of_learners_are_answered_and_fail_with_words(client: Client) -> None:
    good = analyzer_pb2.AnalyzeLearnersRequest(requests=[analyzer_pb2.AnalyzeLearnerRequest(learner_id="1")])
    assert len(list(client.analyze_learners([good, good]))) == 2
    with pytest.raises(CallFailed, match="requests: empty"):
        list(client.analyze_learners([good, analyzer_pb2.AnalyzeLearnersRequest()]))


def test_outcomes_are_reported(service: Service, client: Client) -> None:
    outcome = outcomes_pb2.Outcome(learner_id="1", metric="revenue", value=1)
    assert client.report_outcomes([outcome, outcome]).stored_count == 2
    assert service.requests[0].request_id


def test_an_unimplemented_method_says_so(client: Client) -> None:
    with pytest.raises(CallFailed, match="--control") as raised:
        client.create_rollout("x", rollout_spec_pb2.RolloutSpec())
    assert raised.value.code is grpc.StatusCode.UNIMPLEMENTED


def test_an_instant_needs_a_time_zone(client: Client) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        client.postpone_rollout("x", "canary", datetime(2026, 1, 1), reason="r")


@pytest.mark.parametrize("name", ["", "rollouts/", "jobs/x", "rollouts/a/b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected rollouts/x"):
        rollout_name(name)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/run/covey", True),
        ("10.0.0.1:1", False),
        ("covey.example:1", False),
        ("0.0.0.0:1", False),
    ],
)
def test_plaintext_is_the_default_on_loopback_only(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
    assert Security().uses_tls(address) is not loopback
    assert Security(plaintext=True).uses_tls(address) is False
    assert Security(servername="covey").uses_tls(address) is True


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Security(cert=Path("c.pem")), "--cert goes with --key"),
        (lambda: Security(key=Path("k.pem")), "--key goes with --cert"),
        (lambda: Security(plaintext=True, servername="x"), "plaintext goes with no certificate"),
        (lambda: Client(timeout_seconds=0), "more than 0"),
        (lambda: Client(control="nowhere").get_rollout("x"), "has no port"),
        (lambda: Client(security=Security(cacert=Path("none.pem"))).get_rollout("x"), "--cacert none.pem: No such"),
    ],
)
def test_wrong_connections_are_explained(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_mutual_tls(tmp_path: Path, service: Service) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=covey.test", "-addext", "subjectAltName=DNS:covey.test"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())], cert.read_bytes(), True)
    server, port = serve(service, credentials)
    address = f"127.0.0.1:{port}"
    security = Security(cacert=cert, cert=cert, key=key, servername="covey.test")
    with Client(control=address, security=security) as client:
        assert client.get_rollout("x").name == "rollouts/x"
    with Client(control=address, timeout_seconds=0.3) as plain, pytest.raises(CallFailed):
        plain.get_rollout("x")
    server.stop(None).wait()


def test_the_client_is_cheap_to_import() -> None:
    heavy = "{'numpy', 'pyarrow', 'scipy', 'matplotlib', 'sqlalchemy', 'rich', 'yaml', 'jinja2'}"
    code = f"import sys, covey.client; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.strip() == "[]"


def test_a_refusal_with_a_time_to_come_back_is_tried_again(service: Service, client: Client) -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(5)
    status = details(retry, code=grpc.StatusCode.RESOURCE_EXHAUSTED, message="busy")
    service.failures = [lambda context: context.abort_with_status(status)] * 2
    assert client.get_rollout("x").name == "rollouts/x"
    assert len(service.requests) == 3
    service.failures = [fails(grpc.StatusCode.CANCELLED)]
    client.get_rollout("x")
    service.failures = [fails(grpc.StatusCode.RESOURCE_EXHAUSTED)]
    with pytest.raises(CallFailed):
        client.get_rollout("x")
    assert len(service.requests) == 6
