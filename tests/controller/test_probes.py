"""Probes of a real server: answered by both variants, outside its request metrics; unanswered where it is away."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client import generate_latest
from waiting import wait_until

from covey.v1 import evidence_pb2 as pb
from covey_controller.config import Replica
from covey_controller.exporter import Exporter
from covey_controller.probes import Prober, answered, learner_probes

from .pages import BASELINE, CANDIDATE
from .world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(Path(tmp_path_factory.mktemp("world")))
    yield made
    made.close()


def prober(address: str, exporter: Exporter, seconds: float = 0.05) -> Prober:
    """Probes that often, each with that deadline."""
    replica = Replica("r", address, "http://127.0.0.1:1/metrics")
    return Prober(
        learner_probes([replica], (BASELINE, CANDIDATE)),
        interval_seconds=seconds,
        deadline_seconds=seconds,
        observe=exporter.probe,
    )


def collect(made: Prober, count: int) -> dict[str, tuple[int, int]]:
    """Answered and unanswered probes by variant, once each has so many."""
    totals: dict[str, tuple[int, int]] = {BASELINE: (0, 0), CANDIDATE: (0, 0)}

    def enough() -> bool:
        for probe in made.drain():
            yes, no = totals[probe.variant]
            totals[probe.variant] = (yes + probe.answered_count, no + probe.unanswered_count)
        return all(sum(pair) >= count for pair in totals.values())

    made.start()
    try:
        assert wait_until(enough, 20)
    finally:
        made.stop()
    return totals


def test_both_variants_answer_and_no_request_is_counted(world: World) -> None:
    exporter = Exporter()
    totals = collect(prober(world.data, exporter, seconds=2.0), 2)
    assert all(yes >= 2 and no == 0 for yes, no in totals.values())
    assert not any(sum(series.codes.values()) for series in world.server.book.snapshot().requests.values())
    page = generate_latest(exporter.registry).decode()
    assert f'covey_controller_probe_total{{replica="r",result="answered",variant="{CANDIDATE}"}}' in page


def test_a_candidate_that_no_phase_has_let_in_is_neither_answering_nor_silent(tmp_path: Path) -> None:
    resting = World(tmp_path)
    resting.begin()
    made = prober(resting.data, Exporter(), seconds=2.0)
    counts: Counter[str] = Counter()

    def baseline_answered() -> bool:
        counts.update(probe.variant for probe in made.drain())
        return counts[BASELINE] >= 2

    made.start()
    assert wait_until(baseline_answered, 20)
    made.stop()
    resting.close()
    assert set(counts) == {BASELINE}


def test_nobody_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    totals = collect(prober(f"127.0.0.1:{port}", Exporter()), 2)
    assert all(yes == 0 and no >= 2 for yes, no in totals.values())


def test_a_server_that_says_nothing_costs_a_deadline_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        totals = collect(prober(f"127.0.0.1:{listener.getsockname()[1]}", Exporter()), 1)
    assert all(yes == 0 and no >= 1 for yes, no in totals.values())


def test_probes_of_a_tick_that_was_not_committed_are_counted_again() -> None:
    made = prober("127.0.0.1:1", Exporter())
    given = [pb.ProbeCounts(replica="r", variant=CANDIDATE, answered_count=2, unanswered_count=1)]
    made.restore(given)
    made.restore(given)
    assert made.drain() == [pb.ProbeCounts(replica="r", variant=CANDIDATE, answered_count=4, unanswered_count=2)]
    assert made.drain() == []
    made.stop()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.OK, True),
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.FAILED_PRECONDITION, None),
        (grpc.StatusCode.PERMISSION_DENIED, None),
        (grpc.StatusCode.UNAVAILABLE, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
    ],
)
def test_a_reported_failure_is_an_answer_and_silence_is_none(code: grpc.StatusCode, expected: bool | None) -> None:
    assert answered(code) is expected
