"""AnalyzeLearners against a real server: order, own statuses, limits of messages and streams."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc import error_details_pb2

from covey.v1 import analyzer_pb2

from .running import NATIVE, REFERENCE, ServedHere, question, wait_until

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
    assert server.count(method="AnalyzeLearners", variant="none", code="RESOURCE_EXHAUSTED") >= 1
