"""Narrow columns say what wide ones say, with the same bits: seconds for microseconds, offsets for an index."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.engine import engine_named
from covey.parameters import TraitParameters

from .event_columns import FLOAT_TRAITS, Events, assert_same_bits, columns_of, every_way
from .test_traits import AS_OF, histories_strategy, parameters_strategy, random_events, shuffled
from .trait_oracle import DAY_US, Event, Parameters

SECOND_US = 1_000_000
origins = st.sampled_from([0, -1, 7, AS_OF - 60 * DAY_US, AS_OF - 2**31 * SECOND_US, -(2**32) * SECOND_US])


def on_seconds(histories: list[list[Event]], origin_us: int) -> list[list[Event]]:
    """Every event moved to a time that seconds since the origin can say."""
    return [
        [replace(event, time_us=origin_us + (event.time_us // SECOND_US) % 2**32 * SECOND_US) for event in history]
        for history in histories
    ]


@settings(max_examples=100)
@given(histories_strategy(), parameters_strategy, origins, st.sampled_from([AS_OF, AS_OF - 10 * DAY_US, 0, 2**61]))
def test_seconds_and_offsets_say_the_same(
    histories: list[list[Event]], parameters: Parameters, origin_us: int, as_of_us: int
) -> None:
    wide = columns_of(on_seconds(histories, origin_us))
    narrow = wide.with_seconds(origin_us)
    expected = wide.traits(as_of_us, parameters)
    for way in every_way(2):
        assert_same_bits(expected, narrow.traits(as_of_us, parameters, **way))
        assert_same_bits(expected, wide.with_offsets().traits(as_of_us, parameters, **way))
        assert_same_bits(expected, narrow.with_offsets().traits(as_of_us, parameters, **way))
        assert_same_bits(expected, shuffled(narrow).traits(as_of_us, parameters, **way))


def test_bytes_for_capabilities() -> None:
    events = random_events(50, 2_000, 5, weighted=True)
    narrow = replace(events, capability_index=events.capability_index.astype(np.uint8))
    assert_same_bits(events.traits(AS_OF), narrow.traits(AS_OF))
    assert_same_bits(events.traits(AS_OF), shuffled(narrow).traits(AS_OF))


@pytest.mark.parametrize("weighted", [False, True])
def test_many_narrow_rows(weighted: bool) -> None:
    """Enough rows for several blocks, threads and parts of a partition; some learners have none."""
    origin_us = AS_OF - 100 * DAY_US
    wide = random_events(30_000, 600_000, 11, weighted=weighted, heavy=0.01)
    wide = replace(wide, time_us=origin_us + (wide.time_us - origin_us) // SECOND_US * SECOND_US, learner_count=30_100)
    wide = wide.take(np.flatnonzero(wide.learner_index % 7 != 3))
    expected = wide.traits(AS_OF)
    narrow = wide.with_seconds(origin_us)
    for way in every_way():
        assert_same_bits(expected, narrow.with_offsets().traits(AS_OF, **way))
        assert_same_bits(expected, wide.with_offsets().traits(AS_OF, **way))
    assert_same_bits(expected, shuffled(narrow).traits(AS_OF, threads=2))


def test_the_reference_takes_narrow_columns() -> None:
    origin_us = AS_OF - 100 * DAY_US
    events = random_events(40, 1_500, 2, weighted=True)
    events = replace(events, time_us=origin_us + (events.time_us - origin_us) // SECOND_US * SECOND_US)
    narrow = events.with_seconds(origin_us).with_offsets()
    columns = {name: value for name, value in vars(narrow).items() if name not in ("learner_index", "time_us")}
    columns |= {"learner_index": None, "time": narrow.time_us, "as_of_us": AS_OF, "cancellation": None}
    found, expected = (
        engine_named(name).compute_traits(columns, TraitParameters(), 1) for name in ("reference", "native")
    )
    for name in FLOAT_TRAITS:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6)


def one_event_each() -> Events:
    return columns_of([[Event(0, 0, 0)], [Event(0, 2, 2)], [Event(0, 1, 1)]])


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 1, 2, 3], r"learner_offsets\[0\] is 1, expected 0"),
        ([0, 2, 1, 3], r"learner_offsets\[2\] is 1, expected at least the one before it, 2"),
        ([0, 1, 2, 2], r"learner_offsets\[3\] is 2, expected the number of rows, 3"),
        ([0, 1, 2, 4], r"learner_offsets\[3\] is 4, expected the number of rows, 3"),
        ([0, 9, 2, 3], r"learner_offsets\[2\] is 2, expected at least the one before it, 9"),
        ([0, -1, 2, 3], r"learner_offsets\[1\] is -1, expected at least the one before it, 0"),
        ([0, 1, 2], r"learner_offsets must have 4 elements, not 3"),
    ],
)
def test_offsets_out_of_range_are_named(offsets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(one_event_each(), learner_offsets=np.array(offsets, np.int64)).traits(AS_OF)


def test_no_learners_by_offsets() -> None:
    events = replace(columns_of([]), learner_offsets=np.zeros(1, np.int64))
    assert events.traits(AS_OF)["event_count"].shape == (0,)
    assert replace(columns_of([[], []]), learner_offsets=np.zeros(3, np.int64)).traits(AS_OF)["momentum"].tolist() == [
        0.5,
        0.5,
    ]


def test_exactly_one_of_index_and_offsets() -> None:
    events = one_event_each()
    for learners in ({}, {"learner_index": events.learner_index, "learner_offsets": np.arange(4)}):
        arguments = dict.fromkeys(("learner_index", "kind", "action_taken", "weight")) | learners
        with pytest.raises(TypeError, match="exactly one of learner_index and learner_offsets"):
            _core.compute_traits(
                **arguments,
                learner_count=3,
                time=events.time_us,
                domain_index=events.domain_index,
                domain_count=3,
                capability_index=events.capability_index,
                capability_count=3,
                as_of_us=AS_OF,
                parameters=_core.TraitParameters(),
            )


def test_origins_out_of_range_are_named() -> None:
    narrow = one_event_each().with_seconds(0)
    for origin_us in (-(2**62) - 1, 2**62 - 1):
        with pytest.raises(ValueError, match=f"time_origin_us is {origin_us}, expected all times within"):
            replace(narrow, time_origin_us=origin_us).traits(AS_OF)
    with pytest.raises(ValueError, match="time_origin_us is 5, expected 0 where time is in microseconds"):
        replace(one_event_each(), time_origin_us=5).traits(AS_OF)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_cancelled_call_ends(threads: int) -> None:
    events = random_events(40_000, 600_000, 3, weighted=True)
    cancellation = _core.Cancellation()
    assert_same_bits(events.traits(AS_OF), events.traits(AS_OF, cancellation=cancellation))
    cancellation.cancel()
    for ordered in (events, events.with_offsets(), shuffled(events)):
        with pytest.raises(_core.Cancelled):
            ordered.traits(AS_OF, threads=threads, cancellation=cancellation)


def test_a_call_under_way_is_cancelled() -> None:
    """One learner of many events is one long task: it must notice by itself."""
    events = random_events(1, 4_000_000, 3, weighted=True)
    cancellation = _core.Cancellation()
    timer = threading.Timer(0.01, cancellation.cancel)
    timer.start()
    try:
        with pytest.raises(_core.Cancelled):
            for _ in range(1_000):
                events.traits(AS_OF, cancellation=cancellation)
    finally:
        timer.cancel()
