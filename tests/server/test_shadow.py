"""The shadow: a share of the answers is computed again, in the background, at nobody's cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from waiting import wait_until

from covey.v1 import analyzer_pb2
from covey_server.answering.engines import Engines
from covey_server.answering.faults import FaultPlan
from covey_server.answering.routing import route
from covey_server.answering.shadow import Shadow
from covey_server.answering.variants_at_work import VariantsAtWork
from covey_server.decoding import decode_packed
from covey_server.metrics.counters import RequestBook

from .running import NATIVE, REFERENCE, ServedHere, history, question


def shadowed(book: RequestBook) -> dict[str, int]:
    return {result: count for (_, result), count in book.snapshot().shadows.items()}


def test_the_share_is_drawn_by_the_given_chance(server: ServedHere) -> None:
    split = server.split(0, shadow_share=0.25)
    events, as_of_us = decode_packed(history(), "packed"), int(time.time() * 1e6)
    where = route("1", split, REFERENCE)
    counts = []
    for _ in range(2):
        book = RequestBook()
        at_work = VariantsAtWork(Engines(server.room.catalogue), 2)
        shadow = Shadow(at_work, book, Random(5), 2.0)
        served = at_work.analyze(REFERENCE, events, as_of_us, is_candidate=False, timeout_seconds=5.0)
        drawn = Random(5)
        expected = sum(drawn.random() < split.shadow_share for _ in range(200))
        for _ in range(200):
            shadow.offer(where, events, as_of_us, served)
        wait_until(lambda book=book, expected=expected: sum(shadowed(book).values()) == expected)  # type: ignore[misc]
        counts.append(shadowed(book))
        shadow.stop()
        at_work.stop()
    assert counts[0] == counts[1]
    assert counts[0] == {"equal": expected}


def test_a_crowded_server_comes_first_but_not_for_ever(server: ServedHere) -> None:
    split = server.split(0, shadow_share=1.0)
    events, as_of_us = decode_packed(history(), "packed"), int(time.time() * 1e6)
    book = RequestBook()
    at_work = VariantsAtWork(Engines(server.room.catalogue), 2)
    shadow = Shadow(at_work, book, Random(0), 2.0, is_crowded=lambda: True)
    served = at_work.analyze(REFERENCE, events, as_of_us, is_candidate=False, timeout_seconds=5.0)
    started = time.monotonic()
    shadow.offer(route("1", split, REFERENCE), events, as_of_us, served)
    wait_until(lambda: shadowed(book) == {"equal": 1})
    assert time.monotonic() - started >= 0.2
    shadow.stop()
    at_work.stop()


def test_a_slow_candidate_is_dropped_from_the_shadow_and_nobody_waits(start_server: Callable[..., ServedHere]) -> None:
    slow = FaultPlan(delay_seconds=0.5, delay_share=1.0)
    server = start_server(fault_plan=slow, faults_enabled=True)
    server.split(0, shadow_share=1.0)
    packed = history(event_count=3)
    requests = [analyzer_pb2.AnalyzeLearnerRequest(learner_id=str(number), packed=packed) for number in range(400)]
    message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests)
    (answer,) = server.analyzer.AnalyzeLearners(iter([message]), timeout=60)
    assert {result.status.code for result in answer.results} == {0}
    dropped = server.count("covey_shadow_total", result="dropped")
    assert 400 - 256 - 20 <= dropped <= 400 - 256


def test_a_hanging_candidate_fails_in_the_shadow_and_callers_are_well(start_server: Callable[..., ServedHere]) -> None:
    server = start_server(fault_plan=FaultPlan(hangs=True), faults_enabled=True, call_deadline_seconds=0.3)
    server.split(0, shadow_share=1.0)
    for number in range(10):
        assert server.analyzer.AnalyzeLearner(question(str(number)), timeout=10).variant == REFERENCE
    wait_until(lambda: server.count("covey_shadow_total", result="failed") == 10)
    assert server.count("covey_requests_total", variant=NATIVE) == 0
