"""Cohorts: their order, names and quality, and what the number of learners allows."""

from __future__ import annotations

import numpy as np
import pytest

from covey.agreement import adjusted_rand_index
from covey.archetypes import ARCHETYPES, archetype_scores, name_cohorts
from covey.cohort_model import weighted_points
from covey.discovery import by_descending_size, sample_then_assign
from covey.engine import engine_named
from covey.errors import InputError
from covey.fixed_point import group_means, standardised
from covey.identifiers import LearnerIds
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, TRAIT_NAMES, TraitParameters
from covey.traits import Traits


def traits_of(matrix, engine="reference", ids=None):
    """A trait table of given values, shape (5, n)."""
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    count = matrix.shape[1]
    learner_ids = LearnerIds(integers=np.arange(count, dtype=np.int64)) if ids is None else ids
    further = {"event_count": np.ones(count, np.int64)}
    return Traits(learner_ids, matrix, further, 0, 0, TraitParameters(), engine)


def groups(sizes, spread=0.02, seed=0):
    """Traits of well separated groups of the given sizes."""
    random = np.random.default_rng(seed)
    corners = np.linspace(0.1, 0.9, len(sizes))
    columns = [corner + spread * random.standard_normal((5, size)) for corner, size in zip(corners, sizes, strict=True)]
    return np.clip(np.concatenate(columns, axis=1), 0, 1)


def test_separate_groups_are_found_by_size(engine):
    cohorts = traits_of(groups([50, 200, 100]), engine).discover(seed=3)
    assert cohorts.sizes == (200, 100, 50)
    assert cohorts.labels.tolist() == [2] * 50 + [0] * 200 + [1] * 100
    assert cohorts.quality.converged
    assert cohorts.quality.silhouette > 0.8
    assert max(cohorts.silhouette_by_k, key=cohorts.silhouette_by_k.get) == len(cohorts) == 3
    assert cohorts.mean_traits == pytest.approx(np.array([[0.5] * 5, [0.9] * 5, [0.1] * 5]), abs=0.01)
    assert sum(row.share for row in cohorts.model.cohorts) == pytest.approx(1)


def test_inertia_and_silhouette_against_their_definitions(engine):
    matrix = groups([12, 9], spread=0.1)
    cohorts = traits_of(matrix, engine).discover(k=2)
    points = weighted_points(matrix.astype(np.float32), DEFAULT_TRAIT_WEIGHTS).astype(np.float64).T
    centroids = np.array([points[cohorts.labels == label].mean(axis=0) for label in (0, 1)])
    assert cohorts.centroids == pytest.approx(centroids, abs=1e-6)
    assert cohorts.quality.inertia == pytest.approx(((points - centroids[cohorts.labels]) ** 2).sum(), abs=1e-5)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    scores = []
    for i, label in enumerate(cohorts.labels):
        own, other = cohorts.labels == label, cohorts.labels != label
        a, b = distances[i][own].sum() / (own.sum() - 1), distances[i][other].mean()
        scores.append((b - a) / max(a, b))
    assert cohorts.quality.silhouette == pytest.approx(np.mean(scores), abs=1e-5)


def test_one_learner_is_one_cohort(engine):
    cohorts = traits_of(np.full((5, 1), 0.5), engine).discover()
    assert (cohorts.sizes, cohorts.quality.silhouette, cohorts.quality.inertia) == ((1,), None, 0)
    assert cohorts.archetypes == ("Fast Learner",)


def test_learners_that_do_not_differ_are_one_cohort(engine):
    cohorts = traits_of(np.full((5, 40), 0.3), engine).discover()
    assert cohorts.sizes == (40,)
    assert cohorts.silhouette_by_k == {}


def test_of_equal_silhouettes_the_smaller_k(engine):
    # Three learners at equal distances: the silhouette is 0 for k = 2 and k = 3.
    matrix = np.zeros((5, 3))
    matrix[:3] = np.eye(3)
    cohorts = traits_of(matrix, engine).discover(trait_weights=(1 / 3, 1 / 3, 1 / 3, 0, 0))
    assert cohorts.silhouette_by_k == {2: 0.0, 3: 0.0}
    assert cohorts.sizes == (2, 1)


