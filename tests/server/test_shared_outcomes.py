"""Exposures and outcomes over several servers: a learner counts once, whoever answered or heard of the outcome."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from waiting import wait_until

from covey.v1 import analyzer_pb2, outcomes_pb2
from covey_server.outcomes import exposures
from covey_server.outcomes.exposures import ExposureLedger
from covey_server.outcomes.exposures_sharing import arrivals

from .running import NATIVE, REFERENCE, ServedHere, question
from .test_rollout_moves_traffic import NAME, begin, enter

Pair = tuple[ServedHere, ServedHere]
Learners = dict[tuple[str, str], int]

SECONDS = 20.0


def learners(server: ServedHere) -> Learners:
    """Distinct learners by (variant, segment), as the server's page shows them."""
    found = server.samples("covey_learners")
    return {(dict(labels)["variant"], dict(labels)["segment"]): int(count) for labels, count in found.items() if count}


def ask(server: ServedHere, numbers: Iterable[int]) -> dict[int, analyzer_pb2.AnalyzeLearnerResponse]:
    def segment_of(number: int) -> str:
        return ("north", "south", "west")[number % 3]

    return {
        number: server.analyzer.AnalyzeLearner(question(str(number), segment=segment_of(number)), timeout=30)
        for number in numbers
    }


def in_force(pair: Pair) -> None:
    enter(pair[0], begin(pair[0], 0.5))
    for server in pair:
        wait_until(
            lambda: server.samples("covey_rollout_weight_ratio", rollout=NAME).get((), 0.0) == 0.5,  # noqa: B023
            SECONDS,
        )


def expected(answers: dict[int, analyzer_pb2.AnalyzeLearnerResponse]) -> Learners:
    counts: Learners = {}
    for number, answer in answers.items():
        place = (answer.variant, ("north", "south", "west")[number % 3])
        counts[place] = counts.get(place, 0) + 1
    return counts


def test_learners_count_once_over_all_servers(pair: Pair) -> None:
    in_force(pair)
    # The servers meet segments in different orders, and forty learners come to both.
    here = ask(pair[0], range(80))
    there = ask(pair[1], reversed(range(40, 120)))
    assert {number: here[number].variant for number in range(40, 80)} == {
        number: there[number].variant for number in range(40, 80)
    }
    whole = expected(here | there)
    for server in pair:
        wait_until(lambda: learners(server) == whole, SECONDS)  # noqa: B023


def test_without_following_each_server_counts_its_own(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExposureLedger, "follow", lambda _: False)
    in_force(pair)
    here, there = ask(pair[0], range(30)), ask(pair[1], range(30, 60))
    for server, own in zip(pair, (here, there), strict=True):
        assert server.room.ledger.flush()
        assert learners(server) == expected(own)


def test_an_outcome_is_credited_wherever_it_is_reported(pair: Pair) -> None:
    in_force(pair)
    here = ask(pair[0], range(40))
    assert pair[0].room.ledger.flush()
    # At once, at the server that did not answer; half of them without a token.
    now = time.time_ns()
    outcomes = [
        outcomes_pb2.Outcome(
            learner_id=str(number),
            metric="clicks",
            value=float(number),
            time={"seconds": now // 10**9 + 1},
            exposure_token=answer.exposure_token if number % 2 else "",
        )
        for number, answer in here.items()
    ]
    reported = pair[1].outcomes.ReportOutcomes(
        outcomes_pb2.ReportOutcomesRequest(outcomes=outcomes, request_id="r"), timeout=30
    )
    assert reported.credited_count == reported.stored_count == 40
    totals = {
        variant: sum(number for number, answer in here.items() if answer.variant == variant)
        for variant in (REFERENCE, NATIVE)
    }
    split = pair[0].room.board.latest()
    assert split is not None
    for server in pair:
        phase = server.room.ledger.phase_of(split)

        def sums() -> dict[str, float]:
            with server.room.outcomes._lock:  # noqa: B023 - what the page is made of
                found = server.room.outcomes._sums_of(phase).get("clicks", ({}, {}))  # noqa: B023
                return {variant: sum(found[number].values()) for number, variant in enumerate(phase.variants)}  # noqa: B023

        wait_until(lambda: sums() == totals, SECONDS)


def test_a_deleted_learner_is_forgotten_by_all_servers(pair: Pair) -> None:
    in_force(pair)
    whole = expected(ask(pair[0], range(30)))
    wait_until(lambda: learners(pair[1]) == whole, SECONDS)
    deleted = pair[0].analyzer.DeleteLearner(
        analyzer_pb2.DeleteLearnerRequest(learner_id="0", request_id="x"), timeout=30
    )
    assert deleted.exposure_count == 1
    for server in pair:
        wait_until(lambda: sum(learners(server).values()) == 29, SECONDS)  # noqa: B023


@pytest.mark.parametrize("looks", [True, False], ids=["looks at the store", "twin that does not"])
def test_a_segment_noted_elsewhere_is_known_at_the_first_question(
    pair: Pair, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner's segment holds from the first exposure on, whichever server that was at, and before the next look."""
    monkeypatch.setattr(ExposureLedger, "follow", lambda ledger: False)
    monkeypatch.setattr(exposures, "_STORED_WITHIN_SECONDS", 0.0 if looks else float("inf"))
    in_force(pair)
    here, there = (server.room.ledger for server in pair)
    split = pair[1].room.board.latest()
    assert split is not None
    for numbers in (range(6), range(6, 12)):
        known = {number: there.first_segment(split, str(number)) for number in numbers}
        assert set(known.values()) == {None}
        ask(pair[0], numbers)
        assert here.flush()
        known = {number: there.first_segment(split, str(number)) for number in numbers}
        assert known == {number: ("north", "south", "west")[number % 3] if looks else None for number in numbers}


def test_looks_ask_for_open_phases_and_now_and_then_for_all(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(connection: object, key: int, place: object) -> object:
        asked.append(key)
        return arrivals(connection, key, place)  # type: ignore[arg-type]

    in_force(pair)
    ask(pair[0], range(3))
    assert pair[0].room.ledger.flush()
    ledger = ExposureLedger(pair[0].room.store, lambda: datetime.now(UTC))
    try:
        monkeypatch.setattr(exposures, "arrivals", counted)
        (phase,) = ledger.loaded_phases()
        ledger.follow()
        ledger.follow()
        assert asked.count(phase.key) >= 2
        ledger._clock = lambda: datetime.now(UTC) + timedelta(days=1000)
        monkeypatch.setattr(ExposureLedger, "follow", lambda ledger: False)
        asked.clear()
        ledger._look(whole=False)
        assert asked == [], "its windows have closed"
        ledger._look(whole=True)
        assert asked == [phase.key], "a learner may be deleted from it"
    finally:
        ledger.stop()
