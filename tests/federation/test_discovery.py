"""A federation finds the bits that one process finds, whatever the regions, and no learner answers for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from covey.cohort_model import CohortModel
from covey.errors import InputError
from covey.federation import Federation, Keyring, RegionRefusedError, RegionSession, discover_without_learners
from covey.federation.questions import StepSizes, StepSums
from covey.federation.seeds import scattered
from covey.parameters import DEFAULT_TRAIT_WEIGHTS
from covey.parts import LocalPart
from covey.parts.questions import Conclude, CountLearners, DrawSample, LloydStep, Race

from .here_and_there import Here

SIZE = 3000


def learners(count: int = SIZE, seed: int = 1) -> NDArray[np.float32]:
    """Five clouds of learners, with noise."""
    chance = np.random.default_rng(seed)
    centres = chance.uniform(0.1, 0.9, (5, 5))
    points = centres[chance.integers(0, 5, count)] + chance.normal(0, 0.05, (count, 5))
    return np.ascontiguousarray(np.clip(points, 0, 1).T, dtype=np.float32)


MATRIX = learners()
HASHES = np.random.default_rng(2).integers(0, 2**63, SIZE).astype(np.uint64)


def part(rows: NDArray[Any]) -> LocalPart:
    return LocalPart(np.ascontiguousarray(MATRIX[:, rows]), HASHES[rows], DEFAULT_TRAIT_WEIGHTS)


def federated(groups: Sequence[NDArray[Any]], k: int = 4, seed: int = 3) -> tuple[CohortModel, list[Here]]:
    regions = [Here(f"region-{number}", part(rows)) for number, rows in enumerate(groups)]
    with Federation({each.name: each for each in regions}) as federation:
        return discover_without_learners(federation.ask, k, seed), regions


def central(k: int = 4, seed: int = 3, minimum: int = 50) -> tuple[CohortModel, LocalPart]:
    whole = part(np.arange(SIZE))
    model = discover_without_learners(lambda question: [whole.answer(question)], k, seed, minimum_group_size=minimum)
    return model, whole


def bits(model: CohortModel) -> tuple[object, ...]:
    return model.centroids.tobytes(), model.cohorts, model.quality, model.trait_weights, model.seed


@settings(max_examples=10)
@given(regions=st.integers(1, 4), chance=st.integers(0, 2**32))
def test_the_bits_of_one_process(regions: int, chance: int) -> None:
    places = np.random.default_rng(chance).integers(0, regions, SIZE)
    groups = [np.flatnonzero(places == number) for number in range(regions)]
    found, parts = federated(groups)
    expected, whole = central()
    assert bits(found) == bits(expected)
    for rows, region in zip(groups, parts, strict=True):
        assert whole.labels is not None and region.part.labels is not None
        assert np.array_equal(region.part.labels, whole.labels[rows])


def test_it_is_about_as_good_as_kmeans_from_learners() -> None:
    from covey.parts import discover_in_parts

    whole = part(np.arange(SIZE))
    drawn = discover_in_parts(lambda question: [whole.answer(question)], 5, 3, sample_size=0).model
    assert central(5)[0].quality.inertia < 1.05 * drawn.quality.inertia


def test_no_sum_is_about_few_learners() -> None:
    """Forty learners far from everybody: a cluster of theirs would show their mean."""
    far = MATRIX.copy()
    far[:, :40] = np.array([[0.0], [1.0], [0.0], [1.0], [0.0]], np.float32)
    whole = LocalPart(far, HASHES, DEFAULT_TRAIT_WEIGHTS)

    def ask(question: Any) -> list[Any]:
        answer = whole.answer(question)
        if isinstance(question, Conclude):
            smallest.append(int(np.bincount(whole.labels[whole.labels >= 0]).min()))  # type: ignore[index, arg-type]
        return [answer]

    smallest: list[int] = []
    discover_without_learners(ask, 7, 1, minimum_group_size=50, attempts=12)
    assert min(smallest) >= 50
    smallest.clear()
    discover_without_learners(ask, 7, 1, minimum_group_size=1, attempts=12)
    assert min(smallest) < 50, "the twin: without a minimum they are told of"


def test_too_few_learners() -> None:
    few = part(np.arange(30))
    with pytest.raises(InputError, match="30 learners in all parts"):
        discover_without_learners(lambda question: [few.answer(question)], 2)
    with pytest.raises(RegionRefusedError, match="region-1: this region has fewer than 50 learners"):
        federated([np.arange(30, SIZE), np.arange(30)])
    with pytest.raises(InputError, match="Choose a smaller k"):
        small = part(np.arange(120))
        discover_without_learners(lambda question: [small.answer(question)], 20)


def test_what_single_learners_answer_is_not_asked() -> None:
    region = Here("one", part(np.arange(SIZE)))
    with Federation({"one": region}) as federation:
        for question in (DrawSample(1, 10), Race(1, np.empty((0, 5), np.float32))):
            with pytest.raises(InputError, match="answered by single learners"):
                federation.ask(question)
    assert not region.said


def session() -> RegionSession:
    ring = Keyring("a", "run")
    ring.join({"a": ring.public_key, "b": Keyring("b", "run").public_key})
    return RegionSession(part(np.arange(SIZE)), ring, 50)


STEP = LloydStep(None, scattered(np.full(5, 0.5), np.full(5, 0.2), 3, 1, 0).astype(np.float32) * 0.4)


def test_a_number_is_answered_once() -> None:
    region = session()
    first = region.answer(1, b"one", CountLearners())
    assert np.array_equal(region.answer(1, b"one", CountLearners()), first), "a retry hears the same"
    with pytest.raises(InputError, match="question 1 was answered"):
        region.answer(1, b"two", StepSizes(STEP))
    region.answer(5, b"two", StepSizes(STEP))
    with pytest.raises(InputError, match="question 4 was answered"):
        region.answer(4, b"three", CountLearners())


def test_a_conclusion_follows_sizes_and_sums() -> None:
    region = session()
    end = Conclude(STEP.centroids, np.arange(3, dtype=np.int32))
    with pytest.raises(InputError, match="whose sums were told"):
        region.answer(1, b"1", end)
    with pytest.raises(InputError, match="whose sizes were asked for"):
        region.answer(2, b"2", StepSums(STEP, np.ones(3, bool)))
    region.answer(3, b"3", StepSizes(STEP))
    region.answer(4, b"4", StepSums(STEP, np.array([True, True, False])))
    with pytest.raises(InputError, match="whose sums were told"):
        region.answer(5, b"5", end)
    region.answer(6, b"6", Conclude(STEP.centroids, np.array([0, 1, -1], np.int32)))


def test_seeds_are_the_same_everywhere() -> None:
    means, deviations = np.array([0.2, 0.4, 0.5, 0.6, 0.9]), np.full(5, 0.1)
    points = scattered(means, deviations, 500, 7, 0)
    assert points.tobytes() == scattered(means, deviations, 500, 7, 0).tobytes()
    assert np.allclose(points.mean(axis=0), means, atol=0.02)
    assert np.allclose(points.std(axis=0)[:4], 0.1, atol=0.01)
    assert points[:3].tobytes() == scattered(means, deviations, 3, 7, 0).tobytes()
    assert not np.array_equal(points, scattered(means, deviations, 500, 7, 1))
