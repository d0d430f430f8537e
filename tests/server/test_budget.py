"""Memory of calls in flight: charged before it is used, refused at once, given back whatever becomes of the call."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from waiting import wait_until

from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2
from covey_server.answering.budget import WORKING_BYTES_PER_BYTE, MemoryBudget, opened_each
from covey_server.errors import CallError
from covey_server.ports.data_port import MESSAGE_BYTE_LIMIT

from .rollout_rooms import Refusal
from .running import REFERENCE, ServedHere, ServerProcess, question

MEBIBYTE = 1 << 20


def large_question(mebibytes: float) -> analyzer_pb2.AnalyzeLearnerRequest:
    """A question of so many bytes, all of them times."""
    count = int(mebibytes * MEBIBYTE / 8)
    time_us = (int(time.time()) - np.arange(count) * 60) * 1_000_000
    packed = events_pb2.PackedEvents(event_count=count, time_us=time_us.astype("<i8").tobytes())
    return analyzer_pb2.AnalyzeLearnerRequest(learner_id="x", packed=packed)


def test_a_message_is_charged_until_nobody_holds_it() -> None:
    budget = MemoryBudget(10 * WORKING_BYTES_PER_BYTE)
    read = budget.reading(bytes.decode)
    first = read(b"12345678")
    assert first.opened() == "12345678"
    assert budget.used_bytes == 8 * WORKING_BYTES_PER_BYTE
    second = read(b"123")
    with pytest.raises(CallError) as refused:
        second.opened()
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.retry_after_seconds is not None
    del first
    assert budget.used_bytes == 0
    assert read(b"123").opened() == "123"


def test_a_message_that_cannot_be_read_is_not_charged() -> None:
    budget = MemoryBudget(1000)
    with pytest.raises(UnicodeDecodeError):
        budget.reading(bytes.decode)(b"\xff")
    gc.collect()
    assert budget.used_bytes == 0


def test_a_stream_is_charged_for_the_message_at_hand() -> None:
    budget = MemoryBudget(3 * WORKING_BYTES_PER_BYTE)
    read = budget.reading(bytes.decode)
    opened = opened_each(read(part) for part in (b"abc", b"def", b"ghi"))
    seen = [(message, budget.used_bytes // WORKING_BYTES_PER_BYTE) for message in opened]
    assert seen == [("abc", 3), ("def", 3), ("ghi", 3)]


def test_calls_of_every_end_give_their_memory_back(start_server: Callable[..., ServedHere]) -> None:
    served = start_server()
    served.analyzer.AnalyzeLearner(question("1"), timeout=20)
    with pytest.raises(grpc.RpcError):
        served.analyzer.AnalyzeLearner(question("", seed=1), timeout=20)
    for _ in range(20):
        served.analyzer.AnalyzeLearner.future(large_question(1.0), timeout=20).cancel()
    streamed = [analyzer_pb2.AnalyzeLearnersRequest(requests=[question("1")])] * 3
    assert len(list(served.analyzer.AnalyzeLearners(iter(streamed), timeout=20))) == 3
    broken = served.data_channel.unary_unary("/covey.v1.AnalyzerService/GetJob")
    with pytest.raises(grpc.RpcError):
        broken(b"\xff\xff", timeout=20)
    budget = served.room.memory_budget
    wait_until(lambda: gc.collect() >= 0 and budget.used_bytes == 0, 30.0)


def test_what_finds_no_memory_is_refused_and_counted(start_server: Callable[..., ServedHere]) -> None:
    served = start_server(memory_megabytes=128, call_deadline_seconds=60.0)
    budget = served.room.memory_budget
    assert budget.take(100 * MEBIBYTE)
    with pytest.raises(grpc.RpcError) as refused:
        served.analyzer.AnalyzeLearner(large_question(2.0), timeout=20)
    refusal = Refusal(refused.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMORY_EXHAUSTED")
    assert refusal.retry_after_seconds
    assert served.count(code="RESOURCE_EXHAUSTED", variant=REFERENCE) == 1
    served.analyzer.AnalyzeLearner(question("small"), timeout=20)
    budget.give_back(100 * MEBIBYTE)
    assert served.analyzer.AnalyzeLearner(large_question(2.0), timeout=60).variant


def test_an_append_that_finds_no_memory_says_so_and_keeps_what_came_before(
    start_server: Callable[..., ServedHere],
) -> None:
    """Without it the stream ended OK, as if everything had been stored."""
    served = start_server(memory_megabytes=128)
    created = analyzer_pb2.CreateDatasetRequest(dataset_id="d", request_id="r")
    name = served.analyzer.CreateDataset(created, timeout=20).name
    budget = served.room.memory_budget
    assert budget.take(100 * MEBIBYTE)

    def append(*mebibytes: float) -> Iterator[datasets_pb2.AppendEventsResponse]:
        messages = [datasets_pb2.AppendEventsRequest(dataset=name, append_id="a")]
        for number, each in enumerate(mebibytes, start=1):
            packed = large_question(each).packed
            packed.learner_id_int64 = bytes(8 * packed.event_count)
            messages.append(datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed))
        answers: Iterator[datasets_pb2.AppendEventsResponse] = served.analyzer.AppendEvents(iter(messages), timeout=60)
        return answers

    with pytest.raises(grpc.RpcError) as refused:
        list(append(0.1, 1.5, 0.1))
    refusal = Refusal(refused.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMORY_EXHAUSTED")
    assert refusal.retry_after_seconds
    assert "go on with chunk 2" in (refused.value.details() or "")
    budget.give_back(100 * MEBIBYTE)
    assert [answer.synced_chunk_sequence for answer in append(0.1, 1.5, 0.1)][-1] == 3


def test_a_message_has_at_most_four_mebibytes(server: ServedHere) -> None:
    assert MESSAGE_BYTE_LIMIT == 4 * MEBIBYTE + 64 * 1024
    with pytest.raises(grpc.RpcError) as explained:
        server.analyzer.AnalyzeLearner(large_question(4.001), timeout=60)
    assert explained.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "store a dataset" in (explained.value.details() or "")
    with pytest.raises(grpc.RpcError) as refused:
        server.analyzer.AnalyzeLearner(large_question(4.1), timeout=60)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(("megabytes", "is_bounded"), [(128, True), (8192, False)])
def test_sixteen_large_calls_at_once_stay_within_the_budget(
    server_process: Callable[..., ServerProcess], megabytes: int, is_bounded: bool
) -> None:
    """The second is the twin: with a budget beyond the machine, the same calls take far more."""
    server = server_process("--threads", "16", "--call-deadline", "300", "--memory-megabytes", str(megabytes))
    status = Path("/proc") / str(server.process.pid) / "status"

    def mebibytes(field: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(field))

    server.analyzer.AnalyzeLearner(question("warm"), timeout=30)
    before, asked, together = mebibytes("VmRSS"), large_question(2.5), threading.Barrier(16)

    def ask(_number: int) -> str:
        together.wait(60)
        try:
            server.analyzer.AnalyzeLearner(asked, timeout=120)
        except grpc.RpcError as error:
            name: str = error.code().name
            return name
        return "OK"

    with ThreadPoolExecutor(16) as callers:
        seen = Counter(callers.map(ask, range(16)))
    grown = mebibytes("VmHWM") - before
    assert set(seen) <= {"OK", "RESOURCE_EXHAUSTED"}
    assert seen["OK"] > 0
    assert (grown <= 128 + 64) == is_bounded, f"{grown:.0f} MiB with {os.cpu_count()} cores, {seen}"
