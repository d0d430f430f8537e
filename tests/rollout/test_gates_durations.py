"""Latencies beside the baseline's own: exceedances of a threshold that was known before the tick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats as scipy_stats

from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import RollbackStarted

from .lane import Array, Lane, Part, finite, plan_text

TRIGGER, CRITERION = "p99 worse than baseline", "p99 not worse than baseline"
FINE = tuple(float(edge) for edge in np.geomspace(0.005, 5.0, 40))
COARSE = (0.05, 0.2, 0.8)


def lane_with(edges: Sequence[float], hold: str = "2h") -> Lane:
    lane = Lane(plan_text(TRIGGER, criteria=(CRITERION,), share="10 %", hold=hold), edges=edges)
    lane.enter()
    return lane


def latencies(random: np.random.Generator, requests: int, factor: float, edges: Sequence[float]) -> Part:
    """Log-normal around 40 ms times the factor: p99 about 128 ms."""
    cumulative = scipy_stats.lognorm.cdf(np.array(edges), 0.5, scale=0.04 * factor)
    shares = np.diff(np.concatenate([[0.0], cumulative, [1.0]]))
    return Part(requests, durations=random.multinomial(requests, shares))


def drive(lane: Lane, edges: Sequence[float], factor: float, looks: int, seed: int = 3) -> int | None:
    random = np.random.default_rng(seed)
    candidate = [latencies(random, 200, factor, edges) for _ in range(looks)]
    return lane.run(candidate, [latencies(random, 1800, 1.0, edges) for _ in range(looks)])


@pytest.mark.parametrize("edges", [FINE, COARSE])
def test_all_latencies_doubled_are_found_on_any_grid(edges: tuple[float, ...]) -> None:
    lane = lane_with(edges)
    found = drive(lane, edges, 2.0, 240)
    assert found is not None
    assert found <= 60
    cause = lane.rollback()
    assert (cause.cause, cause.statement) == (RollbackStarted.CAUSE_TRIGGER, TRIGGER)
    verdict = next(v for v in cause.verdicts if v.statement == TRIGGER)
    assert verdict.estimate > 2
    assert "slower than" in verdict.sentence
    assert finite(verdict)


@pytest.mark.parametrize("edges", [FINE, COARSE])
def test_the_same_latencies_are_not(edges: tuple[float, ...]) -> None:
    lane = lane_with(edges)
    assert drive(lane, edges, 1.0, 100) is None
    assert lane.verdict(TRIGGER).result == Verdict.RESULT_INSUFFICIENT
    assert lane.verdict(TRIGGER).log_e_value < 0


def test_not_worse_is_shown_by_the_margin() -> None:
    lane = lane_with(FINE, hold="30m")
    drive(lane, FINE, 1.0, 200)
    finished = next(entry.finished for entry in lane.journal.entries if entry.HasField("finished"))
    verdict = next(found for found in finished.verdicts if found.statement == CRITERION)
    assert verdict.result == Verdict.RESULT_PASS
    assert verdict.limit == 2.0
    assert verdict.baseline_trial_count > verdict.trial_count > 0
    assert finite(verdict)


def test_the_threshold_is_that_of_the_ticks_before() -> None:
    """What the baseline does in a tick moves the threshold of the next, not its own."""
    edges = (0.1, 0.2, 0.4)
    lane = lane_with(edges)

    def look(candidate: Array, baseline: Array) -> None:
        lane.tick(
            Part(int(candidate.sum()), durations=candidate),
            Part(int(baseline.sum()), durations=baseline),
        )

    fast, candidate = np.array([900, 0, 0, 0]), np.array([70, 20, 6, 4])
    look(candidate, fast)
    assert lane.state.gates.thresholds == (None,), "the first page with durations is a base, not evidence"
    look(candidate, fast)
    assert lane.state.gates.thresholds == (None,)
    assert lane.state.gates.exceedances[:, 0].tolist() == [0.0, 0.0], "no tick before it said anything"
    look(candidate, np.array([0, 0, 9000, 0]))
    # Above 0.1 s, though the baseline's own tick would have said 0.4 s.
    assert lane.state.gates.thresholds == (0.1,)
    assert lane.state.gates.exceedances[:, 0].tolist() == [30.0, 9000.0]
    look(candidate, fast)
    assert lane.state.gates.thresholds == (0.4,)
    assert lane.state.gates.exceedances[:, 0].tolist() == [34.0, 9000.0]


def test_a_quantile_beyond_the_last_edge_says_nothing() -> None:
    edges = (0.1, 0.2)
    lane = lane_with(edges)
    slow = np.array([500, 300, 200])
    for _ in range(30):
        lane.tick(Part(100, durations=slow // 10), Part(1000, durations=slow))
    assert lane.state.gates.thresholds == (None,)
    assert lane.verdict(TRIGGER).log_e_value == 0.0
    assert "not known yet" in lane.verdict(TRIGGER).sentence


def test_a_page_with_another_grid_is_a_base_again() -> None:
    lane = lane_with(COARSE)
    drive(lane, COARSE, 1.0, 5)
    before = lane.state.gates
    lane.page.ClearField("durations")
    lane.edges = FINE
    drive(lane, FINE, 1.0, 1)
    assert lane.state.faults == ()
    assert lane.state.gates.baseline.durations == before.baseline.durations
    assert lane.state.gates.exceedances.tolist() == before.exceedances.tolist()
    drive(lane, FINE, 1.0, 1)
    durations = lane.state.gates.baseline.durations
    assert durations is not None
    assert durations.edges_seconds == FINE
