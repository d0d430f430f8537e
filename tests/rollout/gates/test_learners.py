"""Lasting differences between learners: measured on the baseline's shards, paid for by the ratio's null."""

from __future__ import annotations

import math

import numpy as np
import pytest

from covey.rollout.gates.formulas import advance_null, rollback_null
from covey.stats import ROLLBACK_RATIOS, over_start_times, rate_ratio_increments
from covey.stats.dispersion import between_learner_error
from covey.v1.evidence_pb2 import Verdict

from ..lane import Lane, plan_text, spread

SHARDS = 100
ERROR = "error_rate > 20 %"


def test_a_case_made_by_hand() -> None:
    """Four shards of 100 requests with 0, 0, 30 and 10 failures: p = 0.1, squares 100 + 100 + 400 + 0."""
    poisson_part = (1 + 2 * math.sqrt(2 / 4)) * 40
    expected = math.sqrt(600 - poisson_part) / 40 * math.sqrt(1 / 0.25)
    found = between_learner_error(np.array([0.0, 0.0, 30.0, 10.0]), np.full(4, 100.0), 0.25)
    assert float(found) == pytest.approx(expected)


def test_learners_that_are_alike_give_none() -> None:
    random = np.random.default_rng(0)
    events = random.poisson(5.0, (500, SHARDS)).astype(float)
    found = between_learner_error(events, np.full((500, SHARDS), 1000.0), 0.05)
    assert (found == 0).mean() > 0.95


def test_it_is_0_without_events_and_without_a_candidate() -> None:
    assert float(between_learner_error(np.zeros(3), np.full(3, 10.0), 0.1)) == 0.0
    assert float(between_learner_error(np.zeros(3), np.zeros(3), 0.1)) == 0.0
    assert float(between_learner_error(np.array([9.0, 0.0, 0.0]), np.full(3, 10.0), 0.0)) == 0.0


def test_nulls_widen_above_a_tenth() -> None:
    errors = np.array([0.0, 0.1, 0.1001, 0.5])
    assert rollback_null(np.full(4, 1.2), errors) == pytest.approx([1.2, 1.2, 1.2 * 1.2002, 2.4])
    narrowed = advance_null(np.full(4, 2.0), errors)
    assert narrowed[:3] == pytest.approx([2.0, 2.0, 2 / 1.2002])
    assert np.isnan(narrowed[3]), "it would reach the alternatives"


EVEN = np.repeat([1, 0], [10, 90])


def lane_with(baseline_by_shard: np.ndarray, ticks: int) -> Lane:
    """10 % of the learners, with ten failures a tick."""
    criterion = "{statement: error_rate < 40 %, margin: 2}"
    lane = Lane(plan_text(ERROR, criteria=(criterion,), share="10 %"))
    lane.enter()
    for _ in range(ticks):
        lane.tick(spread(1000, EVEN), spread(9000, baseline_by_shard))
    return lane


def test_half_of_the_learners_fail_and_the_null_is_widened() -> None:
    """Half of the shards hold all failures: the spread is a tenth of the events, 0.32 at a tenth of the learners."""
    ticks = 6
    lane = lane_with(np.repeat([2, 0], SHARDS // 2), ticks)
    by_hand = []
    for earlier in range(1, ticks + 1):
        # The first page with shards is a base: they count from the second on, for ticks after it.
        events = max(0, earlier - 2) * 100.0
        lasting = max(0.0, events**2 / SHARDS - (1 + 2 * math.sqrt(2 / SHARDS)) * events)
        by_hand.append(math.sqrt(lasting) / events * math.sqrt(10) if events else 0.0)
    assert lane.state.gates.learner_errors[0] == pytest.approx(by_hand[-1])
    assert 0.1 < by_hand[-1] < 0.32
    steps = [
        rate_ratio_increments(10.0, 100.0, 0.1, r0, ratios=np.array(ROLLBACK_RATIOS) * r0)
        for r0 in np.where(np.array(by_hand) > 0.1, 1 + 2 * np.array(by_hand), 1.0)
    ]
    quiet = np.zeros((lane.state.gates.tick - ticks, len(ROLLBACK_RATIOS)))
    expected = over_start_times(np.concatenate([quiet, *steps]), share_at_start=1.0, planned_ticks=240)
    assert lane.state.in_phase
    assert lane.state.gates.log_e[1, 0] == pytest.approx(expected[-1])


def test_too_few_learners_end_the_comparison() -> None:
    """One shard holds every failure: no ratio test, INSUFFICIENT where the margin is asked."""
    one = np.zeros(SHARDS, dtype=int)
    one[3] = 60
    lane = lane_with(one, 2)
    compared = lane.state.gates.log_e[1, 0]
    assert lane.state.in_phase
    for _ in range(30):
        lane.tick(spread(1000, EVEN), spread(9000, one))
    assert lane.state.gates.learner_errors[0] > 1
    assert lane.state.gates.log_e[1, 0] == pytest.approx(compared)
    assert lane.verdict(ERROR).result != Verdict.RESULT_FAIL
    criterion = lane.verdict("error_rate < 40 %")
    assert criterion.result == Verdict.RESULT_INSUFFICIENT
    assert not criterion.tests[1].shown
