"""The book of requests: nothing is lost, nothing is counted twice, nothing is seen half."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from covey_server.metrics.counters import DURATION_EDGES_SECONDS, ROLLOUTS_SHOWN, SHARD_COUNT, RequestBook

VARIANT = "variants/native"
CODES = ("OK", "INTERNAL", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


def test_the_grid_goes_from_a_millisecond_to_a_minute_in_five_percent_steps() -> None:
    edges = DURATION_EDGES_SECONDS
    assert edges[0] == 0.001
    assert edges[-1] == 60.0
    steps = [after / before for before, after in pairwise(edges)]
    assert all(step == pytest.approx(1.05, abs=2e-5) for step in steps[:-1])
    assert 1 < steps[-1] <= 1.05 + 2e-5


def test_concurrent_requests_sum_to_their_number_and_no_snapshot_is_torn() -> None:
    book = RequestBook()
    threads, each = 8, 500
    done = threading.Event()
    torn: list[str] = []

    def count() -> None:
        for number in range(each):
            code = CODES[number % 4]
            book.count("AnalyzeLearner", VARIANT, code, number / 1000, shard=number % SHARD_COUNT, limits=(0.2,))

    def look() -> None:
        while not done.is_set():
            snapshot = book.snapshot()
            for series in snapshot.requests.values():
                shed = series.codes.get("RESOURCE_EXHAUSTED", 0)
                total = sum(series.codes.values())
                if sum(series.durations) != total - shed:
                    torn.append("durations")
                if sum(map(sum, snapshot.shards.values())) != total:
                    torn.append("shards")

    looker = threading.Thread(target=look)
    counters = [threading.Thread(target=count) for _ in range(threads)]
    looker.start()
    for thread in counters:
        thread.start()
    for thread in counters:
        thread.join(60)
    done.set()
    looker.join(60)
    series = book.snapshot().requests["AnalyzeLearner", VARIANT]
    assert torn == []
    assert series.codes == dict.fromkeys(
        ("OK", "INTERNAL", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"), threads * each / 4
    )
    assert sum(series.durations) == threads * each * 3 / 4


def test_over_limit_counts_slower_than_the_limit_and_timeouts_but_not_shed() -> None:
    book = RequestBook()
    for code, seconds in (("OK", 0.2), ("OK", 0.2000001), ("DEADLINE_EXCEEDED", 0.05), ("RESOURCE_EXHAUSTED", 3.0)):
        book.count("AnalyzeLearner", VARIANT, code, seconds, limits=(0.2, 0.25))
    series = book.snapshot().requests["AnalyzeLearner", VARIANT]
    assert series.over_limits == {0.2: 2, 0.25: 1}


def test_a_new_limit_starts_at_zero_and_an_old_one_keeps_its_count() -> None:
    book = RequestBook()
    book.count("AnalyzeLearner", VARIANT, "OK", 1.0, limits=(0.2,))
    book.expect([VARIANT], (0.25,))
    series = book.snapshot().requests["AnalyzeLearner", VARIANT]
    assert series.over_limits == {0.2: 1, 0.25: 0}


def test_what_is_expected_shows_zeros() -> None:
    book = RequestBook()
    book.expect(["variants/a", "variants/b"], (0.2,), "rollouts/r")
    snapshot = book.snapshot()
    assert {key: series.codes for key, series in snapshot.requests.items()} == {
        (method, variant): {"OK": 0}
        for method in ("AnalyzeLearner", "AnalyzeLearners")
        for variant in ("variants/a", "variants/b")
    }
    assert snapshot.shadows[("rollouts/r", "different")] == 0


def test_the_page_does_not_grow_with_every_rollout() -> None:
    book = RequestBook()
    names = [f"rollouts/r{number}" for number in range(3 * ROLLOUTS_SHOWN)]
    for name in names:
        book.expect([VARIANT], (), name)
        book.count_shadow(name, "equal")
    shadows = book.snapshot().shadows
    assert list(dict.fromkeys(name for name, _ in shadows)) == names[-ROLLOUTS_SHOWN:]
    assert shadows[names[-1], "equal"] == 1
    for _ in range(3):  # an older one that is in force keeps its counts
        book.expect([VARIANT], (), names[-2])
    assert book.snapshot().shadows[names[-2], "equal"] == 1


def test_a_duration_falls_below_the_edge_that_equals_it() -> None:
    book = RequestBook()
    for seconds in (0.0, 0.001, 60.0, 61.0):
        book.count("AnalyzeLearner", VARIANT, "OK", seconds)
    durations = book.snapshot().requests["AnalyzeLearner", VARIANT].durations
    assert (durations[0], durations[-2], durations[-1]) == (2, 1, 1)


def test_a_snapshot_does_not_change_afterwards() -> None:
    book = RequestBook()
    book.count("AnalyzeLearner", VARIANT, "OK", 0.1, shard=3)
    before = book.snapshot()
    book.count("AnalyzeLearner", VARIANT, "OK", 0.1, shard=3)
    assert before.requests["AnalyzeLearner", VARIANT].codes == {"OK": 1}
    assert before.shards[VARIANT, "served"][3] == 1