def test_a_learner_between_two_centroids_takes_the_first(engine):
    functions = engine_named(engine)
    points = np.array([[0.5, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    centroids = np.array([[1, 0], [0, 0], [1, 0]], np.float32)
    assert functions.assign(points, centroids, 1).tolist() == [0, 1, 0]


def test_two_learners(engine):
    cohorts = traits_of([[0, 1]] * 5, engine).discover()
    assert cohorts.sizes == (1, 1)


@pytest.mark.parametrize(
    ("k", "words"),
    [
        (6, "k is 6, but there are only 5 learners. Choose k <= 5, or k='auto'"),
        (4, "k is 4, but only 3 learners differ in their traits. Choose k <= 3, or k='auto'"),
        (0, "a number >= 1"),
        (-2, "a number >= 1"),
        ("many", "'auto' or a number"),
        (2.0, "'auto' or a number"),
        (True, "'auto' or a number"),
    ],
)
def test_k_that_cannot_be(k, words, engine):
    with pytest.raises(InputError) as raised:
        traits_of([[0.1, 0.1, 0.5, 0.5, 0.9]] * 5, engine).discover(k=k)
    assert words in str(raised.value)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_out_of_range(seed, engine):
    with pytest.raises(InputError, match="seed"):
        traits_of(groups([3, 3]), engine).discover(k=2, seed=seed)


@pytest.mark.parametrize(
    "weights",
    [
        (0.5, 0.5),
        (0.2, 0.2, 0.2, 0.2, 0.3),
        (1.2, -0.2, 0, 0, 0),
        {"speed": 1.0},
        (float("nan"), 0.25, 0.25, 0.25, 0.25),
    ],
)
def test_trait_weights_that_cannot_be(weights):
    with pytest.raises(InputError):
        traits_of(groups([3, 3])).discover(k=2, trait_weights=weights)


def test_trait_weights_decide_what_counts(engine):
    matrix = np.zeros((5, 40))
    matrix[0] = np.repeat([0, 1], 20)
    matrix[1] = np.tile([0, 0.9], 20)
    by_velocity = traits_of(matrix, engine).discover(k=2, trait_weights={"learning_velocity": 1.0})
    assert adjusted_rand_index(by_velocity.labels, matrix[0].astype(int)) == 1
    by_affinity = traits_of(matrix, engine).discover(k=2, trait_weights=(0, 1.0, 0, 0, 0))
    assert adjusted_rand_index(by_affinity.labels, np.tile([0, 1], 20)) == 1
    assert by_affinity.agreement(by_velocity) < 0.05


def test_clusters_are_ordered_by_size_then_centroid_and_empty_ones_dropped():
    centroids = np.array([[0.9, 0], [0.5, 0.2], [0.1, 0.1], [0.5, 0.1]], np.float32)
    labels = np.array([0, 1, 1, 3, 3, 0, 0], np.int32)
    ordered, renamed = by_descending_size(centroids, labels)
    assert ordered.tolist() == centroids[[0, 3, 1]].tolist()
    assert renamed.tolist() == [0, 2, 2, 1, 1, 0, 0]


def test_the_model_assigns_as_the_run_did(engine):
    traits = traits_of(groups([30, 20, 10], spread=0.1), engine)
    cohorts = traits.discover(k=3)
    assert cohorts.model.assign(traits, engine=engine).tolist() == cohorts.labels.tolist()
    assert cohorts.model.assign(traits.matrix[:, 5:7], engine=engine).tolist() == cohorts.labels[5:7].tolist()
    with pytest.raises(ValueError, match="read-only"):
        cohorts.model.centroids[0, 0] = 1


def test_the_arrow_table_and_the_fingerprint():
    traits = traits_of(groups([30, 20]))
    traits = Traits(
        traits.learner_ids,
        traits.matrix,
        {name: np.zeros(50) for name in further()},
        0,
        0,
        TraitParameters(),
        "reference",
    )
    cohorts = traits.discover(k=2)
    table = cohorts.to_arrow()
    assert table.column_names[:4] == ["learner_id", "cohort", "archetype", "learning_velocity"]
    assert [cohorts.archetypes[label] for label in table["cohort"].to_pylist()] == table["archetype"].to_pylist()
    assert cohorts.fingerprint() == traits.discover(k=2).fingerprint()
    assert cohorts.fingerprint() != traits.discover(k=3).fingerprint()


def further():
    return ("domain_entropy", "momentum", "event_count", "active_days", "tenure_days", "recency_days")


def test_a_sample_then_everyone_is_close_to_convergence():
    random = np.random.default_rng(3)
    centre = random.random((5, 6)).astype(np.float32)
    kind = random.integers(0, 6, 120_000)
    matrix = np.clip(centre[:, kind] + random.normal(0, 0.14, (5, len(kind))), 0, 1).astype(np.float32)
    points = weighted_points(matrix, DEFAULT_TRAIT_WEIGHTS)
    hashes = LearnerIds(integers=np.arange(len(kind))).hashes()
    native = engine_named("native")
    initial = native.seed_centroids(points, hashes, 5, 2, 1)
    whole = native.kmeans(points, initial, 1000, 1)
    near = sample_then_assign(native, points, hashes, initial, 2, threads=1)
    assert whole.converged
    assert whole.inertia * 0.999 < near.inertia < whole.inertia * 1.001
    assert near.sample_size == 32_768
    assert np.array_equal(near.labels, native.assign(points, near.centroids, 1))
    order = random.permutation(len(kind))
    shuffled = np.ascontiguousarray(points[:, order])
    again = sample_then_assign(native, shuffled, hashes[order], initial, 2, threads=2)
    assert again.centroids.tobytes() == near.centroids.tobytes()
    assert np.array_equal(again.labels, near.labels[order])


def test_progress_is_told():
    seen = []
    traits_of(groups([30, 20])).discover(progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[0] == ("choose k by silhouette", 0, 11)
    assert seen[-1] == ("k-means with k=2", 1, 1)


def test_archetypes_follow_the_rules():
    velocity, affinity, frequency, feedback, retention = np.eye(5)
    profiles = {
        "Fast Learner": velocity + 0.3 * feedback,
        "Specialist": affinity - frequency,
        "Power User": 1.5 * frequency + 0.5 * velocity,
        "Long-term Retainer": retention + 0.2 * frequency,
        "Generalist": -affinity,
    }
    assert tuple(profiles) == ARCHETYPES
    assert name_cohorts(np.stack(list(profiles.values()))) == ARCHETYPES
    scores = archetype_scores(np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]))
    assert scores[0] == pytest.approx([0.16, 0.05, 0.22, 0.44, -0.10])
    assert name_cohorts(np.zeros((1, 5))) == ("Fast Learner",)


def test_standard_scores_against_numpy():
    matrix = np.random.default_rng(0).random((5, 400)).astype(np.float32)
    matrix[2] = 0.7
    labels = np.random.default_rng(1).integers(0, 3, 400).astype(np.int32)
    means = group_means(matrix, labels, 3)
    plain = np.array([matrix[:, labels == label].astype(float).mean(axis=1) for label in range(3)])
    assert means == pytest.approx(plain, abs=1e-9)
    expected = (plain - matrix.astype(float).mean(axis=1)) / np.where(
        np.arange(5) == 2, np.inf, matrix.astype(float).std(axis=1)
    )
    assert standardised(means, matrix) == pytest.approx(expected, abs=1e-6)


def test_adjusted_rand_index_known_values():
    assert adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == 1
    assert adjusted_rand_index(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])) == pytest.approx(4 / 7)
    assert adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(-0.5)
    assert adjusted_rand_index(np.array([3, 3]), np.array([1, 1])) == 1
    assert adjusted_rand_index(np.array([0]), np.array([1])) == 1
    with pytest.raises(ValueError, match="same number"):
        adjusted_rand_index(np.array([0]), np.array([0, 1]))


def test_agreement_is_over_the_common_learners():
    matrix = groups([30, 20])
    whole = traits_of(matrix).discover(k=2)
    part = traits_of(matrix[:, 10:], ids=LearnerIds(integers=np.arange(10, 50))).discover(k=2)
    assert whole.agreement(part) == 1
    texts = sorted(str(number) for number in range(10, 50))
    order = np.array([int(text) for text in texts])
    as_text = traits_of(matrix[:, order], ids=LearnerIds.from_texts(texts)).discover(k=2)
    assert as_text.agreement(whole) == 1


def test_trait_names_are_the_rows():
    traits = traits_of(np.arange(10).reshape(5, 2) / 10)
    for row, name in enumerate(TRAIT_NAMES):
        assert traits[name].tolist() == traits.matrix[row].tolist()
