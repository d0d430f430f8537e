"""Appends over real gRPC: acknowledged means synced, once, whatever the caller does."""

from __future__ import annotations

import queue
import threading
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2

Request = datasets_pb2.AppendEventsRequest


def first(dataset: str, append_id: str = "a") -> Request:
    return Request(dataset=dataset, append_id=append_id)


def packed_chunk(sequence: int, learners: list[int], dtype: str = "<i8") -> Request:
    count = len(learners)
    packed = events_pb2.PackedEvents(
        event_count=count, time_us=(np.arange(count, dtype="<i8") + sequence * 1_000_000).tobytes()
    )
    data = np.array(learners, dtype=dtype).tobytes()
    if dtype == "<u8":
        packed.learner_id_uint64 = data
    else:
        packed.learner_id_int64 = data
    return Request(chunk_sequence=sequence, packed=packed)


def append(server: Any, *requests: Request) -> list[tuple[int, int]]:
    answers = server.analyzer.AppendEvents(iter(requests), timeout=20)
    return [(answer.synced_chunk_sequence, answer.synced_event_count) for answer in answers]


def learners_of(server: Any, dataset: str) -> list[str]:
    events = server.rooms.datasets.events(dataset)
    return sorted(events.learner_ids.text(index) for index in events.learner_index_of_rows())


def failure(server: Any, *requests: Request) -> tuple[grpc.StatusCode, str, list[tuple[str, str]]]:
    with pytest.raises(grpc.RpcError) as caught:
        append(server, *requests)
    violations = []
    status = rpc_status.from_call(caught.value)
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            violations += [(violation.field, violation.description) for violation in bad.field_violations]
    return caught.value.code(), caught.value.details(), violations


class Live:
    """A stream that is fed message by message."""

    def __init__(self, server: Any) -> None:
        self._messages: queue.Queue[Request | None] = queue.Queue()
        self.answers = server.analyzer.AppendEvents(iter(self._messages.get, None), timeout=20)

    def send(self, request: Request) -> datasets_pb2.AppendEventsResponse:
        self._messages.put(request)
        answer: datasets_pb2.AppendEventsResponse = next(self.answers)
        return answer

    def finish(self) -> None:
        self._messages.put(None)


def test_what_is_synced_together_is_answered_together(server: Any) -> None:
    name = server.create_dataset()
    answers = append(server, first(name), packed_chunk(1, [1, 2]), packed_chunk(2, [3]), packed_chunk(3, []))
    assert 2 <= len(answers) <= 4
    assert answers[0] == (0, 0)
    assert answers[-1] == (3, 3)
    assert answers == sorted(answers)
    assert learners_of(server, name) == ["1", "2", "3"]
    dataset = server.analyzer.GetDataset(analyzer_pb2.GetDatasetRequest(name=name))
    assert dataset.event_count == 3
    assert dataset.byte_count == sum(path.stat().st_size for path in server.rooms.datasets.folder(name).iterdir())


def test_a_dropped_caller_goes_on_behind_what_is_synced(server: Any) -> None:
    name = server.create_dataset()
    live = Live(server)
    live.send(first(name))
    live.send(packed_chunk(1, [1]))
    assert live.send(packed_chunk(2, [2, 2])).synced_chunk_sequence == 2
    live.answers.cancel()
    # The caller repeats a chunk that it does not know to be synced: acknowledged, not stored again.
    answers = append(server, first(name), packed_chunk(2, [2, 2]), packed_chunk(3, [3]))
    assert (answers[0], answers[-1]) == ((2, 3), (3, 4))
    assert learners_of(server, name) == ["1", "2", "2", "3"]


def test_a_gap_is_out_of_range_and_keeps_what_came_before(server: Any) -> None:
    name = server.create_dataset()
    code, details, _ = failure(server, first(name), packed_chunk(1, [1]), packed_chunk(3, [3]))
    assert code is grpc.StatusCode.OUT_OF_RANGE
    assert "chunk_sequence is 3 where 2 comes next" in details
    assert append(server, first(name)) == [(1, 1)]


