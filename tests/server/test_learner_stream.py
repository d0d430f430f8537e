"""AnalyzeLearners against a real server: order, own statuses, limits of messages and streams."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc import error_details_pb2
from waiting import wait_until

from covey.v1 import analyzer_pb2

from .running import NATIVE, REFERENCE, ServedHere, question

Message = analyzer_pb2.AnalyzeLearnersRequest


def test_answers_come_in_order_each_with_its_own_status(server: ServedHere) -> None:
    bad = analyzer_pb2.AnalyzeLearnerRequest(learner_id="bad")
    messages = [
        Message(requests=[question("a"), bad, question("c")]),
        Message(requests=[question("d")]),
    ]
    answers = list(server.analyzer.AnalyzeLearners(iter(messages), timeout=30))
    assert [[result.status.code for result in answer.results] for answer in answers] == [[0, 3, 0], [0]]
    assert [result.response.learner_id for answer in answers for result in answer.results] == ["a", "", "c", "d"]
    violation = error_details_pb2.BadRequest()
    assert answers[0].results[1].status.details[0].Unpack(violation)
    assert violation.field_violations[0].field == "requests[1].history"
    assert server.count(method="AnalyzeLearners", code="OK") == 3
    assert server.count(method="AnalyzeLearners", code="INVALID_ARGUMENT") == 1


def test_a_split_routes_every_learner_of_a_message(server: ServedHere) -> None:
    server.split(5_000)
    requests = [question(str(number)) for number in range(200)]
    (answer,) = server.analyzer.AnalyzeLearners(iter([Message(requests=requests)]), timeout=60)
    variants = [result.response.variant for result in answer.results]
    assert set(variants) == {NATIVE, REFERENCE}
    for variant in (NATIVE, REFERENCE):
        assert server.count(method="AnalyzeLearners", variant=variant, code="OK") == variants.count(variant)


@pytest.mark.parametrize("count", [0, 1025])
def test_a_message_holds_1_to_1024_learners(server: ServedHere, count: int) -> None:
    message = Message(requests=[analyzer_pb2.AnalyzeLearnerRequest(learner_id="x")] * count)
    with pytest.raises(grpc.RpcError) as caught:
        list(server.analyzer.AnalyzeLearners(iter([message]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"holds {count} learners" in caught.value.details()


def test_streams_hold_at_most_half_of_the_threads(start_server: Callable[..., ServedHere]) -> None:
    server = start_server(threads=4)
    sources: list[queue.SimpleQueue[Message | None]] = [queue.SimpleQueue() for _ in range(2)]

    def messages(source: queue.SimpleQueue[Message | None]) -> Iterator[Message]:
        while (message := source.get()) is not None:
            yield message

    streams = []
    for source in sources:
        source.put(Message(requests=[question("open")]))
        streams.append(server.analyzer.AnalyzeLearners(messages(source), timeout=60))
    for stream in streams:
        assert next(stream).results[0].status.code == 0
    with pytest.raises(grpc.RpcError) as refused:
        list(server.analyzer.AnalyzeLearners(iter([Message(requests=[question("third")])]), timeout=30))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert any(key == "grpc-status-details-bin" for key, _ in refused.value.trailing_metadata())
    # Unary calls still find a thread.
    assert server.analyzer.AnalyzeLearner(question("unary"), timeout=10).variant == REFERENCE
    for source in sources:
        source.put(None)
    for stream in streams:
        assert list(stream) == []

    def third() -> bool:
        try:
            return (
                len(list(server.analyzer.AnalyzeLearners(iter([Message(requests=[question("third")])]), timeout=30)))
                == 1
            )
        except grpc.RpcError:
            return False

    wait_until(third)
    assert server.count(method="AnalyzeLearners", variant=REFERENCE, code="RESOURCE_EXHAUSTED") >= 1


def test_plain_questions_are_answered_together_and_stand_alone(start_server: Callable[..., ServedHere]) -> None:
    """Routed, exposed and counted learner by learner, whatever else is in the message."""
    server = start_server(stable="native")
    (before,) = server.analyzer.AnalyzeLearners(iter([Message(requests=[question("1"), question("2")])]), timeout=30)
    assert [result.response.variant for result in before.results] == [NATIVE, NATIVE]
    assert not before.results[0].response.exposure_token
    server.split(5_000, baseline=NATIVE, candidate=REFERENCE, shadow_share=1.0)
    early = question("early")
    early.as_of.FromSeconds(1)
    requests = [question(str(number), seed=number) for number in range(100)]
    requests[7:7] = [early, analyzer_pb2.AnalyzeLearnerRequest(learner_id="empty")]
    (answer,) = server.analyzer.AnalyzeLearners(iter([Message(requests=requests)]), timeout=60)
    assert [result.status.code for result in answer.results] == [0] * 7 + [9, 3] + [0] * 93
    alone = [
        server.analyzer.AnalyzeLearner(request, timeout=30) for request in requests if request.learner_id.isdigit()
    ]
    together = [result.response for result in answer.results if result.status.code == 0]
    for one, other in zip(together, alone, strict=True):
        # Without as_of both look at the server's clock, at different instants.
        assert (one.learner_id, one.variant, one.exposure_token) == (
            other.learner_id,
            other.variant,
            other.exposure_token,
        )
        assert one.exposure_token
        assert one.traits.event_count == other.traits.event_count
    assert server.count(method="AnalyzeLearners", code="OK") == 102
    assert server.count("covey_shard_requests_total", result="served") == 204
    assert server.count(method="AnalyzeLearners", code="FAILED_PRECONDITION") == 1
    assert server.count("covey_request_duration_seconds_count", method="AnalyzeLearners") == 104
    wait_until(lambda: server.count("covey_shadow_total") == 200, 30.0)
    assert server.count("covey_shadow_total", result="different") == 0
