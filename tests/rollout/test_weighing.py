"""The short ways that decide() takes at every look say what the long ones say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.rollout.counts import counts_of, fallen, faults_of, plain_counts
from covey.rollout.questions import criterion_questions, trigger_questions
from covey.rollout.units import rounded
from covey.rollout.verdicts import judge, results_of
from covey.rollout.weighing import reaches
from covey.v1.evidence_pb2 import ReplicaReading, Verdict

from .lane import Lane, Part, plan_text, spread

CANDIDATE, BASELINE = "variants/native", "variants/reference"
LIMITS = (0.2, 0.25)
COUNT = st.integers(-1, 4)


@st.composite
def pages(draw: st.DrawFn) -> ReplicaReading:
    """Pages of small numbers, many of which cannot be true."""
    page = ReplicaReading(replica="a", server_start_time_seconds=1.0)
    for variant in draw(st.sampled_from([(CANDIDATE, BASELINE), (BASELINE,), (CANDIDATE, BASELINE, "variants/third")])):
        counters = page.variants.add(variant=variant, shed_count=draw(COUNT))
        counters.request_count, counters.error_count, counters.unavailable_count = draw(
            st.tuples(st.integers(0, 4), COUNT, COUNT)
        )
        for limit in draw(st.sampled_from([LIMITS, LIMITS, LIMITS[::-1], LIMITS[:1], (*LIMITS, 0.4)])):
            counters.over_limits.add(limit_seconds=limit, request_count=draw(COUNT))
    page.shadow.equal_count, page.shadow.failed_count = draw(st.tuples(COUNT, COUNT))
    return page


@settings(max_examples=300)
@given(pages(), pages())
def test_a_plain_page_is_what_the_closer_look_believes(before: ReplicaReading, after: ReplicaReading) -> None:
    found = [plain_counts(page, CANDIDATE, BASELINE, LIMITS) for page in (before, after)]
    for page, counts in zip((before, after), found, strict=True):
        fault = faults_of(page, CANDIDATE, LIMITS)
        if counts is None:
            usual = [tuple(over.limit_seconds for over in counters.over_limits) for counters in page.variants]
            assert fault or usual != [LIMITS, LIMITS]
            continue
        assert not fault
        mine, rival = (counts_of(page, v, LIMITS, with_shadow=v == CANDIDATE) for v in (CANDIDATE, BASELINE))
        assert counts == (mine, rival)
    if found[0] is not None and found[1] is not None:
        lowest = min((now - then).lowest for then, now in zip(found[0], found[1], strict=True))
        assert (lowest < 0) == bool(fallen(before, after))


@settings(max_examples=200)
@given(st.floats(-50, 50), st.floats(-2e-8, 2e-8))
def test_evidence_reaches_a_threshold_with_nine_digits(threshold: float, distance: float) -> None:
    threshold = rounded(threshold)
    log_e = np.array([threshold + distance, threshold - 1, threshold + 1])
    thresholds = np.full(3, threshold)
    assert reaches(log_e, thresholds).tolist() == [rounded(value) >= threshold for value in log_e.tolist()]
    assert not reaches(log_e, np.full(3, np.inf)).any()


@pytest.mark.parametrize("rate", [0.0, 0.004, 0.015])
def test_results_are_those_of_the_verdicts(rate: float) -> None:
    random, usual = np.random.default_rng(3), max(0.003, rate)
    criteria = ("error_rate < 2 %", "availability > 99 %", "p99 < 200 ms", "critical_incidents = 0")
    triggers = ("error_rate > 5 %", "p99 > 400 ms", "availability < 95 %")
    lane = Lane(plan_text(*triggers, criteria=criteria, share="10 %"))
    lane.wait([spread(10_000, random.binomial(100, usual, 100)) for _ in range(20)])
    seen: set[int] = set()
    for _ in range(60):
        mine = random.binomial(10, rate, 100)
        slow = int(random.binomial(1000, 0.008 if rate > 0.01 else 0.001))
        part = spread(1000, mine)
        lane.tick(Part(1000, part.errors, slow=slow, shards=part.shards), spread(9000, random.binomial(90, usual, 100)))
        if not lane.state.in_phase:
            break
        for questions in (criterion_questions(lane.state), trigger_questions(lane.state)):
            said = [verdict.result for verdict in judge(lane.state, questions, full=False)]
            assert results_of(lane.state, questions) == said
            seen.update(said)
    assert seen >= ({Verdict.RESULT_PASS} if rate < 0.01 else {Verdict.RESULT_INSUFFICIENT})