def test_a_bad_chunk_is_named_with_field_and_row(server: Any) -> None:
    name = server.create_dataset()
    bad = packed_chunk(2, [5, 6])
    bad.packed.weight_float32 = np.array([1, -1], "<f4").tobytes()
    code, details, violations = failure(server, first(name), packed_chunk(1, [1]), bad, packed_chunk(3, [3]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("chunk 2: packed.weight_float32: row 1 is -1.0")
    assert "chunks up to 1 are synced" in details
    assert violations[0][0] == "packed.weight_float32"
    assert append(server, first(name), packed_chunk(2, [7])) == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("requests", "code", "text"),
    [
        ([], grpc.StatusCode.INVALID_ARGUMENT, "stream was empty"),
        ([Request(dataset="spring", append_id="a")], grpc.StatusCode.INVALID_ARGUMENT, "datasets/{id}"),
        ([Request(dataset="datasets/none", append_id="a")], grpc.StatusCode.NOT_FOUND, "CreateDataset"),
        ([Request(dataset="datasets/spring")], grpc.StatusCode.INVALID_ARGUMENT, "append_id"),
        ([first("datasets/spring"), Request(chunk_sequence=1)], grpc.StatusCode.INVALID_ARGUMENT, "chunk: is missing"),
        ([first("datasets/spring"), packed_chunk(0, [1])], grpc.StatusCode.INVALID_ARGUMENT, "numbered 1, 2, 3"),
        (
            [Request(dataset="datasets/spring", append_id="a", chunk_sequence=1)],
            grpc.StatusCode.INVALID_ARGUMENT,
            "first message carries no chunk",
        ),
    ],
)
def test_what_is_wrong_with_a_stream(server: Any, requests: list[Request], code: grpc.StatusCode, text: str) -> None:
    server.create_dataset()
    found, details, _ = failure(server, *requests)
    assert found is code
    assert text in details


def test_bytes_that_are_no_message_are_refused_and_keep_what_came_before(server: Any) -> None:
    name = server.create_dataset()
    call = server.channel.stream_stream("/covey.v1.AnalyzerService/AppendEvents")
    good = [first(name).SerializeToString(), packed_chunk(1, [1]).SerializeToString()]
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([*good, b"\xff\xff"]), timeout=20))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be read as an AppendEventsRequest; chunks up to 1 are synced" in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([b"\xff\xff"]), timeout=20))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert append(server, first(name)) == [(1, 1)]


def test_the_later_of_two_streams_with_one_id_wins(server: Any) -> None:
    name = server.create_dataset()
    old = Live(server)
    old.send(first(name))
    old.send(packed_chunk(1, [1]))
    new = Live(server)
    assert new.send(first(name)).synced_chunk_sequence == 1
    with pytest.raises(grpc.RpcError) as caught:
        old.send(packed_chunk(2, [20]))
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert "taken over" in caught.value.details()
    assert new.send(packed_chunk(2, [21])).synced_event_count == 2
    new.finish()
    assert learners_of(server, name) == ["1", "21"]


def test_appends_with_different_ids_run_side_by_side(server: Any) -> None:
    name = server.create_dataset()
    results: dict[str, list[tuple[int, int]]] = {}

    def run(append_id: str) -> None:
        chunks = (packed_chunk(sequence, [sequence] * 10) for sequence in range(1, 21))
        results[append_id] = append(server, first(name, append_id), *chunks)

    threads = [threading.Thread(target=run, args=(f"id-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answers[-1] for answers in results.values()} == {(20, 200)}
    assert server.rooms.datasets.view(name).event_count == 800


def test_deleting_the_dataset_ends_its_appends(server: Any) -> None:
    name = server.create_dataset()
    live = Live(server)
    live.send(first(name))
    live.send(packed_chunk(1, [1]))
    server.analyzer.DeleteDataset(analyzer_pb2.DeleteDatasetRequest(name=name, request_id="r"))
    request = analyzer_pb2.CreateDatasetRequest(dataset_id="spring", request_id="again")
    server.analyzer.CreateDataset(request)
    with pytest.raises(grpc.RpcError) as caught:
        live.send(packed_chunk(2, [2]))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert server.rooms.datasets.view(name).event_count == 0


def test_ids_keep_their_last_digit(server: Any) -> None:
    name = server.create_dataset()
    large = 2**53 + 1
    append(server, first(name), packed_chunk(1, [large, -5]))
    assert learners_of(server, name) == ["-5", str(large)]
    append(server, first(name, "b"), packed_chunk(1, [2**64 - 1], "<u8"))
    assert learners_of(server, name) == sorted(["-5", str(large), str(2**64 - 1)])
    for learner_id in ("-5", str(large), str(2**64 - 1)):
        assert server.rooms.datasets.learner_events(name, learner_id).row_count == 1


def test_an_integer_and_its_decimal_text_are_one_learner(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    append(server, first(name), packed_chunk(1, [42, 7]), Request(chunk_sequence=2, rows=rows(("42", 5, "c"))))
    append(server, first(name, "b"), Request(chunk_sequence=1, rows=rows(("ünï", 6, "c"), ("042", 7, "c"))))
    assert learners_of(server, name) == sorted(["42", "42", "7", "ünï", "042"])
    assert server.rooms.datasets.learner_events(name, "42").row_count == 2
    assert server.rooms.datasets.learner_events(name, "ünï").row_count == 1
    with pytest.raises(Exception, match="holds no events of learner"):
        server.rooms.datasets.learner_events(name, "43")


def test_a_stopping_server_ends_streams_and_keeps_what_it_acknowledged(server: Any) -> None:
    name = server.create_dataset()
    live = Live(server)
    live.send(first(name))
    live.send(packed_chunk(1, [1]))
    server.rooms.appends.stop()
    with pytest.raises(grpc.RpcError) as caught:
        next(live.answers)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.restart()
    assert append(server, first(name)) == [(1, 1)]


def test_an_idle_stream_gives_its_place_back(server: Any) -> None:
    name = server.create_dataset()
    server.rooms.appends._idle_seconds = 0.05
    live = Live(server)
    live.send(first(name))
    with pytest.raises(grpc.RpcError) as caught:
        next(live.answers)
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert "no chunk came" in caught.value.details()
