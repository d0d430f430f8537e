"""Made-up traffic through the live decide()."""

from __future__ import annotations

import numpy as np
import pytest

from covey.rollout.rehearsal import Operator
from covey.rollout.simulation import Ending, Variant, World, simulate

from .world import plan


def run(seed: int = 1, **changes: object) -> Ending:
    world = World(**{"per_second": 700.0, **changes})  # type: ignore[arg-type]
    return simulate(plan(), world, np.random.default_rng(seed))


def test_a_candidate_as_good_as_the_baseline_succeeds() -> None:
    ending = run()
    assert ending.outcome == "SUCCEEDED"
    assert ending.since_onset is None
    assert 5_000 < ending.learners <= 10_000


def test_the_same_seed_gives_the_same_ending() -> None:
    assert run(3) == run(3)
    assert run(3).candidate_requests != run(4).candidate_requests


def test_errors_are_found_after_their_onset() -> None:
    ending = run(candidate=Variant(error=0.2), onset_seconds=12.0)
    assert (ending.outcome, ending.cause) == ("ROLLED_BACK", "trigger")
    assert ending.statement == "error_rate > 3 %"
    assert ending.since_onset is not None
    assert 0 < ending.since_onset < 8
    assert ending.learners <= 500


def test_slow_answers_are_found() -> None:
    ending = run(candidate=Variant(p99_seconds=0.9))
    assert (ending.outcome, ending.statement) == ("ROLLED_BACK", "p99 > 250 ms")


@pytest.mark.parametrize("changes", [{"daily": 0.5}, {"bursts": 0.01}])
def test_load_and_bursts_of_both_roll_nothing_back(changes: dict[str, float]) -> None:
    assert run(**changes).cause not in {"trigger", "criterion"}


def test_nobody_signs() -> None:
    world = World(per_second=10.0, watch_ticks=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("covey.rollout.simulation.MOST_TICKS", 5)
        ending = simulate(plan(), world, np.random.default_rng(1), operator=Operator.NOBODY)
    assert ending.outcome == "AWAITING_APPROVAL"
    assert ending.candidate_requests == 0
