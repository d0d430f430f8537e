"""Faults on purpose: refused unless asked for, and repeatable."""

from __future__ import annotations

import threading
import time
from random import Random

import grpc
import numpy as np
import pytest

from covey.v1 import cohorts_pb2, traits_pb2
from covey_server.answering.engines import Analysis, same_result
from covey_server.answering.faults import (
    CALLS_PER_CRASH,
    SHORTEST_CALL_SECONDS,
    FaultError,
    FaultPlan,
    Faults,
    load_plan,
)
from covey_server.errors import CallError

HONEST = Analysis(traits_pb2.Traits(learning_velocity=0.25, event_count=3), None, -1, np.zeros(0, np.float32))


def test_a_server_without_the_flag_refuses_every_fault() -> None:
    with pytest.raises(FaultError, match="not started with --enable-faults"):
        load_plan(["error-rate=0.03"], enabled=False)
    assert load_plan([], enabled=False) is None


def test_the_faults_of_the_demo_are_read() -> None:
    texts = ["error-rate=0.03", "latency=300ms@0.05", "wrong-result=0.02", "candidate-hangs", "candidate-crashes"]
    assert load_plan(texts, enabled=True) == FaultPlan(0.03, 0.3, 0.05, 0.02, hangs=True, crashes=True)
    assert load_plan(["latency-doubled"], enabled=True) == FaultPlan(doubled=True)
    assert load_plan(["latency=1.5s@1"], enabled=True) == FaultPlan(delay_seconds=1.5, delay_share=1.0)


@pytest.mark.parametrize(
    "text",
    [
        "error-rate=2",
        "error-rate=x",
        "latency=300@0.1",
        "latency=300ms",
        "explode",
        "candidate-hangs=1",
        "wrong-result",
    ],
)
def test_other_faults_are_refused(text: str) -> None:
    with pytest.raises(FaultError, match="fault"):
        load_plan([text], enabled=True)


def errors_of(seed: int, share: float, calls: int) -> list[bool]:
    faults = Faults(FaultPlan(error_share=share), Random(seed))
    hit = []
    for _ in range(calls):
        try:
            faults.around(lambda: HONEST)
            hit.append(False)
        except CallError as error:
            assert error.code is grpc.StatusCode.INTERNAL
            hit.append(True)
    return hit


def test_the_same_seed_hits_the_same_calls_at_about_the_share() -> None:
    first = errors_of(7, 0.1, 2000)
    assert first == errors_of(7, 0.1, 2000)
    assert first != errors_of(8, 0.1, 2000)
    assert 150 < sum(first) < 250


def test_a_wrong_result_is_never_the_right_one() -> None:
    faults = Faults(FaultPlan(wrong_share=1.0), Random(0))
    for velocity in (0.0, 1 / 3, 0.5, 2 / 3, 1.0):
        traits = traits_pb2.Traits(learning_velocity=velocity)
        honest = Analysis(traits, None, -1, np.zeros(0, np.float32))
        wrong = faults.around(lambda honest=honest: honest)  # type: ignore[misc]
        assert not same_result(honest, wrong)
        assert traits.learning_velocity == pytest.approx(velocity)


def test_a_crash_comes_with_every_twentieth_call() -> None:
    answered: list[int] = []
    crashes: list[int] = []
    faults = Faults(FaultPlan(crashes=True), Random(0), abort=lambda: crashes.append(len(answered) + 1))
    for call in range(2 * CALLS_PER_CRASH):
        faults.around(lambda: HONEST)
        answered.append(call)
    assert crashes == [CALLS_PER_CRASH, 2 * CALLS_PER_CRASH]


def test_a_hanging_engine_hangs_until_the_server_ends() -> None:
    faults = Faults(FaultPlan(hangs=True), Random(0))
    returned = threading.Event()

    def call() -> None:
        faults.around(lambda: HONEST)
        returned.set()

    threading.Thread(target=call, daemon=True).start()
    assert not returned.wait(0.05)
    faults.release()
    assert returned.wait(5.0)


def analysis(velocity: float, label: int, distances: list[float], model: cohorts_pb2.CohortModel | None) -> Analysis:
    return Analysis(traits_pb2.Traits(learning_velocity=velocity), model, label, np.array(distances, np.float32))


def test_agreement_allows_a_tie_of_two_centroids_and_nothing_else() -> None:
    model = cohorts_pb2.CohortModel(name="cohortModels/m", cohorts=[cohorts_pb2.Cohort(), cohorts_pb2.Cohort()])
    assert same_result(analysis(0.5, 0, [0.1, 0.9], model), analysis(0.5 + 5e-7, 0, [0.1, 0.9], model))
    assert not same_result(analysis(0.5, 0, [0.1, 0.9], model), analysis(0.5 + 5e-6, 0, [0.1, 0.9], model))
    assert not same_result(analysis(0.5, 0, [0.1, 0.9], model), analysis(0.5, 1, [0.1, 0.9], model))
    assert same_result(analysis(0.5, 0, [0.25, 0.25], model), analysis(0.5, 1, [0.25, 0.25], model))
    assert not same_result(analysis(0.5, 0, [0.1], model), analysis(0.5, -1, [], None))


def test_a_doubled_latency_is_twice_the_time_since_the_call_came_and_never_too_little_to_see() -> None:
    faults = Faults(FaultPlan(doubled=True), Random(0))

    def seconds(work_seconds: float, waited_seconds: float = 0.0) -> float:
        began = time.monotonic()

        def work() -> Analysis:
            threading.Event().wait(work_seconds)
            return HONEST

        assert faults.around(work, began - waited_seconds if waited_seconds else None) is HONEST
        return time.monotonic() - began

    assert seconds(0.0) >= 2 * SHORTEST_CALL_SECONDS
    assert seconds(0.05) >= 0.1
    assert seconds(0.0, waited_seconds=0.1) >= 0.1, "the time in the queue is doubled too"
    faults.release()
    assert seconds(0.0) < 2 * SHORTEST_CALL_SECONDS
