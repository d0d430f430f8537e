"""Engine calls in lanes: deadlines hold whatever the engine does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest

from covey_server.answering.lanes import EngineLane
from covey_server.errors import CallError


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds engine calls until it is set; set at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_result_and_an_error_come_back_to_the_caller() -> None:
    lane = EngineLane("variants/x", 4)
    assert lane.run(lambda: 42, 1.0, 2) == 42
    with pytest.raises(ZeroDivisionError):
        lane.run(lambda: 1 // 0, 1.0, 2)
    assert lane.run(lambda: "again", 1.0, 2) == "again"
    lane.stop()


def test_an_engine_that_hangs_costs_its_caller_the_deadline_and_no_more(gate: threading.Event) -> None:
    lane = EngineLane("variants/x", 4)
    with pytest.raises(CallError) as late:
        lane.run(gate.wait, 0.05, 1)
    assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert lane.overdue_count == 1


def test_a_lane_held_by_overdue_calls_is_unavailable_at_once(gate: threading.Event) -> None:
    lane = EngineLane("variants/x", 4)
    with pytest.raises(CallError):
        lane.run(gate.wait, 0.01, 1)
    with pytest.raises(CallError) as refused:
        lane.run(lambda: 1, 1.0, 1)
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE
    assert "past their deadline" in refused.value.message


def test_a_lane_recovers_when_its_engine_returns(gate: threading.Event) -> None:
    lane = EngineLane("variants/x", 4)
    returned = threading.Event()

    def hang() -> None:
        gate.wait()
        returned.set()

    with pytest.raises(CallError):
        lane.run(hang, 0.01, 1)
    gate.set()
    assert returned.wait(5.0)
    waited = threading.Event()
    for _ in range(500):
        if lane.overdue_count == 0:
            break
        waited.wait(0.01)
    assert lane.run(lambda: "well", 1.0, 1) == "well"


def test_a_full_lane_sheds_after_a_moment(gate: threading.Event) -> None:
    lane = EngineLane("variants/x", 4)
    started = threading.Event()

    def hold() -> None:
        started.set()
        gate.wait()

    holder = threading.Thread(target=lane.run, args=(hold, 30.0, 1))
    holder.start()
    assert started.wait(5.0)
    with pytest.raises(CallError) as shed:
        lane.run(lambda: 1, 5.0, 1)
    assert shed.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert shed.value.retry_after_seconds is not None
    gate.set()
    holder.join(5.0)


def test_a_place_that_frees_up_is_taken() -> None:
    lane = EngineLane("variants/x", 12)
    results: list[int] = []

    def ask(number: int) -> None:
        results.append(lane.run(lambda: number, 5.0, 2))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert sorted(results) == list(range(8))


def test_threads_never_exceed_the_limit(gate: threading.Event) -> None:
    lane = EngineLane("variants/bounded", 3)
    outcomes: list[grpc.StatusCode] = []

    def ask() -> None:
        try:
            lane.run(gate.wait, 0.2, 2)
        except CallError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    engine_threads = [thread for thread in threading.enumerate() if thread.name == "engine-variants/bounded"]
    assert len(engine_threads) == 2
    assert outcomes.count(grpc.StatusCode.DEADLINE_EXCEEDED) == 2
    assert len(outcomes) == 6
