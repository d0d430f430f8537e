"""Numbers that no data have: named, kept from every gate, INVALID for criteria; and nothing crashes on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.model import State
from covey.rollout.replay import replay
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import LearnerCount, OutcomeMoments, ProbeCounts, ReplicaReading, Verdict

from .lane import Lane, Part, plan_text

NATIVE, REFERENCE = "variants/native", "variants/reference"
CRITERIA = ("error_rate < 2 %", "revenue > -3 %", "segments(revenue) < 5 %")
TRIGGERS = ("error_rate > 5 %", "availability < 90 %", "revenue < -20 %", "p99 > 2 s")
USUAL = {"learner_count": 1000, "sum": 10.0, "sum_of_squares": 1000.0, "nonzero_count": 500}


def lane() -> Lane:
    made = Lane(plan_text(*TRIGGERS, criteria=CRITERIA, share="10 %", hold="1h"))
    made.enter()
    for _ in range(32):
        made.tick(Part(100), Part(900))
    return made


def moments(**wrong: Any) -> list[OutcomeMoments]:
    """Of both variants, in all and in two segments; the candidate's as given."""
    return [
        OutcomeMoments(metric="revenue", variant=variant, segment=segment, **(USUAL | change))
        for variant, change in ((NATIVE, wrong), (REFERENCE, {}))
        for segment in ("", "a", "b")
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sum": math.nan}, "its sum is no finite number"),
        ({"sum_of_squares": math.inf}, "its sum_of_squares is no finite number"),
        ({"center": -math.inf}, "its center is no finite number"),
        ({"covariate": "x", "cross_sum": math.nan}, "its cross_sum is no finite number"),
        ({"learner_count": -5}, "500 of -5 learners have one"),
        ({"nonzero_count": 5000}, "5,000 of 1,000 learners have one"),
        ({"nonzero_count": -1}, "-1 of 1,000 learners have one"),
        ({"sum": 1e6, "sum_of_squares": 1.0}, "its sum of squares is smaller than its sum allows"),
        ({"covariate": "x", "covariate_sum_of_squares": -1.0}, "its sum of squares is smaller than its sum allows"),
    ],
)
def test_outcomes_of_no_data_are_invalid_and_say_why(wrong: dict[str, Any], said: str) -> None:
    running = lane()
    running.outcomes = moments(**wrong)
    running.tick(Part(100), Part(900))
    assert running.state.faults == (f"outcome 'revenue' of {NATIVE}: {said}",)
    assert not running.state.outcomes
    verdict = running.verdict("revenue > -3 %")
    assert verdict.result == Verdict.RESULT_INVALID
    assert verdict.sentence.endswith(said)
    assert running.state.state == State.STATE_HOLDING
    assert running.state.explanation == f"outcome 'revenue' of {NATIVE} cannot be believed"
    running.outcomes = moments()
    running.tick(Part(100), Part(900))
    assert not running.state.faults
    assert replay(running.journal.entries) == running.journal.entries


def test_a_series_that_is_there_twice_is_invalid() -> None:
    running = lane()
    running.outcomes = [*moments(), moments()[1]]
    running.tick(Part(100), Part(900))
    (fault,) = running.state.faults
    assert fault == f"outcome 'revenue' of {NATIVE} in segment 'a': it is there twice in one look"
    assert running.verdict("revenue > -3 %").result == Verdict.RESULT_INVALID


@pytest.mark.parametrize(
    ("learners", "said"),
    [
        ([LearnerCount(variant=NATIVE, learner_count=-5)], "their number is negative, -5"),
        ([LearnerCount(variant=NATIVE, learner_count=5)] * 2, "they were counted twice in one look"),
    ],
)
def test_learners_that_cannot_be_are_invalid(learners: list[LearnerCount], said: str) -> None:
    running = lane()
    running.learners = learners
    running.tick(Part(100), Part(900))
    assert running.state.faults == (f"learners of {NATIVE}: {said}",)
    assert running.verdict("error_rate < 2 %").result == Verdict.RESULT_INVALID


def another(field: str) -> Callable[[ReplicaReading], None]:
    def change(page: ReplicaReading) -> None:
        series = getattr(page, field)
        if not series:
            series.add(variant=NATIVE)
        series.add().CopyFrom(series[0])

    return change


def at(start_time: float) -> Callable[[ReplicaReading], None]:
    def change(page: ReplicaReading) -> None:
        page.server_start_time_seconds = start_time

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another("variants"), f"it has 2 series of {NATIVE}"),
        (another("shards"), f"it has 2 series of shards of {NATIVE}"),
        (another("durations"), f"it has 2 series of durations of {NATIVE}"),
        (at(math.nan), "its page is older than the one before"),
    ],
)
def test_two_series_for_one_variant_are_a_fault(change: Callable[[ReplicaReading], None], said: str) -> None:
    running = lane()
    change(running.page)
    running.tick(Part(100), Part(900))
    assert running.state.faults == (f"replica a: {said}",)
    assert running.verdict("error_rate < 2 %").result == Verdict.RESULT_INVALID
    assert running.state.explanation == "the metrics of replica a cannot be believed"


def test_probes_that_cannot_be_are_no_evidence() -> None:
    running = lane()
    before = running.state.rollout_counts
    probes = [ProbeCounts(replica="a", variant=NATIVE, answered_count=-3)]
    evidence = Evidence(30.0, running.journal.now, readings=[running.page], probes=probes)
    running.journal.append(decide(running.state.spec, running.state, evidence, running.journal.now), epoch=1)
    assert running.state.faults == (f"probes of {NATIVE} on replica a: their number is negative",)
    assert running.state.rollout_counts == before


NUMBER = st.sampled_from([0.0, 1.0, -1.0, 1e300, math.nan, math.inf, -math.inf, 5e-324])
COUNT = st.sampled_from([0, 1, 100, -1, 2**62, -(2**62)])
FEW = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)])
MOMENTS = st.builds(
    OutcomeMoments,
    metric=st.sampled_from(["revenue", "other"]),
    variant=st.sampled_from([NATIVE, REFERENCE]),
    segment=st.sampled_from(["", "a", "b"]),
    learner_count=COUNT,
    nonzero_count=COUNT,
    sum=NUMBER,
    sum_of_squares=NUMBER,
    center=NUMBER,
    covariate=st.sampled_from(["", "x"]),
    covariate_sum=NUMBER,
    covariate_sum_of_squares=NUMBER,
    covariate_center=NUMBER,
    cross_sum=NUMBER,
)
RUNNING = lane()


@settings(max_examples=150)
@given(
    st.lists(MOMENTS, max_size=6),
    st.lists(st.builds(LearnerCount, variant=st.sampled_from([NATIVE, REFERENCE]), learner_count=COUNT), max_size=3),
    st.lists(
        st.builds(ProbeCounts, replica=st.just("a"), variant=st.just(NATIVE), answered_count=FEW, unanswered_count=FEW),
        max_size=2,
    ),
    NUMBER,
)
def test_nothing_crashes_and_nothing_advances(
    outcomes: list[OutcomeMoments], learners: list[LearnerCount], probes: list[ProbeCounts], seconds: float
) -> None:
    state = RUNNING.state
    evidence = Evidence(
        min(seconds, 60.0), RUNNING.journal.now, [RUNNING.page], probes=probes, outcomes=outcomes, learners=learners
    )
    entries = decide(state.spec, state, evidence, RUNNING.journal.now)
    assert entries[0].HasField("tick")
    assert not any(entry.HasField("phase_entered") or entry.HasField("finished") for entry in entries)
    assert current_verdicts(state)
