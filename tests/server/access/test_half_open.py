"""Calls whose message never comes: a handful of them must not hold the threads of everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from covey.access import credentials
from covey_server.access.gate import Gate
from covey_server.answering import admission
from covey_server.answering.half_open import MessageWatch
from covey_server.errors import CallError
from covey_server.metrics.counters import NO_VARIANT

from ..running import ServedHere, question
from .known import TokensFile

ANALYZE = "/covey.v1.AnalyzerService/AnalyzeLearner"
CHECK = "/grpc.health.v1.Health/Check"
Metadata = list[tuple[str, str]]


@contextmanager
def half_open(served: ServedHere, method: str, count: int, metadata: Metadata) -> Iterator[list[Any]]:
    """Calls of a unary method that send no message, while the block runs."""
    never: SimpleQueue[bytes | None] = SimpleQueue()
    with grpc.insecure_channel(f"127.0.0.1:{served.room.data_port}") as channel:
        ask = channel.stream_unary(method)
        calls = [ask.future(iter(never.get, None), metadata=metadata) for _ in range(count)]
        try:
            yield calls
        finally:
            for call in calls:
                call.cancel()
                never.put(None)


def is_answered(served: ServedHere, metadata: Metadata, timeout: float) -> bool:
    try:
        served.analyzer.AnalyzeLearner(question("x"), timeout=timeout, metadata=metadata)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
        return False
    return True


def test_strangers_hold_no_thread(start_server: Callable[..., ServedHere], tmp_path: Path) -> None:
    tokens = TokensFile(tmp_path / "tokens.json")
    served = start_server(tokens=tokens.path, threads=2, queue_limit=2)
    with half_open(served, ANALYZE, 20, []) as calls:
        assert {call.exception(timeout=20).code() for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
        assert is_answered(served, tokens.metadata("ingest"), 20)


def test_known_callers_hold_one_for_a_time(
    start_server: Callable[..., ServedHere], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MESSAGE_SECONDS", 0.5)
    tokens = TokensFile(tmp_path / "tokens.json")
    served = start_server(tokens=tokens.path, threads=2)
    ingest = tokens.metadata("ingest")
    with half_open(served, ANALYZE, 6, ingest) as calls:
        assert is_answered(served, ingest, 20)
        assert {call.exception(timeout=20).code() for call in calls} == {grpc.StatusCode.CANCELLED}
    assert served.room.book.snapshot().requests["AnalyzeLearner", NO_VARIANT].codes["CANCELLED"] == 6


def test_without_the_watch_they_hold_all_for_ever(
    start_server: Callable[..., ServedHere], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin."""
    monkeypatch.setattr(admission, "MESSAGE_SECONDS", 1e6)
    served = start_server(threads=2)
    with half_open(served, ANALYZE, 2, []):
        assert not is_answered(served, [], 3)


def test_strangers_who_ask_for_health_keep_nobody_from_it(server: ServedHere) -> None:
    with half_open(server, CHECK, 8, []) as calls:
        health = health_pb2_grpc.HealthStub(server.data_channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=20)  # type: ignore[attr-defined]
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert {call.exception(timeout=20).code() for call in calls} == {grpc.StatusCode.CANCELLED}


def test_a_message_that_came_is_never_too_late(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    watch = MessageWatch(20.0, lambda: now[0])
    ended: list[str] = []
    names = ("waits", "came", "left", "waits less")
    calls = {name: SimpleNamespace(method=name, was_handled=False) for name in names}
    for name, call in calls.items():
        now[0] += 5.0 * (name == "waits less")
        watch.hold(call, lambda name=name: ended.append(name))  # type: ignore[misc]
    calls["came"].was_handled = True
    watch.release(calls["left"])
    now[0] = 119.9
    watch.sweep()
    assert ended == []
    now[0] = 120.0
    watch.sweep()
    watch.sweep()
    assert ended == ["waits"]
    assert [record.__dict__["method"] for record in caplog.records] == ["waits"]
    now[0] = 125.0
    watch.sweep()
    assert ended == ["waits", "waits less"]


def test_who_brings_no_token_may_still_bring_a_certificate(tmp_path: Path) -> None:
    tokens = TokensFile(tmp_path / "tokens.json")

    def gate(asks_certificates: bool) -> Gate:
        known = credentials.watched(tokens.path)
        return Gate(known, lambda: datetime.now(UTC), asks_certificates=asks_certificates)

    assert gate(True).admit_by_metadata(ANALYZE, []) is None
    with pytest.raises(CallError, match="only callers that it knows"):
        gate(False).admit_by_metadata(ANALYZE, [])
    known = gate(True).admit_by_metadata(ANALYZE, tokens.metadata("ingest"))
    assert known is not None and known.name == "ingest"
