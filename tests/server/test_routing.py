"""Who answers for a learner: the golden buckets of the design, to the last learner."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.identifiers import bucket
from covey.reference.hashing import murmur3_x86_32
from covey_server.answering.routing import route, shard_of
from covey_server.metrics.counters import SHARD_COUNT
from covey_server.split import Split

STABLE = "variants/reference"


def split(weight_bp: int, uid: str = "salt") -> Split:
    return Split(
        rollout="rollouts/r",
        uid=uid,
        phase="canary",
        baseline=STABLE,
        candidate="variants/native",
        candidate_weight_bp=weight_bp,
        effective_at=datetime(2026, 1, 1, tzinfo=UTC),
        shadow_share=0.0,
        limits_seconds=(),
        outcome_window_seconds=60.0,
    )


@pytest.mark.parametrize(
    ("learner", "expected"), [("1", 2950642640), ("9007199254740993", 4215930294), ("ünï", 1513046970)]
)
def test_golden_buckets_decide_at_exactly_their_weight(learner: str, expected: int) -> None:
    assert bucket("salt", learner) == expected
    first_bp = expected * 10_000 // 2**32 + 1
    assert route(learner, split(first_bp), STABLE).is_candidate
    assert not route(learner, split(first_bp - 1), STABLE).is_candidate


@settings(max_examples=100)
@given(st.text(max_size=20), st.integers(0, 10_000))
def test_the_split_is_the_formula(learner: str, weight_bp: int) -> None:
    expected = murmur3_x86_32(f"salt:{learner}".encode()) < weight_bp * 2**32 // 10_000
    found = route(learner, split(weight_bp), STABLE)
    assert found.is_candidate is expected
    assert found.variant == ("variants/native" if expected else STABLE)
    assert found.other_variant == (STABLE if expected else "variants/native")


def test_weights_0_and_10000_are_nobody_and_everybody() -> None:
    learners = [str(number) for number in range(2000)]
    assert not any(route(learner, split(0), STABLE).is_candidate for learner in learners)
    assert all(route(learner, split(10_000), STABLE).is_candidate for learner in learners)


def test_without_a_rollout_the_stable_variant_answers() -> None:
    found = route("1", None, STABLE)
    assert (found.variant, found.is_candidate, found.other_variant) == (STABLE, False, None)


def test_a_probe_goes_where_it_says() -> None:
    found = route("1", split(0), STABLE, "variants/native")
    assert (found.variant, found.is_candidate, found.is_probe) == ("variants/native", True, True)
    assert not route("1", split(10_000), STABLE, STABLE).is_candidate


def test_shards_spread_evenly_and_ignore_the_split() -> None:
    counts = [0] * SHARD_COUNT
    for number in range(20_000):
        counts[shard_of(str(number))] += 1
    assert min(counts) > 130
    assert max(counts) < 270
