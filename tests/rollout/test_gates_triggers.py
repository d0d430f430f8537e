"""What rolls back: levels and ratios over the time of onset, through the live decide()."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from scipy import stats as scipy_stats

from covey.rollout.state import State
from covey.stats import bernoulli_level
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import RollbackStarted

from .lane import Lane, Part, counted, plan_text, poisson, spread

ERROR = "error_rate > 1.5 %"
BASELINE_RATE = 0.00085
LOOKS = 240


def traffic(seed: int, *, ratio: float, onset: int = 0, looks: int = LOOKS) -> tuple[list[Part], list[Part]]:
    """100 candidate and 9,900 baseline requests a look; the candidate fails `ratio` times as often from the onset."""
    random = np.random.default_rng(seed)
    rate = np.where(np.arange(looks) < onset, 1.0, ratio) * BASELINE_RATE
    return counted(100, random.binomial(100, rate)), counted(9900, random.binomial(9900, BASELINE_RATE, looks))


def quiet(seed: int, looks: int) -> list[Part]:
    return counted(10_000, poisson(seed, 10_000 * BASELINE_RATE, looks))


def test_three_times_a_small_rate_is_found_far_below_the_limit() -> None:
    lane = Lane(plan_text(ERROR))
    lane.enter()
    assert lane.run(*traffic(1, ratio=3.0)) is not None
    cause = lane.rollback()
    assert (cause.cause, cause.statement) == (RollbackStarted.CAUSE_TRIGGER, ERROR)
    verdict = next(found for found in cause.verdicts if found.statement == ERROR)
    level, ratio = verdict.tests
    assert not level.shown
    assert ratio.shown
    assert verdict.estimate < 0.015 / 4
    assert ratio.estimate == pytest.approx(3.0, rel=0.5)
    assert "of the baseline's" in verdict.sentence


def test_without_a_comparison_it_is_not_found() -> None:
    lane = Lane(plan_text(f"{{statement: {ERROR}, tolerance: 0}}"))
    lane.enter()
    lane.run(*traffic(1, ratio=3.0))
    assert "rollback_started" not in lane.journal.kinds()
    (test,) = lane.verdict(ERROR).tests
    assert test.name == "level_increments"
    assert lane.verdict(ERROR).baseline_trial_count == 0


def test_harm_that_sets_in_late_is_found_where_the_baseline_was_watched_before() -> None:
    candidate, baseline = traffic(2, ratio=5.0, onset=200)
    watched, hasty = Lane(plan_text(ERROR)), Lane(plan_text(ERROR))
    watched.wait(quiet(2, 121))
    hasty.wait(quiet(2, 100))
    assert watched.state.gates.over_start_times
    found = watched.run(candidate, baseline)
    assert found is not None
    assert found > 200
    verdict = next(v for v in watched.rollback().verdicts if v.statement == ERROR)
    assert verdict.test == "level_increments, over the time of onset and rate_ratio, over the time of onset"
    hasty.run(candidate, baseline)
    assert "rollback_started" not in hasty.journal.kinds()
    assert not hasty.state.gates.over_start_times
    assert hasty.verdict(ERROR).test == "level_increments and rate_ratio"


HEALTHY = plan_text(
    ERROR,
    "p99 > 250 ms",
    "p99 worse than baseline",
    "availability < 99 %",
    share="10 %",
    criteria=("{statement: error_rate < 40 %, margin: 0}",),
)
EDGES = (0.05, 0.1, 0.2, 0.4)
SHARES = (0.6, 0.3, 0.09, 0.008, 0.002)
ROLLOUTS, HEALTHY_LOOKS = int(os.environ.get("COVEY_GATES_ROLLOUTS", "120")), 24
"""COVEY_GATES_ROLLOUTS=500 in `make gates-live`."""


def test_healthy_rollouts_stay_within_the_ledger() -> None:
    """Short ones, so that there are many: the simulations of `covey gates verify` take the long ones."""
    rolled_back = 0
    total = 0.0
    for seed in range(ROLLOUTS):
        random = np.random.default_rng(seed)
        lane = Lane(HEALTHY, edges=EDGES)
        lane.enter()
        total = lane.state.plan.ledger.total
        for _ in range(HEALTHY_LOOKS):
            lane.tick(*(drawn(random, requests) for requests in (100, 900)))
            if not lane.state.in_phase:
                assert lane.rollback().cause == RollbackStarted.CAUSE_TRIGGER
                rolled_back += 1
                break
    assert total == pytest.approx(0.03)
    assert rolled_back <= scipy_stats.binom.ppf(0.999, ROLLOUTS, total)


def drawn(random: np.random.Generator, requests: int) -> Part:
    errors = int(random.binomial(requests, 0.005))
    durations = random.multinomial(requests, SHARES)
    return Part(requests, errors, int(random.binomial(errors, 0.5)), int(durations[4]), durations=durations)


def few_errors(shards: list[int]) -> Lane:
    """20,000 clean candidate requests beside a clean baseline, then one error in each of these shards, one a look."""
    lane = Lane(plan_text(ERROR, share="5 %"))
    lane.enter()
    nothing = np.zeros(100, dtype=int)
    for _ in range(20):
        lane.tick(spread(1000, nothing), spread(19_000, nothing))
    for shard in shards:
        assert lane.state.in_phase
        lane.tick(spread(1000, np.bincount([shard], minlength=100)), spread(19_000, nothing))
    return lane


def test_a_handful_of_errors_beside_a_clean_baseline_rolls_back_once_five_learners_met_one() -> None:
    four = few_errors([1, 2, 3, 4])
    verdict = four.verdict(ERROR)
    assert verdict.result != Verdict.RESULT_FAIL
    assert verdict.affected_learner_count == 4
    assert verdict.log_e_value > verdict.log_threshold + math.log(2)
    assert verdict.estimate < four.state.spec.error_floor
    assert few_errors([1, 2, 3, 4, 4]).state.in_phase
    fifth = few_errors([1, 2, 3, 4, 5])
    assert fifth.state.state == State.STATE_ROLLING_BACK
    found = next(v for v in fifth.rollback().verdicts if v.statement == ERROR)
    assert found.affected_learner_count == 5
    assert found.estimate < fifth.state.spec.error_floor


def test_an_excess_at_the_floor_needs_no_fifth_learner() -> None:
    lane = Lane(plan_text(ERROR, share="5 %", head="error_floor: 0.0001"))
    lane.enter()
    candidate = [Part(1000)] * 20 + [Part(1000, 1)] * 4
    assert lane.run(candidate, [Part(19_000)] * 24) is not None
    assert lane.rollback().statement == ERROR


def test_triggers_of_a_family_are_judged_by_their_mean() -> None:
    lane = Lane(plan_text("p99 > 250 ms", "p95 > 200 ms", share="10 %"))
    lane.enter()
    between = 0
    for _ in range(LOOKS):
        verdict = lane.verdict("p99 > 250 ms")
        assert verdict.log_threshold == pytest.approx(math.log(100))
        between += verdict.log_threshold <= verdict.log_e_value < verdict.log_threshold + math.log(2)
        lane.tick(Part(100, slow=(2, 2)), Part(900))
        if not lane.state.in_phase:
            break
    assert between > 0, "one e-value alone would have rolled back"
    found = {verdict.statement: verdict for verdict in lane.rollback().verdicts}
    assert lane.rollback().statement == "p99 > 250 ms"
    worst, mild = found["p99 > 250 ms"].log_e_value, found["p95 > 200 ms"].log_e_value
    assert np.logaddexp(worst, mild) - math.log(2) >= math.log(100)


@pytest.mark.parametrize(("more", "refuted"), [(-1, False), (0, True)])
def test_a_refuted_criterion_rolls_back_only_from_its_share(more: int, refuted: bool) -> None:
    criterion = "{statement: error_rate < 1 %, margin: 0}"
    trigger = "{statement: error_rate > 5 %, tolerance: 0}"
    lane = Lane(plan_text(trigger, criteria=(criterion,), share="10 %", hold="300s"))
    lane.enter()
    assert lane.state.plan.ledger.refutation_alphas == ((0.001,),)
    trials = 4000
    errors = np.arange(40, 200)
    log_e = bernoulli_level(errors, np.full(errors.shape, trials), 0.01, alternative="greater")
    assert log_e.max() > math.log(1000)
    enough = int(errors[np.argmax(log_e >= math.log(1000))]) + more
    by_tick = [enough // 10 + (number < enough % 10) for number in range(10)]
    lane.run(counted(400, by_tick), [Part(3600)] * 10)
    verdict = lane.verdict("error_rate < 1 %") if lane.state.in_phase else None
    if refuted:
        assert lane.rollback().cause == RollbackStarted.CAUSE_CRITERION
    else:
        assert verdict is not None
        assert verdict.result == Verdict.RESULT_INSUFFICIENT
        assert lane.state.state == State.STATE_HOLDING
        assert log_e[errors == enough].item() > math.log(1 / 0.05)
