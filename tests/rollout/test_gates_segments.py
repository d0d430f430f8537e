"""Harm to a segment that the total hides."""

from __future__ import annotations

import pytest

from covey.rollout.state import State
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import RollbackStarted

from .lane import Lane, Part, plan_text
from .test_outcomes import moments

CRITERIA = (
    "{statement: error_rate < 40 %, margin: 0}",
    "{statement: segments(engagement) < 5 %, accept_by: product}",
    "{statement: engagement > -3 %, accept_by: product}",
)
LEARNERS = 30_000


def lane_with(effects: dict[str, float], *, on_harm: str = "", share: str = "50 %") -> Lane:
    """A relative effect by segment, and the total of all of them."""
    head = f"on_segment_harm: {on_harm}" if on_harm else ""
    lane = Lane(plan_text("error_rate > 20 %", criteria=CRITERIA, share=share, head=head))
    lane.enter()
    told(lane, effects)
    return lane


def told(lane: Lane, effects: dict[str, float]) -> None:
    lane.outcomes.clear()
    total = sum(effects.values()) / len(effects)
    for segment, effect in {**effects, "": total}.items():
        learners = LEARNERS if segment else LEARNERS * len(effects)
        lane.outcomes.append(moments("engagement", "variants/native", 2 * (1 + effect), learners, segment))
        lane.outcomes.append(moments("engagement", "variants/reference", 2.0, learners, segment))


def looks(lane: Lane, count: int) -> None:
    for _ in range(count):
        if lane.state.in_phase:
            lane.tick(Part(100), Part(100))


HIDDEN = {"beginners": -0.15, "experts": 0.2, "others": 0.0}


def test_harm_that_the_total_hides_is_found_and_rolled_back() -> None:
    lane = lane_with(HIDDEN)
    looks(lane, 29)
    assert lane.state.in_phase, "before the burn-in nothing is said"
    assert lane.verdict("engagement > -3 %").estimate > 0
    looks(lane, 1)
    cause = lane.rollback()
    assert (cause.cause, cause.statement) == (RollbackStarted.CAUSE_TRIGGER, "segments(engagement) < 5 %")
    assert "segment 'beginners' changes by -15 %" in cause.explanation
    results = {verdict.statement: verdict.result for verdict in cause.verdicts}
    assert results["engagement > -3 %"] != Verdict.RESULT_FAIL
    assert results["segments(engagement) < 5 %"] == Verdict.RESULT_FAIL


def test_a_fall_within_the_limit_is_not_harm() -> None:
    lane = lane_with({"beginners": -0.04, "experts": 0.0, "others": 0.0})
    looks(lane, 60)
    assert lane.state.in_phase


def test_a_segment_with_few_outcomes_is_not_judged() -> None:
    lane = lane_with(HIDDEN)
    for outcome in lane.outcomes:
        if outcome.segment == "beginners":
            outcome.nonzero_count = 99
    looks(lane, 60)
    assert lane.state.in_phase


def test_the_harmed_segment_is_routed_back_and_the_rollout_goes_on() -> None:
    lane = lane_with(HIDDEN, on_harm="exclude")
    looks(lane, 60)
    assert lane.state.in_phase
    (excluded,) = [e.segment_excluded for e in lane.journal.entries if e.HasField("segment_excluded")]
    assert excluded.segment == "beginners"
    assert excluded.statement == "segments(engagement) < 5 %"
    assert "-15 %" in excluded.explanation
    assert excluded.verdicts[0].result == Verdict.RESULT_FAIL
    assert lane.state.excluded_segments == ("beginners",)
    verdict = lane.verdict("segments(engagement) < 5 %")
    assert verdict.result != Verdict.RESULT_FAIL, "it is judged on those that still get the candidate"
    assert verdict.trial_count == 2 * LEARNERS
    assert lane.journal.refold() == lane.state


def test_two_harmed_segments_are_excluded_one_by_one_and_the_last_rolls_back() -> None:
    effects = {"beginners": -0.15, "experts": -0.2}
    lane = lane_with(effects, on_harm="exclude")
    looks(lane, 40)
    excluded = [e.segment_excluded.segment for e in lane.journal.entries if e.HasField("segment_excluded")]
    assert excluded == ["experts"], "the worst first"
    assert lane.state.state == State.STATE_ROLLING_BACK
    assert "segment 'beginners'" in lane.rollback().explanation


def test_an_only_segment_rolls_back() -> None:
    lane = lane_with({"everyone": -0.15}, on_harm="exclude")
    looks(lane, 40)
    assert lane.state.state == State.STATE_ROLLING_BACK


@pytest.mark.parametrize("on_harm", ["", "exclude"])
def test_without_harm_nothing_is_said(on_harm: str) -> None:
    lane = lane_with({"beginners": 0.0, "experts": 0.01, "others": -0.01}, on_harm=on_harm)
    looks(lane, 60)
    assert lane.state.in_phase
    assert lane.state.excluded_segments == ()
