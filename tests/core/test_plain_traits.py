"""Histories of weight 1 in the order of time have a way of their own: with the bits of the general one, which rows in
another order take.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from .event_columns import Events, assert_same_bits, every_way
from .test_traits import AS_OF, assert_equal, history_of, shuffled
from .trait_oracle import DAY_US, Parameters, traits_of

SECOND_US = 1_000_000
EDGES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2047, 2048, 2049, 5000]


def ordered(
    sizes: list[int], *, domains: int = 12, capabilities: int = 100, days: int = 56, step_us: int = 1, seed: int = 3
) -> Events:
    """Learners of so many events each, at times that are multiples of a step, up to two days after AS_OF."""
    random = np.random.default_rng(seed)
    rows = sum(sizes)
    learner = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    time = (AS_OF + 2 * DAY_US - random.integers(0, days * DAY_US, rows)) // step_us * step_us
    time = time[np.lexsort((time, learner))]
    return Events(
        learner_index=learner,
        time_us=time,
        domain_index=random.integers(0, domains, rows).astype(np.int32),
        capability_index=random.integers(0, capabilities, rows).astype(np.int32),
        kind=random.integers(0, 5, rows).astype(np.uint8),
        action_taken=random.integers(0, 2, rows).astype(np.uint8),
        weight=None,
        learner_count=len(sizes),
        domain_count=domains,
        capability_count=capabilities,
    )


def assert_like_the_general_way(events: Events, as_of_us: int, parameters: Parameters | None = None) -> None:
    parameters = parameters or Parameters()
    expected = shuffled(events).traits(as_of_us, parameters)
    for way in every_way(2):
        assert_same_bits(expected, events.traits(as_of_us, parameters, **way))
    for learner in (0, events.learner_count // 2, events.learner_count - 1):
        assert_equal(expected, learner, traits_of(history_of(events, learner), as_of_us, parameters))


@pytest.mark.parametrize("step_us", [1, SECOND_US, DAY_US])
@pytest.mark.parametrize("after", [2 * DAY_US, 0, -20 * DAY_US])
def test_learners_of_every_size(step_us: int, after: int) -> None:
    """Around every vector, set word, table and block; few or many events at one time, none or some after as_of."""
    assert_like_the_general_way(ordered(EDGES + EDGES[::-1], step_us=step_us), AS_OF + after)


@pytest.mark.parametrize(("domains", "capabilities"), [(1, 1), (16, 3), (33, 500), (256, 400), (300, 70_000)])
def test_few_and_many_domains_and_capabilities(domains: int, capabilities: int) -> None:
    events = ordered([56] * 200 + [3_000], domains=domains, capabilities=capabilities)
    assert_like_the_general_way(events, AS_OF + 2 * DAY_US)


@pytest.mark.parametrize("days", [1, 64, 400, 12_000, 13_029, 13_040, 15_000])
def test_short_and_long_histories(days: int) -> None:
    """Within a day, beyond a word of days, and around 2^50 us, where plain ages end."""
    parameters = Parameters(day_start_seconds=-18_000, frequency_window_days=63)
    for sizes in ([1] * 300, [56] * 100, [700, 2_500]):
        assert_like_the_general_way(ordered(sizes, days=days), AS_OF + 2 * DAY_US, parameters)


def test_midnights_are_on_the_right_day() -> None:
    """A microsecond around every midnight of 35 years, for as_of at and around midnight."""
    midnights = AS_OF // DAY_US * DAY_US - np.arange(13_000, dtype=np.int64)[::-1] * DAY_US
    times = np.sort(np.concatenate([midnights - 1, midnights, midnights + 1]))
    events = replace(
        ordered([1] * len(times)),
        time_us=times,
        kind=None,
        action_taken=None,
    )
    for as_of_us in (AS_OF, AS_OF // DAY_US * DAY_US, AS_OF // DAY_US * DAY_US - 1):
        whole = as_of_us // DAY_US - times // DAY_US
        found = events.traits(as_of_us, Parameters(frequency_window_days=5_000))
        assert_same_bits(found, shuffled(events).traits(as_of_us, Parameters(frequency_window_days=5_000)))
        is_known = times <= as_of_us
        assert np.array_equal(found["interaction_frequency"] > 0, is_known & (whole < 5_000))


def test_rates_that_decay_at_once_or_never() -> None:
    events = ordered([56] * 100)
    for rate in (0.0, 1e-12, 3.0, 30.0, 1e4, 1e300):
        assert_like_the_general_way(events, AS_OF, Parameters(retention_decay_per_day=rate))


def test_many_learners_with_seconds_offsets_and_gaps() -> None:
    """Several tasks and blocks; learners without events between, before and behind."""
    events = ordered([56, 1, 90, 30] * 3_000, step_us=SECOND_US)
    events = replace(events, learner_index=events.learner_index * 2 + 1, learner_count=24_100)
    expected = shuffled(events).traits(AS_OF)
    origin_us = int(events.time_us.min()) // SECOND_US * SECOND_US
    narrow = replace(events, domain_index=events.domain_index.astype(np.uint8)).with_seconds(origin_us)
    for way in every_way():
        assert_same_bits(expected, events.traits(AS_OF, **way))
        assert_same_bits(expected, events.with_offsets().traits(AS_OF, **way))
        assert_same_bits(expected, narrow.with_offsets().traits(AS_OF, **way))


def test_bad_values_are_named_in_order_too() -> None:
    events = ordered([56] * 3_000)
    for name, bad, text in [
        ("capability_index", 100, "capability_index"),
        ("domain_index", -1, "domain_index"),
        ("time_us", -(2**63), "time"),
        ("learner_index", 3_000, "learner_index"),
        ("learner_index", -1, "learner_index"),
    ]:
        column = getattr(events, name).copy()
        column[[123_456, 123_499]] = bad
        with pytest.raises(ValueError, match=rf"^{text}\[123456\]"):
            replace(events, **{name: column}).traits(AS_OF, threads=2)


def test_rows_that_are_nearly_sorted() -> None:
    """One row out of place at the beginning, at a cut between tasks or at the end."""
    events = ordered([56] * 4_000)
    expected = events.traits(AS_OF)
    rows = len(events.time_us)
    for row in (0, 1, 65_535, 65_536, 65_537, 131_072, rows - 1):
        order = np.delete(np.arange(rows), row)
        for place in (0, rows // 2, rows - 1):
            moved = events.take(np.insert(order, place, row))
            assert_same_bits(expected, moved.traits(AS_OF, threads=2))
