"""Rivals are right before they are slow: each answers what the reference answers, ties and short histories included."""

from __future__ import annotations

import numpy as np
import pytest

import readcols
import workload
from covey.parameters import TRAIT_NAMES
from rivals import numpy_traits, polars_traits

CAPABILITIES = workload.CAPABILITY_COUNT


@pytest.fixture(scope="module")
def events() -> workload.Workload:
    """Uses that share the instant of the first use are common here."""
    made = workload.learners(300, seed=3)
    made.time_us[:] -= made.time_us % 86_400_000_000
    return made


@pytest.fixture(scope="module")
def expected(events: workload.Workload) -> dict[str, np.ndarray]:
    return {name: value for name, value in workload.reference_traits(events).items() if name in TRAIT_NAMES}


def test_the_workload_is_what_it_says() -> None:
    made = workload.learners(2_000)
    per_learner = np.bincount(made.learner_index, minlength=2_000)
    assert 8 * 4 <= per_learner.min() <= per_learner.max() <= 8 * 10
    assert len(made) / 2_000 == pytest.approx(56, rel=0.01)
    assert made.column_bytes == 17 * len(made)
    assert np.all(np.diff(made.learner_index) >= 0)
    assert np.all((np.diff(made.time_us) >= 0) | (np.diff(made.learner_index) > 0))
    log = made.arrival_order()
    assert np.all(np.diff(log.time_us) >= 0)
    assert sorted(zip(*made.columns.values(), strict=True)) == sorted(zip(*log.columns.values(), strict=True))
    again = workload.learners(2_000).columns
    assert all(np.array_equal(column, again[name]) for name, column in made.columns.items())


def test_numpy_answers_as_the_reference(events: workload.Workload, expected: dict[str, np.ndarray]) -> None:
    found = numpy_traits.traits(
        events.columns, events.learner_count, workload.DOMAIN_COUNT, CAPABILITIES, events.as_of_us
    )
    workload.assert_same_traits(expected, found)


@pytest.mark.parametrize("by_learner", [True, False])
def test_polars_answers_as_the_reference(
    events: workload.Workload, expected: dict[str, np.ndarray], by_learner: bool
) -> None:
    columns = events.columns if by_learner else events.arrival_order().columns
    frame = polars_traits.frame(columns, by_learner=by_learner)
    form = polars_traits.traits if by_learner else polars_traits.traits_of_log
    table = form(frame, CAPABILITIES, events.as_of_us)
    workload.assert_same_traits(expected, {name: table[name].to_numpy() for name in TRAIT_NAMES})


def test_a_difference_is_named() -> None:
    with pytest.raises(AssertionError, match=r"pace of learner 1: 0\.5 and 0\.6"):
        workload.assert_same_traits({"pace": np.array([0.1, 0.5])}, {"pace": np.array([0.1, 0.6])})


def test_columns_are_read_to_their_last_byte() -> None:
    columns = [np.arange(1000, dtype=np.int64), np.full(70, 3, dtype=np.uint8)]
    threes = 8 * int.from_bytes(b"\3" * 8, "little") + 6 * 3
    assert readcols.reader(columns)() == sum(range(1000)) + threes
