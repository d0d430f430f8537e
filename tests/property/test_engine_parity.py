"""Native and reference agree as DESIGN section 6 says, on generated and on real learners and on nasty inventions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from covey.cohort_model import weighted_points
from covey.engine import engine_named
from covey.events import Events, read_parquet
from covey.generate import GenerationPlan, event_tables
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, FURTHER_NAMES, TRAIT_NAMES
from covey.reference.kmeans import squared_distance

DAY_US = 86_400_000_000
NEAR = 1e-6
native, reference = engine_named("native"), engine_named("reference")


def assert_traits_agree(events, as_of=None):
    one = events.traits(as_of=as_of, engine="native")
    other = events.traits(as_of=as_of, engine="reference")
    assert one.learner_ids.equals(other.learner_ids)
    assert one.ignored_event_count == other.ignored_event_count
    for name in TRAIT_NAMES + FURTHER_NAMES:
        assert one[name].dtype == other[name].dtype, name
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=NEAR, err_msg=name)
    assert one.matrix.min() >= 0 and one.matrix.max() <= 1
    return one


def assert_clusters_agree(points, hashes, k, seed):
    """Equal seeding, labels (but for points between two centroids), centroids to 1e-5, and the same silhouette."""
    starts = [engine.seed_centroids(points, hashes, k, seed, 1) for engine in (native, reference)]
    assert np.array_equal(*starts)
    one, other = (engine.kmeans(points, starts[0], 300, 1) for engine in (native, reference))
    assert one.centroids == pytest.approx(other.centroids, abs=1e-5)
    distances = np.sqrt([squared_distance(points, centroid) for centroid in other.centroids])
    nearest_two = np.sort(np.vstack([distances, np.full((1, points.shape[1]), np.inf)]), axis=0)
    clear = nearest_two[1] - nearest_two[0] >= NEAR
    assert np.array_equal(np.asarray(one.labels)[clear], other.labels[clear])
    assert one.inertia == pytest.approx(other.inertia, rel=1e-5, abs=1e-6)
    assert (one.iterations, one.converged) == (other.iterations, other.converged)
    if np.count_nonzero(other.sizes) > 1:
        scores = [engine.silhouette(points, other.labels, len(starts[0]), 1) for engine in (native, reference)]
        assert scores[0] == pytest.approx(scores[1], abs=NEAR)


def assert_cohorts_agree(traits):
    one, other = traits.discover(engine="native"), traits.discover(engine="reference")
    assert len(one) == len(other)
    assert one.silhouette_by_k == pytest.approx(dict(other.silhouette_by_k), abs=NEAR)
    assert one.agreement(other) > 0.9999
    assert one.centroids == pytest.approx(other.centroids, abs=1e-5)
    assert one.archetypes == other.archetypes


@pytest.mark.parametrize("noise", [0.0, 0.4, 1.0])
def test_generated_learners(noise):
    plan = GenerationPlan(learner_count=2_000, seed=8, noise=noise)
    events = Events.from_arrow(pa.concat_tables(table for table, _ in event_tables(plan)))
    traits = assert_traits_agree(events)
    assert_traits_agree(events, as_of=events.newest_us - 20 * DAY_US)
    assert_cohorts_agree(traits)
    points = weighted_points(traits.matrix, DEFAULT_TRAIT_WEIGHTS)
    for k in (1, 2, 7, 40):
        assert_clusters_agree(points, traits.learner_ids.hashes(), k, seed=k)


def test_real_learners(shared_data, oulad_mapping):
    events = read_parquet(shared_data("oulad_student_vle.parquet"), oulad_mapping)
    for as_of_day in (None, 133, 0):
        traits = assert_traits_agree(events, as_of=None if as_of_day is None else as_of_day * DAY_US)
        assert_cohorts_agree(traits)


def times():
    near_midnight = st.builds(lambda day, offset: day * DAY_US + offset, st.integers(-40, 40), st.integers(-1, 1))
    return near_midnight | st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


def weights():
    return st.sampled_from([0.0, 1.0, 5e-324, 1e-300, 1e300, 1.7e308]) | st.floats(0, 1e308)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "ü", "\U0001f600"]),
            times(),
            st.none() | st.sampled_from(["p", "q", "r"]),
            st.none() | st.integers(0, 5).map(str),
            st.sampled_from([None, "training", "workflow", "feedback", "Feedback", "walk"]),
            st.none() | st.booleans(),
            st.none() | weights(),
        ),
        min_size=1,
        max_size=60,
    ),
    st.booleans(),
)
def test_nasty_events(rows, repeat_some):
    rows = rows + rows[: len(rows) // 2] if repeat_some else rows
    learner, time, domain, capability, kind, acted, weight = (list(column) for column in zip(*rows, strict=True))
    events = Events.from_numpy(
        learner,
        time,
        pa.array(domain, pa.string()),
        pa.array(capability, pa.string()),
        pa.array(kind, pa.string()),
        pa.array(acted, pa.bool_()),
        pa.array(weight, pa.float64()),
        time_unit="us",
    )
    assert_traits_agree(events)
    assert_traits_agree(events, as_of=sorted(time)[len(time) // 2])


@settings(max_examples=100)
@given(st.data())
def test_nasty_points(data):
    # Few values, so that points coincide and clusters run empty.
    values = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1e-7, 1 / 3]) | st.floats(0, 1, width=32)
    count = data.draw(st.integers(1, 40))
    columns = st.lists(values, min_size=count, max_size=count)
    matrix = np.array([data.draw(columns) for _ in TRAIT_NAMES], dtype=np.float32)
    hashes = np.array(data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=count, max_size=count)), dtype=np.uint64)
    # Ids with one hash are told apart by rules of their own; the engines share only the rule for different hashes.
    assume(len(np.unique(hashes)) == count)
    k = data.draw(st.integers(1, min(count, 8)))
    seed = data.draw(st.integers(0, 2**63 - 1))
    assert_clusters_agree(weighted_points(matrix, DEFAULT_TRAIT_WEIGHTS), hashes, k, seed)
