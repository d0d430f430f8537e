"""A split that is not as planned: criteria are INVALID, comparisons rest, absolute triggers go on."""

from __future__ import annotations

import pytest

from covey.rollout.state import State
from covey.rollout.validity import split_mismatch
from covey.v1.evidence_pb2 import LearnerCount, Verdict

from .lane import Lane, Part, plan_text

STATEMENT, ERROR = "error_rate < 40 %", "error_rate > 5 %"


def lane_with(mine: int, other: int, *, hold: str = "5m") -> Lane:
    lane = Lane(plan_text(ERROR, criteria=(f"{{statement: {STATEMENT}, margin: 2}}",), share="10 %", hold=hold))
    lane.enter()
    split(lane, mine, other)
    return lane


def split(lane: Lane, mine: int, other: int, segment: str = "") -> None:
    spec = lane.state.spec
    for variant, count in ((spec.candidate, mine), (spec.baseline, other)):
        lane.learners.append(LearnerCount(variant=variant, segment=segment, learner_count=count))


def looks(lane: Lane, count: int, errors: int = 1) -> None:
    for _ in range(count):
        lane.tick(Part(100, errors), Part(900, 1))


def test_a_broken_split_is_invalid_and_holds() -> None:
    lane = lane_with(1500, 8500)
    looks(lane, 20)
    verdict = lane.verdict(STATEMENT)
    assert verdict.result == Verdict.RESULT_INVALID
    assert "1,500 of 10,000 got the candidate where 10 % should" in verdict.sentence
    assert not verdict.HasField("needed_count")
    assert lane.state.state == State.STATE_HOLDING
    assert lane.state.explanation == "the learners are not split as planned"


def test_comparisons_rest_and_absolute_triggers_go_on() -> None:
    lane = lane_with(1500, 8500)
    lane.tick(Part(100, 1), Part(900, 1))  # after it the counts are known
    before = lane.state.gates
    looks(lane, 20, errors=3)  # the ratio alone would have shown it
    assert lane.state.in_phase
    assert lane.state.gates.log_e[1] == pytest.approx(before.log_e[1])
    assert (lane.state.gates.margins == before.margins).all()
    assert lane.state.gates.log_e[0, 0] != before.log_e[0, 0]
    twin = lane_with(1000, 9000)
    for _ in range(20):
        if twin.state.in_phase:
            looks(twin, 1, errors=3)
    assert twin.state.state == State.STATE_ROLLING_BACK
    looks(lane, 10, errors=30)
    assert lane.rollback().statement == ERROR


def test_a_split_as_planned_passes() -> None:
    lane = lane_with(1030, 8970)
    assert not split_mismatch(lane.state)
    looks(lane, 5)
    assert lane.verdict(STATEMENT).result != Verdict.RESULT_INVALID


def test_it_is_believed_again_when_the_counts_come_right() -> None:
    lane = lane_with(1500, 8500)
    looks(lane, 20)
    lane.learners.clear()
    split(lane, 10_000, 90_000)
    looks(lane, 1)
    assert lane.verdict(STATEMENT).result != Verdict.RESULT_INVALID


def test_excluded_segments_are_left_out() -> None:
    from covey.rollout.draft import payload_entry
    from covey.v1.journal_pb2 import SegmentExcluded

    lane = lane_with(1000, 9000)
    split(lane, 0, 5000, segment="beginners")
    looks(lane, 2)
    assert "1,000 of 15,000" in split_mismatch(lane.state)
    lane.journal.append([payload_entry(segment_excluded=SegmentExcluded(segment="beginners"))], epoch=1)
    assert not split_mismatch(lane.state)
