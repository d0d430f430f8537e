"""Every kernel x instruction set x 1 to 3 threads x order of the rows: the numbers of the reference, the same bits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from covey import _core
from covey.cohort_model import weighted_points
from covey.engine import engine_named
from covey.events import Events, read_parquet
from covey.generate import GenerationPlan, event_tables
from covey.identifiers import LearnerIds
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, FURTHER_NAMES, TRAIT_NAMES, TraitParameters
from covey.reference.kmeans import squared_distance

DAY_US = 86_400_000_000
AS_OF_US = 20_000 * DAY_US + 12_345
NEAR = 1e-6
CLUSTERS = 6
SILHOUETTE_POINTS = 500
EVENT_COUNT = 100_000  # so many that three threads get work
WAYS = list(itertools.product(_core.available_isas(), (1, 2, 3)))
PER_ROW = ("learner_index", "time", "domain_index", "capability_index", "kind", "action_taken", "weight")

Columns = dict[str, Any]
reference = engine_named("reference")


def made_up(random: np.random.Generator, learner: NDArray[Any], **changes: Any) -> Columns:
    """A time-ordered log of 90 days with every column, but for what a test wants otherwise."""
    count = len(learner)
    domain_count, capability_count = changes.pop("domain_count", 12), changes.pop("capability_count", 100)
    age_us = np.sort(random.integers(0, 90 * DAY_US, count))[::-1]
    columns: Columns = {
        "learner_index": learner.astype(np.int32),
        "learner_count": int(learner.max()) + 1,
        "time": AS_OF_US - age_us,
        "domain_index": random.integers(0, domain_count, count).astype(np.uint8 if domain_count <= 256 else np.uint16),
        "domain_count": domain_count,
        "capability_index": random.integers(0, capability_count, count).astype(np.int32),
        "capability_count": capability_count,
        "kind": random.integers(0, 5, count).astype(np.uint8),
        "action_taken": random.integers(0, 2, count).astype(np.uint8),
        "weight": None,
        "as_of_us": AS_OF_US - 3 * DAY_US,
    }
    return columns | changes


def some_learners(random: np.random.Generator) -> NDArray[Any]:
    return random.integers(0, 2_000, EVENT_COUNT)


def one_learner_with_all(random: np.random.Generator) -> Columns:
    learner = np.where(random.random(EVENT_COUNT) < 0.999, 17, some_learners(random))
    return made_up(random, learner)


def only_one_learner(random: np.random.Generator) -> Columns:
    return made_up(random, np.zeros(EVENT_COUNT))


def one_event_each(random: np.random.Generator) -> Columns:
    return made_up(random, random.permutation(EVENT_COUNT))


def many_capabilities(random: np.random.Generator) -> Columns:
    return made_up(random, some_learners(random), capability_count=70_000)


def many_domains(random: np.random.Generator) -> Columns:
    return made_up(random, some_learners(random), domain_count=300)


def weights_of_nothing_and_a_billion(random: np.random.Generator) -> Columns:
    learner = some_learners(random)
    weight = random.choice(np.array([0.0, 1.0, 1e9]), EVENT_COUNT)
    weight[learner % 7 == 0] = 0.0
    return made_up(random, learner, weight=weight)


def forty_years(random: np.random.Generator) -> Columns:
    age_us = random.integers(0, 40 * 365 * DAY_US, EVENT_COUNT)
    age_us[::50] = 40 * 365 * DAY_US
    return made_up(random, some_learners(random), time=np.sort(AS_OF_US - age_us), weight=None, kind=None)


def narrow(random: np.random.Generator) -> Columns:
    seconds = np.sort(random.integers(0, 90 * 86_400, EVENT_COUNT)).astype(np.uint32)
    columns = made_up(random, some_learners(random), time=seconds, kind=None, action_taken=None)
    columns["capability_index"] = columns["capability_index"].astype(np.uint16)
    return columns | {"time_origin_us": AS_OF_US - 90 * DAY_US}


def columns_of(events: Events) -> Columns:
    return {
        "learner_index": events.learner_index_of_rows(),
        "learner_count": len(events.learner_ids),
        "time": events.time,
        "time_origin_us": events.time_origin_us,
        "domain_index": events.domain_index,
        "domain_count": len(events.domains),
        "capability_index": events.capability_index,
        "capability_count": len(events.capabilities),
        "kind": events.kind,
        "action_taken": events.action_taken,
        "weight": events.weight,
        "as_of_us": events.newest_us,
    }


def generated(random: np.random.Generator) -> Columns:
    plan = GenerationPlan(learner_count=2_000, seed=11, noise=0.3)
    return columns_of(Events.from_arrow(pa.concat_tables(table for table, _ in event_tables(plan))))


ADVERSARIAL = (
    one_learner_with_all,
    only_one_learner,
    one_event_each,
    many_capabilities,
    many_domains,
    weights_of_nothing_and_a_billion,
    forty_years,
)


def taken(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    return columns | {name: columns[name][rows] for name in PER_ROW if columns[name] is not None}


def orders(columns: Columns, random: np.random.Generator) -> dict[str, Columns]:
    """The rows sorted by learner, the same given by offsets, as a time-ordered log, and shuffled."""
    by_learner = taken(columns, np.argsort(columns["learner_index"], kind="stable"))
    counts = np.bincount(columns["learner_index"], minlength=columns["learner_count"])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return {
        "sorted": by_learner,
        "grouped": by_learner | {"learner_index": None, "learner_offsets": offsets},
        "log": taken(columns, np.argsort(columns["time"], kind="stable")),
        "shuffled": taken(columns, random.permutation(len(columns["time"]))),
    }


def check_traits(columns: Columns, random: np.random.Generator) -> NDArray[np.float32]:
    """Compare the traits; answer the weighted points of the learners that have some."""
    parameters = TraitParameters()
    expected = reference.compute_traits(columns, parameters, threads=1)
    native_parameters = _core.TraitParameters(**parameters.to_keywords())
    first: dict[str, Any] = {}
    for order, rows in orders(columns, random).items():
        for isa, threads in WAYS:
            found = _core.compute_traits(**rows, parameters=native_parameters, threads=threads, isa=isa)
            assert int(found["ignored_event_count"]) == int(expected["ignored_event_count"])
            if not first:
                first = found
                for name in (*TRAIT_NAMES, *FURTHER_NAMES):
                    np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=NEAR, err_msg=name)
            for name, column in found.items():
                assert column.tobytes() == first[name].tobytes(), (name, order, isa, threads)
    matrix = np.stack([first[name] for name in TRAIT_NAMES])[:, first["event_count"] > 0]
    return weighted_points(matrix, DEFAULT_TRAIT_WEIGHTS)


def check_cohorts(points: NDArray[np.float32]) -> None:
    """Compare seeding, k-means, assignment and silhouette on the same points."""
    hashes = LearnerIds(integers=np.arange(points.shape[1])).hashes()
    k = min(CLUSTERS, points.shape[1])
    seeds = reference.seed_centroids(points, hashes, k, 5, 1)
    expected = reference.kmeans(points, seeds, 300, 1)
    labels = np.asarray(expected.labels)
    part = np.ascontiguousarray(points[:, :SILHOUETTE_POINTS])
    labels_of_part = np.ascontiguousarray(labels[:SILHOUETTE_POINTS])
    has_silhouette = len(np.unique(labels_of_part)) > 1
    score = reference.silhouette(part, labels_of_part, len(seeds), 1) if has_silhouette else 0.0
    distances = np.sqrt([squared_distance(points, centroid) for centroid in expected.centroids])
    nearest_two = np.sort(np.vstack([distances, np.full((1, points.shape[1]), np.inf)]), axis=0)
    clear = nearest_two[1] - nearest_two[0] >= NEAR
    first: tuple[Any, ...] = ()
    for isa, threads in WAYS:
        way = {"threads": threads, "isa": isa}
        assert _core.seed_centroids(points, hashes, k, 5, **way).tobytes() == seeds.tobytes()
        found = _core.kmeans(points, seeds, max_iterations=300, **way)
        assert found.centroids == pytest.approx(expected.centroids, abs=1e-5)
        assert np.array_equal(found.labels[clear], labels[clear])
        assigned, squared = _core.assign(points, seeds, **way)
        found_score = _core.silhouette(part, labels_of_part, len(seeds), **way) if has_silhouette else 0.0
        assert found_score == pytest.approx(score, abs=NEAR)
        bits = (found.centroids.tobytes(), found.labels.tobytes(), found.sizes.tobytes(), found.inertia)
        bits += (found.iterations, found.converged, assigned.tobytes(), squared.tobytes(), found_score)
        first = first or bits
        assert bits == first, (isa, threads)


@pytest.mark.parametrize("world", [generated, narrow, *ADVERSARIAL], ids=lambda world: world.__name__)
def test_made_up_learners(world):
    random = np.random.default_rng(12)
    check_cohorts(check_traits(world(random), random))


def test_real_learners(shared_data, oulad_mapping):
    random = np.random.default_rng(13)
    events = read_parquet(shared_data("oulad_student_vle.parquet"), oulad_mapping)
    check_cohorts(check_traits(columns_of(events), random))
