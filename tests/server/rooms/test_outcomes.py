"""Outcomes: stored once, credited by the rules of the design, summed per learner."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sqlalchemy import func, select

from covey.rollout.outcomes import relative_effect
from covey.v1 import outcomes_pb2, traits_pb2
from covey_server.outcomes.exposures import ExposureLedger
from covey_server.outcomes.exposures_store import exposure_covariates
from covey_server.outcomes.outcomes import OutcomeBook
from covey_server.outcomes.store import outcomes
from covey_server.split import JudgedOutcome, Split

BASELINE, CANDIDATE = "variants/reference", "variants/native"
WINDOW_SECONDS = 100.0


@pytest.fixture
def split(clock: Any) -> Split:
    return Split("rollouts/r", "uid", "canary", BASELINE, CANDIDATE, 5000, clock.now, 0.0, (), WINDOW_SECONDS)


def outcome(clock: Any, learner_id: str, value: float = 1.0, seconds: float = 0.0, token: str = "") -> Any:
    message = outcomes_pb2.Outcome(learner_id=learner_id, metric="revenue", value=value, exposure_token=token)
    message.time.FromDatetime(clock.now + timedelta(seconds=seconds))
    return message


def report(server: Any, *batch: Any, request_id: str = "") -> outcomes_pb2.ReportOutcomesResponse:
    request = outcomes_pb2.ReportOutcomesRequest(outcomes=batch, request_id=request_id or str(uuid4()))
    answer: outcomes_pb2.ReportOutcomesResponse = server.outcome.ReportOutcomes(request)
    return answer


@dataclass
class Case:
    """Exposures are (seconds, phase, variant); the outcome may carry the token of one of them."""

    name: str
    exposures: list[tuple[float, str, str]]
    seconds: float
    credited: tuple[str, str] | None
    token_of: int | None = None
    learner_id: str = "ada"


CASES = [
    Case("no exposure", [], 0, None),
    Case("at the exposure's time", [(0, "canary", BASELINE)], 0, ("canary", BASELINE)),
    Case("before the exposure", [(10, "canary", BASELINE)], 9, None),
    Case("at the end of the window", [(0, "canary", BASELINE)], WINDOW_SECONDS, ("canary", BASELINE)),
    Case("after the window", [(0, "canary", BASELINE)], WINDOW_SECONDS + 1, None),
    Case("the last exposure", [(0, "canary", BASELINE), (10, "ramp", CANDIDATE)], 20, ("ramp", CANDIDATE)),
    Case("the last one before it", [(0, "canary", BASELINE), (10, "ramp", CANDIDATE)], 5, ("canary", BASELINE)),
    Case(
        "the last one decides, although an older window is open", [(0, "canary", CANDIDATE)], 50, ("canary", CANDIDATE)
    ),
    Case(
        "a token names its exposure",
        [(0, "canary", BASELINE), (10, "ramp", CANDIDATE)],
        20,
        ("canary", BASELINE),
        token_of=0,
    ),
    Case("a token after its window", [(0, "canary", BASELINE)], WINDOW_SECONDS + 1, None, token_of=0),
    Case("a token of a clock that is behind", [(5, "canary", BASELINE)], 4, ("canary", BASELINE), token_of=0),
    Case("a token of another learner", [(0, "canary", BASELINE)], 1, None, token_of=0, learner_id="bob"),
    Case("another learner", [(0, "canary", BASELINE)], 1, None, learner_id="bob"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_is_credited(server: Any, clock: Any, split: Split, case: Case) -> None:
    tokens = [
        server.ledger.record(replace(split, phase=phase), "ada", variant, "", clock.now + timedelta(seconds=seconds))
        for seconds, phase, variant in case.exposures
    ]
    token = "" if case.token_of is None else tokens[case.token_of]
    answer = report(server, outcome(clock, case.learner_id, 3.0, case.seconds, token))
    assert (answer.stored_count, answer.credited_count) == (1, int(case.credited is not None))
    later = clock.now + timedelta(days=1)
    found = {
        (phase, row.variant)
        for phase in ("canary", "ramp")
        for row in server.outcomes.moments(replace(split, phase=phase), later)
        if row.sum
    }
    assert found == ({case.credited} if case.credited else set())


def test_a_text_that_is_no_token_is_refused_with_its_place(server: Any, clock: Any, split: Split) -> None:
    server.ledger.record(split, "ada", BASELINE, "", clock.now)
    with pytest.raises(grpc.RpcError, match=r"outcomes\[1\]\.exposure_token: 'made up' is no token"):
        report(server, outcome(clock, "ben"), outcome(clock, "ada", token="made up"))
    assert report(server, outcome(clock, "ada")).credited_count == 1


def test_a_learner_counts_once_when_the_window_has_closed(server: Any, clock: Any, split: Split) -> None:
    record = server.ledger.record
    record(split, "pays", CANDIDATE, "eu", clock.now)
    record(split, "pays-not", CANDIDATE, "eu", clock.now)
    record(split, "new", CANDIDATE, "", clock.now + timedelta(seconds=50))
    record(split, "base", BASELINE, "us", clock.now)
    report(server, outcome(clock, "pays", 2), outcome(clock, "pays", 3, 1), outcome(clock, "new", 9, 60))
    open_still = server.outcomes.moments(split, clock.now + timedelta(seconds=WINDOW_SECONDS))
    assert [(row.learner_count, row.sum) for row in open_still] == [(0, 0), (0, 0)]

    closed = server.outcomes.moments(split, clock.now + timedelta(seconds=WINDOW_SECONDS + 1))
    rows = {(row.variant, row.segment): row for row in closed}
    assert rows.keys() == {(BASELINE, ""), (BASELINE, "us"), (CANDIDATE, ""), (CANDIDATE, "eu")}
    candidate = rows[CANDIDATE, ""]
    assert (candidate.learner_count, candidate.nonzero_count) == (2, 1)
    assert (candidate.sum, candidate.sum_of_squares, candidate.center) == (5, 25, 0)
    assert rows[CANDIDATE, "eu"].sum == 5
    assert (rows[BASELINE, "us"].learner_count, rows[BASELINE, "us"].sum) == (1, 0)

    server.restart()
    again = server.outcomes.moments(split, clock.now + timedelta(seconds=WINDOW_SECONDS + 1))
    assert again == closed


def test_sums_are_capped_and_centred(server: Any, clock: Any, split: Split) -> None:
    ledger = ExposureLedger(server.store, clock, caps={"revenue": (0.0, 10.0)})
    book = OutcomeBook(server.store, ledger, clock)
    try:
        generator = np.random.default_rng(1)
        expected = defaultdict(list)
        batch = []
        for learner in range(200):
            variant = CANDIDATE if learner % 2 else BASELINE
            ledger.record(split, str(learner), variant, "", clock.now)
            values = generator.uniform(-5, 12, generator.integers(0, 3)).tolist()
            batch += [outcome(clock, str(learner), value) for value in values]
            expected[variant].append(min(max(sum(values), 0.0), 10.0))
        book.report(outcomes_pb2.ReportOutcomesRequest(outcomes=batch, request_id="r"))
        for row in book.moments(split, clock.now + timedelta(days=1)):
            centred = np.array(expected[row.variant]) - 5.0
            assert row.center == 5.0
            assert row.learner_count == 100
            assert row.sum == pytest.approx(centred.sum(), rel=1e-12)
            assert row.sum_of_squares == pytest.approx((centred**2).sum(), rel=1e-12)
            assert row.nonzero_count == np.count_nonzero(expected[row.variant])
    finally:
        ledger.stop()


def test_a_batch_is_stored_once_and_outlives_a_restart(server: Any, clock: Any, split: Split) -> None:
    server.ledger.record(split, "ada", CANDIDATE, "", clock.now)
    first = report(server, outcome(clock, "ada", 4), outcome(clock, "zoe", 4), request_id="r")
    assert (first.stored_count, first.credited_count) == (2, 1)
    for _ in range(2):
        assert report(server, outcome(clock, "ada", 4), outcome(clock, "zoe", 4), request_id="r") == first
        with server.store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(outcomes)) == 2
        (total,) = [row.sum for row in server.outcomes.moments(split, clock.now + timedelta(days=1)) if row.sum]
        assert total == 4
        server.restart()
    with pytest.raises(grpc.RpcError) as caught:
        report(server, outcome(clock, "ada", 5), request_id="r")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_concurrent_batches_share_commits_and_add_up(server: Any, clock: Any, split: Split) -> None:
    server.ledger.record(split, "ada", CANDIDATE, "", clock.now)
    server.ledger.flush()
    before = server.store.commit_count

    def call(number: int) -> None:
        for step in range(10):
            report(server, outcome(clock, "ada", 1), request_id=f"{number}-{step}")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = server.outcomes.moments(split, clock.now + timedelta(days=1))
    assert {row.sum for row in rows if row.variant == CANDIDATE} == {80}
    assert server.store.commit_count - before <= 80


def test_every_wrong_field_is_named_and_nothing_is_stored(server: Any, clock: Any) -> None:
    bad = [
        outcome(clock, ""),
        outcome(clock, "x" * 257),
        outcome(clock, "a", float("nan")),
        outcomes_pb2.Outcome(learner_id="a", metric="Revenue!", value=1),
    ]
    with pytest.raises(grpc.RpcError) as caught:
        report(server, outcome(clock, "good"), *bad)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)
    details = error_details_pb2.BadRequest()
    assert status is not None
    assert status.details[0].Unpack(details)
    assert [violation.field for violation in details.field_violations] == [
        "outcomes[1].learner_id",
        "outcomes[2].learner_id",
        "outcomes[3].value",
        "outcomes[4].metric",
        "outcomes[4].time",
    ]
    for batch, text in (([], "is empty"), ([outcome(clock, "a")] * 10_001, "at most 10000")):
        with pytest.raises(grpc.RpcError) as caught:
            report(server, *batch)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert text in caught.value.details()
    with server.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(outcomes)) == 0


RULE = JudgedOutcome("revenue", 0.0, 10.0, "interaction_frequency")


def exposed_with_traits(server: Any, clock: Any, split: Split, learners: int = 400) -> None:
    """Learners whose revenue is largely what their frequency was; the candidate brings a tenth more."""
    generator = np.random.default_rng(7)
    batch = []
    for learner in range(learners):
        variant = CANDIDATE if learner % 2 else BASELINE
        frequency = float(generator.uniform())
        traits = traits_pb2.Traits(interaction_frequency=frequency)
        segment = "eu" if learner % 4 < 2 else "us"
        server.ledger.record(split, str(learner), variant, segment, clock.now, lambda traits=traits: traits)
        value = (4 + 4 * frequency + generator.normal(0, 0.3)) * (1.1 if learner % 2 else 1.0)
        batch.append(outcome(clock, str(learner), value))
    report(server, *batch)


def test_a_covariate_narrows_the_interval_and_outlives_a_restart(server: Any, clock: Any, split: Split) -> None:
    split = replace(split, outcomes=(RULE,))
    exposed_with_traits(server, clock, split)
    later = clock.now + timedelta(days=1)
    rows = server.outcomes.moments(split, later)
    assert {row.covariate for row in rows} == {"interaction_frequency"}
    assert {row.center for row in rows} == {5.0}, "the ends of the spec's rule"
    base, mine = (next(r for r in rows if r.variant == v and not r.segment) for v in (BASELINE, CANDIDATE))
    adjusted = relative_effect((mine, base))
    without = [replace_covariate(row) for row in (mine, base)]
    plain = relative_effect((without[0], without[1]))
    assert adjusted is not None
    assert plain is not None
    assert adjusted.explained > 0.8
    assert adjusted.variance < plain.variance / 3
    assert adjusted.estimate == pytest.approx(0.1, abs=0.03)

    server.restart()
    assert server.outcomes.moments(split, later) == rows


def replace_covariate(row: Any) -> Any:
    bare = type(row)()
    bare.CopyFrom(row)
    bare.ClearField("covariate")
    return bare


def test_sums_of_a_covariate_are_those_of_the_learners(server: Any, clock: Any, split: Split) -> None:
    split = replace(split, outcomes=(RULE,))
    frequencies = {"a": 0.25, "b": 0.75, "c": 1.0}
    for learner, frequency in frequencies.items():
        traits = traits_pb2.Traits(interaction_frequency=frequency)
        server.ledger.record(split, learner, CANDIDATE, "", clock.now, lambda traits=traits: traits)
        server.ledger.record(split, learner, CANDIDATE, "", clock.now, traits_pb2.Traits)
    report(server, outcome(clock, "a", 4), outcome(clock, "b", 12))
    (row,) = [r for r in server.outcomes.moments(split, clock.now + timedelta(days=1)) if r.variant == CANDIDATE]
    x, y = np.array([0.25, 0.75, 1.0]) - 0.5, np.array([4.0, 10.0, 0.0]) - 5.0
    assert row.covariate_center == 0.5
    assert (row.covariate_sum, row.covariate_sum_of_squares) == (pytest.approx(x.sum()), pytest.approx((x * x).sum()))
    assert row.cross_sum == pytest.approx((x * y).sum())


def test_a_learner_of_whom_nothing_was_kept_takes_the_covariate_from_the_phase(
    server: Any, clock: Any, split: Split
) -> None:
    """As a store of an older version has them: it opens, and its phases are judged without."""
    server.ledger.record(split, "old", BASELINE, "", clock.now)
    server.restart()
    split = replace(split, outcomes=(RULE,))
    server.ledger.record(split, "new", BASELINE, "", clock.now, lambda: traits_pb2.Traits(interaction_frequency=1))
    report(server, outcome(clock, "new", 4))
    rows = server.outcomes.moments(split, clock.now + timedelta(days=1))
    assert rows[0].learner_count == 2
    assert {row.covariate for row in rows} == {""}


def test_an_excluded_segment_is_in_no_total(server: Any, clock: Any, split: Split) -> None:
    split = replace(split, outcomes=(RULE,))
    exposed_with_traits(server, clock, split, 40)
    later = clock.now + timedelta(days=1)
    everything = {(r.variant, r.segment): r for r in server.outcomes.moments(split, later)}
    rest = {(r.variant, r.segment): r for r in
            server.outcomes.moments(replace(split, excluded_segments=frozenset({"eu"})), later)}  # fmt: skip
    assert rest.keys() == {(variant, segment) for variant in (BASELINE, CANDIDATE) for segment in ("", "us")}
    assert rest[CANDIDATE, "us"] == everything[CANDIDATE, "us"]
    assert rest[CANDIDATE, ""].learner_count == rest[CANDIDATE, "us"].learner_count


def test_a_deleted_learner_leaves_no_covariate(server: Any, clock: Any, split: Split) -> None:
    split = replace(split, outcomes=(RULE,))
    server.ledger.record(split, "ada", BASELINE, "", clock.now, lambda: traits_pb2.Traits(interaction_frequency=1))
    with server.ledger.settled():
        server.store.group_commit(lambda connection: server.ledger.forget_stored(connection, "ada"))
        server.ledger.forget_remembered("ada")
    with server.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(exposure_covariates)) == 0
    assert all(len(table) == 0 for table in server.ledger.phase_of(split).covariates["interaction_frequency"])
