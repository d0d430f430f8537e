"""Exposures: counted once, exactly, under concurrency, across restarts, and never lost in silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from covey_server.outcomes.exposures import ExposureLedger
from covey_server.outcomes.exposures_phase import MOST_SEGMENTS, OTHER_SEGMENT
from covey_server.outcomes.exposures_store import RECORDS_PER_BATCH, exposure_batches
from covey_server.outcomes.exposures_table import ExposureTable, pack_detail, segment_of, time_ms_of
from covey_server.outcomes.exposures_tokens import TOKEN_LENGTH, TokenContent, make_token, read_token
from covey_server.split import Split
from covey_server.store import Store, StoreError, open_store

BASELINE, CANDIDATE = "variants/reference", "variants/native"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def split(clock: Any) -> Split:
    return Split("rollouts/r", "uid", "canary", BASELINE, CANDIDATE, 100, clock.now, 0.0, (), 3600.0)


@pytest.fixture
def ledger(store: Store, clock: Any) -> Iterator[ExposureLedger]:
    opened = ExposureLedger(store, clock)
    yield opened
    opened.stop()


def test_only_the_first_time_in_a_phase_counts(ledger: ExposureLedger, split: Split, clock: Any) -> None:
    first = ledger.record(split, "ada", CANDIDATE, "eu", clock.now)
    assert len(first) == TOKEN_LENGTH
    assert ledger.record(split, "ada", CANDIDATE, "us", clock.now + timedelta(hours=1)) == first
    ledger.record(split, "ada", BASELINE, "", clock.now)
    ledger.record(split, "bob", BASELINE, "", clock.now)
    ramp = replace(split, phase="ramp")
    assert ledger.record(ramp, "ada", CANDIDATE, "eu", clock.now) != first
    assert ledger.counts("rollouts/r", "canary") == {(CANDIDATE, "eu"): 1, (BASELINE, ""): 2}
    assert ledger.counts("rollouts/r", "ramp") == {(CANDIDATE, "eu"): 1}
    assert ledger.counts("rollouts/r", "none") == {}


def test_nobody_is_exposed_by_a_rollback(ledger: ExposureLedger, split: Split, clock: Any) -> None:
    """Everybody gets the baseline then: a learner of the candidate would be in both arms, and no analysis take both."""
    ledger.record(split, "ada", CANDIDATE, "", clock.now)
    token = ledger.record(split, "bob", BASELINE, "", clock.now)
    over = replace(split, candidate_weight_bp=0, is_over=True)
    assert ledger.record(over, "ada", BASELINE, "", clock.now) == ""
    assert ledger.record(over, "eve", BASELINE, "", clock.now) == ""
    assert ledger.record(over, "bob", BASELINE, "", clock.now) == token, "who was exposed before still is"
    assert ledger.counts("rollouts/r", "canary") == {(CANDIDATE, ""): 1, (BASELINE, ""): 1}


def test_what_is_no_exposure(ledger: ExposureLedger, split: Split, clock: Any) -> None:
    assert ledger.record(split, "ada", "variants/third", "", clock.now) == ""
    assert ledger.record(replace(split, phase=""), "ada", CANDIDATE, "", clock.now) == ""
    assert ledger.counts("rollouts/r", "canary") == {}
    assert ledger.pending_count == 0


def test_counts_are_exact_under_concurrency(ledger: ExposureLedger, store: Store, split: Split, clock: Any) -> None:
    tokens: list[set[tuple[str, str]]] = []

    def call(start: int) -> None:
        mine = set()
        for number in range(start, start + 3000):
            learner_id = str(number % 2000)
            variant = CANDIDATE if number % 2 else BASELINE
            mine.add((learner_id, ledger.record(split, learner_id, variant, str(number % 3), clock.now)))
        tokens.append(mine)

    threads = [threading.Thread(target=call, args=(start,)) for start in (0, 500, 1000, 1500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = ledger.counts("rollouts/r", "canary")
    assert sum(count for (variant, _), count in counts.items() if variant == CANDIDATE) == 1000
    assert sum(count for (variant, _), count in counts.items() if variant == BASELINE) == 1000
    assert len(set.union(*tokens)) == 2000
    assert ledger.flush()
    with store.read() as connection:
        assert connection.scalar(select(func.sum(exposure_batches.c.record_count))) == 2000
        assert connection.scalar(select(func.sum(func.length(exposure_batches.c.records)))) == 2000 * 16


def test_a_restart_remembers(store: Store, split: Split, clock: Any) -> None:
    before = ExposureLedger(store, clock)
    token = before.record(split, "ada", CANDIDATE, "eu", clock.now)
    for number in range(RECORDS_PER_BATCH):
        before.record(split, str(number), BASELINE, "", clock.now)
    before.flush()
    before.record(split, "last", BASELINE, "us", clock.now)
    before.stop()
    assert before.record(split, "late", BASELINE, "us", clock.now) == ""
    assert before.refused_count == 1
    after = ExposureLedger(store, clock)
    try:
        expected = {(BASELINE, ""): RECORDS_PER_BATCH, (BASELINE, "us"): 1, (CANDIDATE, "eu"): 1}
        assert after.counts("rollouts/r", "canary") == expected
        assert after.record(split, "ada", CANDIDATE, "eu", clock.now) == token
        assert after.counts("rollouts/r", "canary") == expected
        with store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(exposure_batches)) == 2
    finally:
        after.stop()
    clock.advance(days=30)
    long_after = ExposureLedger(store, clock)
    try:
        assert not long_after.loaded_phases()
        assert long_after.counts("rollouts/r", "canary") == expected
    finally:
        long_after.stop()


def test_segments_stay_few(ledger: ExposureLedger, split: Split, clock: Any) -> None:
    for number in range(MOST_SEGMENTS + 50):
        ledger.record(split, str(number), CANDIDATE, f"s{number}", clock.now)
    counts = ledger.counts("rollouts/r", "canary")
    assert counts[CANDIDATE, OTHER_SEGMENT] == 50
    assert len(counts) == MOST_SEGMENTS + 1


def test_a_store_that_does_not_keep_up_is_waited_for_then_counted(
    store: Store, split: Split, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Any) -> None:
        raise StoreError("the disk is full", place="here", remedy="free some space")

    group_commit = store.group_commit
    monkeypatch.setattr(store, "group_commit", full)
    ledger = ExposureLedger(store, clock, pending_limit=10, wait_seconds=0.01)
    try:
        tokens = [ledger.record(split, str(number), CANDIDATE, "", clock.now) for number in range(15)]
        assert [bool(token) for token in tokens] == [True] * 10 + [False] * 5
        assert ledger.refused_count == 5
        assert "does not keep up" in caplog.text
        # Answers for learners that are in go on as before, and nothing that was accepted is lost.
        assert ledger.record(split, "3", CANDIDATE, "", clock.now) == tokens[3]
        monkeypatch.setattr(store, "group_commit", group_commit)
        assert ledger.flush()
        assert ledger.record(split, "12", CANDIDATE, "", clock.now)
        assert ledger.counts("rollouts/r", "canary") == {(CANDIDATE, ""): 11}
    finally:
        ledger.stop()


def test_a_million_learners_take_sixteen_bytes_each() -> None:
    table = ExposureTable()
    for learner in range(100_000):
        assert table.add(learner * 7, learner)
        table.merge_if_large()
    learners, details = table.columns()
    assert learners.nbytes + details.nbytes == 16 * 100_000
    assert [table.get(learner * 7) for learner in (0, 5, 99_999)] == [0, 5, 99_999]
    assert table.get(8) is None


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove", "merge"]), st.integers(0, 20), st.integers(0, 2**64 - 1)),
        max_size=60,
    )
)
def test_a_table_is_a_dictionary_of_first_entries(steps: list[tuple[str, int, int]]) -> None:
    table, model = ExposureTable(), dict[int, int]()
    keys = [number * (2**60 - 1) for number in range(16)] + [0, 1, 2, 2**64 - 2, 2**64 - 1]
    for step, position, detail in steps:
        key = keys[position]
        if step == "add":
            assert table.add(key, detail) is (key not in model)
            model.setdefault(key, detail)
        elif step == "remove":
            assert table.remove(key) is (key in model)
            model.pop(key, None)
        else:
            learners, details = table.columns()
            rebuilt = ExposureTable()
            rebuilt.load(learners[::-1].copy(), details[::-1].copy())
            table = rebuilt
        assert len(table) == len(model)
        assert table.get(key) == model.get(key)
    learners, details = table.columns()
    assert dict(zip(learners.tolist(), details.tolist(), strict=True)) == model


@settings(max_examples=60)
@given(st.integers(0, 2**44 - 1), st.integers(0, 15), st.integers(0, 2**16 - 1))
def test_a_detail_holds_time_and_segment(time_ms: int, variant: int, segment: int) -> None:
    detail = pack_detail(time_ms, variant, segment)
    assert 0 <= detail < 2**64
    assert (time_ms_of(detail), segment_of(detail)) == (time_ms, segment)


@settings(max_examples=60)
@given(st.integers(0, 2**64 - 1), st.integers(0, 1), st.integers(0, 2**64 - 1), st.integers(0, TOKEN_LENGTH - 1))
def test_a_token_cannot_be_made_up(phase: int, variant: int, learner: int, position: int) -> None:
    content = TokenContent(phase, variant, learner)
    token = make_token(b"k" * 32, content)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert read_token(b"k" * 32, token) == content
    assert read_token(b"o" * 32, token) is None
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
    assert read_token(b"k" * 32, changed) is None


@pytest.mark.parametrize("text", ["", "x", "?" * TOKEN_LENGTH, "ü" * TOKEN_LENGTH, "A" * TOKEN_LENGTH])
def test_other_text_is_no_token(text: str) -> None:
    assert read_token(b"k" * 32, text) is None
