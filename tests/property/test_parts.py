"""Any split of the learners into any number of parts gives the bits of all learners at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.cohort_model import weighted_points
from covey.discovery import sample_positions
from covey.engine import engine_named
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, FURTHER_NAMES, TraitParameters
from covey.parts import LocalPart, PartGroup, discover_in_parts
from covey.parts.questions import ClusterSums, Conclude, Conclusion, LloydStep
from covey.traits import Traits


def traits_of(matrix, ids=None):
    count = matrix.shape[1]
    ids = np.arange(count, dtype=np.int64) * 7 + 3 if ids is None else ids
    further = {name: np.zeros(count) for name in FURTHER_NAMES}
    return Traits(LearnerIds(integers=ids), matrix, further, 0, 0, TraitParameters(), "native")


def parts_of(traits, part_of, count, threads=1, isa=None):
    hashes = traits.learner_ids.hashes()
    made = []
    for part in range(count):
        own = np.flatnonzero(part_of == part)
        matrix = np.ascontiguousarray(traits.matrix[:, own])
        made.append((own, LocalPart(matrix, hashes[own], DEFAULT_TRAIT_WEIGHTS, threads, isa)))
    return made


def asking(parts):
    return lambda question: [part.answer(question) for _, part in parts]


def assert_same(found, parts, whole):
    model, expected = found.model, whole.model
    assert model.centroids.tobytes() == expected.centroids.tobytes()
    assert model.cohorts == expected.cohorts
    assert model.quality == expected.quality
    assert (model.trait_weights, model.seed, model.k) == (expected.trait_weights, expected.seed, expected.k)
    assert dict(found.silhouette_by_k) == dict(whole.silhouette_by_k)
    labels = np.full(len(whole.labels), -7, dtype=np.int32)
    for own, part in parts:
        labels[own] = part.labels
    assert labels.tobytes() == whole.labels.tobytes()


@st.composite
def splits(draw):
    count = draw(st.integers(1, 120))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([2, 5, 1000]))  # few values: ties between learners are common
    matrix = (random.integers(0, steps + 1, size=(5, count)) / steps).astype(np.float32)
    part_count = draw(st.integers(1, 9))
    part_of = random.integers(0, part_count, size=count)
    if draw(st.booleans()):  # one learner a part, and parts of nobody between them
        part_count, part_of = 2 * count, 2 * np.arange(count)
    k = draw(st.one_of(st.just("auto"), st.integers(1, 14)))
    return matrix, part_of, part_count, k, draw(st.integers(0, 2**63 - 1))


@given(splits())
@settings(max_examples=120)
def test_any_split_gives_the_same_cohorts(split):
    matrix, part_of, part_count, k, seed = split
    traits = traits_of(matrix)
    parts = parts_of(traits, part_of, part_count)
    try:
        whole = traits.discover(k=k, seed=seed, threads=1)
    except InputError as error:
        with pytest.raises(InputError) as refused:
            discover_in_parts(asking(parts), k, seed)
        assert str(refused.value) == str(error)
        return
    assert_same(discover_in_parts(asking(parts), k, seed), parts, whole)


@given(splits(), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_parts_that_are_lost_at_any_question_change_nothing(split, chance_seed):
    matrix, part_of, part_count, _, seed = split
    traits = traits_of(matrix)
    whole = traits.discover(seed=seed, threads=1)
    parts = parts_of(traits, part_of, part_count)
    chance = np.random.default_rng(chance_seed)

    def ask(question):
        made_anew = parts_of(traits, part_of, part_count)
        answers = []
        for number in range(part_count):
            if chance.random() < 0.5:
                parts[number] = made_anew[number]
            if chance.random() < 0.2:  # it answered, and the answer was lost
                parts[number][1].answer(question)
                parts[number] = made_anew[number]
            answers.append(parts[number][1].answer(question))
        return answers

    found = discover_in_parts(ask, "auto", seed)
    # Whoever was lost after the last question has no labels; they are made by asking again.
    assert found.model.centroids.tobytes() == whole.model.centroids.tobytes()
    assert (found.model.cohorts, found.model.quality) == (whole.model.cohorts, whole.model.quality)


@pytest.fixture(scope="module")
def many():
    """More learners than the sample of the silhouette holds, and than one thread or one block takes."""
    random = np.random.default_rng(5)
    centres = random.random((9, 5)) * 0.8
    points = centres[random.integers(0, 9, size=70_000)] + random.normal(0, 0.05, size=(70_000, 5))
    traits = traits_of(np.ascontiguousarray(np.clip(points, 0, 1).astype(np.float32).T))
    return traits, {k: traits.discover(k=k, seed=4, threads=1) for k in ("auto", 9, 40)}


@pytest.mark.parametrize("k", ["auto", 9, 40])
@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_instruction_set_thread_count_and_size_of_part(many, isa, k):
    traits, wholes = many
    shares = np.random.default_rng(6).choice(4, size=len(traits), p=[0.75, 0.2, 0.0499, 0.0001])
    for threads in (1, 2):
        parts = parts_of(traits, shares, 5, threads, isa)  # the last one is empty
        assert_same(discover_in_parts(asking(parts), k, 4, threads=threads), parts, wholes[k])


def test_a_group_of_parts_is_a_part(many):
    traits, wholes = many
    parts = parts_of(traits, np.arange(len(traits)) % 7, 8)
    group = PartGroup([part for _, part in parts[:5]])
    others = PartGroup([part for _, part in parts[5:]])
    nobody = LocalPart(np.zeros((5, 0), np.float32), np.zeros(0, np.uint64), DEFAULT_TRAIT_WEIGHTS)
    found = discover_in_parts(lambda question: [each.answer(question) for each in (nobody, group, others)], "auto", 4)
    assert_same(found, parts, wholes["auto"])


def test_sums_may_be_masked_modulo_two_to_the_64(many):
    traits, wholes = many
    parts = parts_of(traits, np.arange(len(traits)) % 3, 3)
    random = np.random.default_rng(8)

    def masked(answers):
        vectors = np.array([answer.to_vector() for answer in answers]).view(np.uint64)
        masks = random.integers(0, 2**64, size=vectors.shape, dtype=np.uint64)
        masks[-1] = -masks[:-1].sum(axis=0, dtype=np.uint64)
        hidden = vectors + masks
        assert not np.isin(hidden[:, :3], vectors[:, :3]).any()
        return hidden.sum(axis=0, dtype=np.uint64).view(np.int64)

    def ask(question):
        answers = asking(parts)(question)
        if isinstance(question, LloydStep):
            return [ClusterSums.from_vector(masked(answers), len(question.centroids))]
        if isinstance(question, Conclude):
            return [Conclusion.from_vector(masked(answers), 9)]
        return answers

    assert_same(discover_in_parts(ask, 9, 4), parts, wholes[9])


def test_given_centroids_need_no_single_learner(many):
    traits, _ = many
    asked = []

    def discover(part_count):
        parts = parts_of(traits, np.arange(len(traits)) % part_count, part_count)

        def ask(question):
            asked.append(type(question).__name__)
            return asking(parts)(question)

        initial = np.linspace(0, 0.3, 20, dtype=np.float32).reshape(4, 5)
        return discover_in_parts(ask, 4, initial_centroids=initial, sample_size=0)

    one, five = discover(1), discover(5)
    assert one.model.centroids.tobytes() == five.model.centroids.tobytes()
    assert (one.model.cohorts, one.model.quality) == (five.model.cohorts, five.model.quality)
    assert one.model.quality.silhouette is None
    assert not {"Race", "DrawSample"} & set(asked)


def test_equal_hashes_at_the_border_of_the_sample_are_told_apart_by_what_they_are():
    engine = engine_named("native")
    random = np.random.default_rng(3)
    matrix = random.random((5, 60)).astype(np.float32)
    hashes = np.repeat(np.arange(12, dtype=np.uint64), 5)
    chosen = set()
    for _ in range(20):
        order = random.permutation(60)
        positions = sample_positions(engine, matrix[:, order], hashes[order], 1, 18)
        assert len(positions) == 18
        chosen.add(tuple(sorted(order[positions].tolist())))
    assert len(chosen) == 1


def test_equal_hashes_of_different_learners_split_in_any_way():
    random = np.random.default_rng(9)
    matrix = random.random((5, 200)).astype(np.float32)
    hashes = np.repeat(np.arange(4, dtype=np.uint64), 50)

    def discover(part_of, count):
        parts = [
            LocalPart(np.ascontiguousarray(matrix[:, part_of == part]), hashes[part_of == part], DEFAULT_TRAIT_WEIGHTS)
            for part in range(count)
        ]
        return discover_in_parts(lambda question: [part.answer(question) for part in parts], "auto", 1, sample_size=70)

    whole = discover(np.zeros(200, int), 1)
    for count in (2, 3, 50):
        found = discover(random.integers(0, count, size=200), count)
        assert found.model.centroids.tobytes() == whole.model.centroids.tobytes()
        assert found.model.quality == whole.model.quality
        assert dict(found.silhouette_by_k) == dict(whole.silhouette_by_k)


def test_what_cannot_be_is_refused():
    part = LocalPart(np.zeros((5, 0), np.float32), np.zeros(0, np.uint64), DEFAULT_TRAIT_WEIGHTS)
    with pytest.raises(InputError, match="0 learners in all parts"):
        discover_in_parts(lambda question: [part.answer(question)])
    some = LocalPart(np.ones((5, 4), np.float32), np.arange(4, dtype=np.uint64), DEFAULT_TRAIT_WEIGHTS)
    with pytest.raises(InputError, match="without a sample"):
        discover_in_parts(lambda question: [some.answer(question)], sample_size=0)
    too_large = LocalPart(np.full((5, 2), 1.5, np.float32), np.arange(2, dtype=np.uint64), DEFAULT_TRAIT_WEIGHTS)
    with pytest.raises(ValueError, match="expected 0"):
        discover_in_parts(lambda question: [too_large.answer(question)], 1)


def test_a_finished_part_says_so():
    points = weighted_points(np.random.default_rng(1).random((5, 30)).astype(np.float32), DEFAULT_TRAIT_WEIGHTS)
    ranges = np.array([[0] * 5, [1] * 5], np.float32)
    centroids = np.ascontiguousarray(points[:, :3].T)
    part = _core.PartialKMeans(points, centroids, ranges)
    assert part.changed == 30
    with pytest.raises(ValueError, match="2 rows, expected 3"):
        part.step(centroids[:2].copy())
    labels, squared = part.finish()
    expected, distances = _core.assign(points, centroids)
    assert labels.tobytes() == expected.tobytes()
    assert squared == int(np.rint(distances.astype(np.float64) * 2**32).sum())
    with pytest.raises(ValueError, match="finished"):
        part.step(centroids)
