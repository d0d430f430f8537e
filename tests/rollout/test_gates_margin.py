"""What advances: the level, and the baseline's rate times the margin."""

from __future__ import annotations

import pytest

from covey.v1.evidence_pb2 import Verdict

from .lane import Lane, Part, finite, plan_text

STATEMENT = "error_rate < 5 %"
NAME = "rate_ratio or bernoulli_level at the error floor"
CANDIDATE, BASELINE = 1000, 9000


def lane_with(*, share: str = "10 %", margin: str = "2") -> Lane:
    criterion = f"{{statement: {STATEMENT}, margin: {margin}}}"
    trigger = "{statement: error_rate > 20 %, tolerance: 0}"
    lane = Lane(plan_text(trigger, criteria=(criterion,), share=share, hold="150s"))
    lane.enter()
    return lane


def feed(lane: Lane, ticks: int, errors: int, baseline_errors: int = 45) -> Verdict:
    for _ in range(ticks):
        if lane.state.in_phase:
            lane.tick(Part(CANDIDATE, errors), Part(BASELINE, baseline_errors))
    if lane.state.in_phase:
        verdict = lane.verdict(STATEMENT)
    else:
        finished = next(e.finished for e in lane.journal.entries if e.HasField("finished"))
        verdict = next(found for found in finished.verdicts if found.statement == STATEMENT)
    assert finite(verdict)
    return verdict


def test_exactly_the_margin_is_never_shown() -> None:
    verdict = feed(lane_with(), 100, errors=10)
    level, ratio = verdict.tests
    assert level.shown
    assert (ratio.name, ratio.null_value, ratio.estimate) == (NAME, 2.0, 2.0)
    assert ratio.log_e_value < 0
    assert verdict.result == Verdict.RESULT_INSUFFICIENT
    assert not verdict.HasField("needed_count")
    assert verdict.log_e_value == ratio.log_e_value
    assert (verdict.baseline_event_count, verdict.baseline_trial_count) == (4500, 900_000)


def test_well_below_the_margin_is_shown() -> None:
    verdict = feed(lane_with(), 100, errors=4)
    assert verdict.result == Verdict.RESULT_PASS
    assert all(test.shown for test in verdict.tests)
    assert verdict.tests[1].estimate < 1.0


@pytest.mark.parametrize("errors", [2, 3])
def test_so_many_more_as_it_says_are_enough_and_fewer_are_not(errors: int) -> None:
    verdict = feed(lane_with(), 6, errors, baseline_errors=18)
    assert verdict.result == Verdict.RESULT_INSUFFICIENT
    needed = verdict.needed_count
    assert needed > CANDIDATE
    assert f"needs {needed:,} more" in verdict.sentence
    ticks = -(-needed // CANDIDATE)
    assert feed(lane_with(), 6 + ticks - 1, errors, baseline_errors=18).result == Verdict.RESULT_INSUFFICIENT
    assert feed(lane_with(), 6 + ticks, errors, baseline_errors=18).result == Verdict.RESULT_PASS


def test_beside_a_clean_baseline_a_rate_below_the_floor_is_enough() -> None:
    verdict = feed(lane_with(), 5, errors=0, baseline_errors=0)
    assert verdict.result == Verdict.RESULT_INSUFFICIENT
    ticks = -(-verdict.needed_count // CANDIDATE)
    assert feed(lane_with(), 5 + ticks - 1, 0, baseline_errors=0).result == Verdict.RESULT_INSUFFICIENT
    verdict = feed(lane_with(), 5 + ticks, 0, baseline_errors=0)
    assert verdict.result == Verdict.RESULT_PASS
    assert not verdict.tests[1].HasField("estimate")


def test_without_a_margin_only_the_level_is_asked() -> None:
    verdict = feed(lane_with(margin="0"), 5, errors=10)
    assert verdict.result == Verdict.RESULT_PASS
    assert [test.name for test in verdict.tests] == ["bernoulli_level"]


def test_at_all_of_the_learners_there_is_nobody_to_compare_with() -> None:
    lane = lane_with(share="100 %")
    for _ in range(5):
        lane.tick(Part(CANDIDATE, 10))
    (finished,) = [entry.finished for entry in lane.journal.entries if entry.HasField("finished")]
    verdict = next(found for found in finished.verdicts if found.statement == STATEMENT)
    assert verdict.result == Verdict.RESULT_PASS
    assert [test.name for test in verdict.tests] == ["bernoulli_level"]
    assert finite(verdict)
