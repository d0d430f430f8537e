"""Neighbours against a sort of all distances, filters against loops, and a floor that names nobody."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import Events
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.together import Attribute, Space, find_similar
from covey.together.files import edges_of


def a_space(size: int, seed: int = 0, distinct: int = 1000, values: int = 3) -> Space:
    chance = np.random.default_rng(seed)
    points = (chance.integers(0, distinct, (5, size)) / distinct / 5**0.5).astype(np.float32)
    attributes = {
        name: Attribute(chance.integers(-1, values, size).astype(np.int32), tuple("abcdef"[:values]))
        for name in ("region", "archetype")
    }
    return Space(LearnerIds(integers=np.arange(100, 100 + size)), points, attributes)


@settings(max_examples=80)
@given(
    st.integers(0, 10_000),
    st.integers(1, 60),
    st.integers(1, 12),
    st.sampled_from([2, 1000]),
    st.sampled_from([None, 0.05, 0.2, 0.6]),
    st.sampled_from([(), ("region",), ("region", "archetype")]),
    st.booleans(),
    st.integers(1, 15),
)
def test_the_nearest_of_those_who_match(
    seed: int,
    size: int,
    count: int,
    distinct: int,
    max_distance: float | None,
    same: tuple[str, ...],
    is_filtered: bool,
    floor: int,
) -> None:
    space = a_space(size, seed, distinct)
    where = {"archetype": "b"} if is_filtered else {}
    found = find_similar(space, count=count, where=where, same=same, max_distance=max_distance, floor=floor, threads=1)
    for own in range(size):
        rivals = []
        for other in range(size):
            if other == own or (is_filtered and space.attributes["archetype"].codes[other] != 1):
                continue
            codes = [(space.attributes[name].codes[own], space.attributes[name].codes[other]) for name in same]
            if any(mine < 0 or mine != theirs for mine, theirs in codes):
                continue
            squared = np.float32(0)
            for d in range(5):
                squared += (space.points[d, other] - space.points[d, own]) ** 2
            distance = float(np.sqrt(np.float64(squared)))
            if max_distance is None or distance <= max_distance:
                rivals.append((distance, other))
        rivals.sort()
        assert found.is_withheld[own] == (len(rivals) < floor)
        expected = [] if len(rivals) < floor else rivals[:count]
        assert [other for other in found.neighbours[own].tolist() if other >= 0] == [other for _, other in expected]
        near = found.distances[own][: len(expected)]
        np.testing.assert_allclose(near, [distance for distance, _ in expected], rtol=1e-6)


def test_ids_and_tables() -> None:
    space = a_space(40)
    found = find_similar(space, ["105", 100], count=3, floor=1)
    table = found.to_arrow()
    assert table["learner_id"].to_pylist() == [105] * 3 + [100] * 3
    assert table["rank"].to_pylist() == [1, 2, 3] * 2
    assert found.pairs().tolist() == [
        [own - 100, other - 100]
        for own, other in zip(table["learner_id"].to_pylist(), table["neighbour_id"].to_pylist(), strict=True)
    ]


def test_what_a_table_says_of_learners() -> None:
    space = a_space(4)
    table = pa.table({"who": ["103", "100", "7"], "town": ["Bonn", None, "Ulm"], "year": [1, 2, 3]})
    told = space.with_attributes(table, "who", ["town", "year"])
    assert [told.attribute("town").name_of(at) for at in range(4)] == ["unknown", "unknown", "unknown", "Bonn"]
    assert [told.attribute("year").name_of(at) for at in range(4)] == ["2", "unknown", "unknown", "1"]
    edges = pa.table({"a": [101, 100, 103, 102, 9], "b": [100, 101, 103, 103, 100]})
    assert edges_of(space, edges, ("a", "b")).tolist() == [[0, 1], [2, 3]]
    for call, words in (
        (lambda: space.with_attributes(table, "id", []), "column 'id': there is no such column"),
        (lambda: space.with_attributes(table, "who", ["twon"]), "Did you mean 'town'"),
        (lambda: space.with_attributes(pa.table({"who": [100, 100]}), "who", []), "a learner has two rows"),
        (lambda: space.with_attributes(pa.table({"who": [1]}), "who", []), "knows none of the learners"),
        (lambda: edges_of(space, pa.table({"a": [1], "b": [100]}), ("a", "b")), "no row links two learners"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_cohorts_bring_their_names() -> None:
    chance = np.random.default_rng(0)
    learner = np.repeat(np.arange(60), 20)
    day = chance.integers(0, 60, len(learner)) * (1 + learner % 2)
    topic = chance.integers(0, 2 + 10 * (learner % 3), len(learner))
    events = Events.from_numpy(learner, day, topic, topic, time_unit="day")
    cohorts = events.traits().discover(3)
    space = Space.of(cohorts)
    found = find_similar(space, count=5, same=["cohort"], floor=1)
    own, other = found.pairs().T
    np.testing.assert_array_equal(cohorts.labels[own], cohorts.labels[other])
    named = find_similar(space, count=5, where={"archetype": cohorts.archetypes[0]}, floor=1)
    assert {cohorts.archetypes[cohorts.labels[at]] for at in named.neighbours.ravel() if at >= 0} == {
        cohorts.archetypes[0]
    }
    with pytest.raises(InputError, match="beside cohorts"):
        Space.of(cohorts, [0.2] * 5)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"count": 0}, "0 neighbours were asked for"),
        ({"floor": 0}, "a floor of 0"),
        ({"max_distance": 1.5}, "max_distance is 1.5"),
        ({"learners": ["9"]}, "learner '9' has no events"),
        ({"learners": "100"}, "is one text"),
        ({"same": ["town"]}, "by the name of 'town'; expected one of those known: region, archetype"),
        ({"where": {"region": "z"}}, "no learner has region 'z'. The values are: a, b, c"),
    ],
)
def test_refusals_say_why(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_similar(a_space(20), **asked)  # type: ignore[arg-type]
