"""Traits of the compiled core: equal to the definitions, and the same bits whatever way they are computed."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core

from .event_columns import FLOAT_TRAITS, OTHER_COLUMNS, Columns, Events, assert_same_bits, columns_of, every_way
from .trait_oracle import DAY_US, Event, Parameters, Traits, traits_of

AS_OF = 19_800 * DAY_US + 12_345_678_901


def mixed(*strategies: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(*strategies)


times = mixed(
    st.integers(AS_OF - 60 * DAY_US, AS_OF + 2 * DAY_US),
    st.integers(AS_OF // DAY_US - 40, AS_OF // DAY_US).map(lambda day: day * DAY_US),  # midnights, many equal
    st.sampled_from([AS_OF, AS_OF + 1, AS_OF - 1, 0, -1, -DAY_US, -719_162 * DAY_US, AS_OF - 28 * DAY_US]),
    st.integers(-62_135_596_800_000_000, AS_OF),  # from the year 1
)
weights = mixed(
    st.just(1.0),
    st.just(0.0),
    st.integers(0, 500).map(float),
    st.floats(1e-300, 1e300),
    st.sampled_from([1e-300, 1e300, 5e-324, 0.1, 2.0**-60]),
)
events_strategy = st.builds(
    Event,
    time_us=times,
    domain=st.integers(0, 5),
    capability=st.integers(0, 12),
    kind=st.integers(0, 4),
    action_taken=st.integers(0, 1),
    weight=weights,
)


@st.composite
def histories_strategy(draw: st.DrawFn) -> list[list[Event]]:
    histories = draw(st.lists(st.lists(events_strategy, max_size=25), min_size=1, max_size=5))
    # Exact duplicates are real.
    histories = [history + history[: draw(st.integers(0, 3))] for history in histories]
    if draw(st.booleans()):
        silent = draw(st.integers(0, len(histories) - 1))
        histories[silent] = [replace(event, weight=0.0) for event in histories[silent]]
    return histories


parameters_strategy = mixed(
    st.just(Parameters()),
    st.builds(
        Parameters,
        velocity_alpha=st.floats(0.01, 1.0),
        velocity_kappa=st.floats(0.1, 20.0),
        affinity_entropy_penalty=st.floats(0.0, 1.0),
        frequency_window_days=st.sampled_from([1, 7, 28, 63, 64, 65, 365]),
        feedback_prior_acted=st.floats(0.0, 5.0),
        feedback_prior_ignored=st.floats(0.1, 5.0),
        retention_decay_per_day=st.sampled_from([0.0, 0.001, 0.05, 3.0, 1e4]),
        day_start_seconds=st.sampled_from([0, 1, 14_400, 86_399, -18_000]),
    ),
)


def assert_equal(columns: Columns, row: int, expected: Traits) -> None:
    for name in FLOAT_TRAITS:
        assert columns[name][row] == pytest.approx(getattr(expected, name), abs=1e-6, rel=0), name
    for name in OTHER_COLUMNS:
        assert columns[name][row] == pytest.approx(getattr(expected, name), abs=0, rel=1e-15), name


def shuffled(events: Events, seed: int = 1) -> Events:
    return events.take(np.random.default_rng(seed).permutation(len(events.time_us)))


@settings(max_examples=200)
@given(histories_strategy(), parameters_strategy, st.sampled_from([AS_OF, AS_OF - 10 * DAY_US, -5 * DAY_US]))
def test_equal_to_the_definitions_and_to_each_other(
    histories: list[list[Event]], parameters: Parameters, as_of_us: int
) -> None:
    events = columns_of(histories)
    columns = events.traits(as_of_us, parameters)
    for row, history in enumerate(histories):
        assert_equal(columns, row, traits_of(history, as_of_us, parameters))
    everything = [event for history in histories for event in history]
    assert columns["ignored_event_count"] == sum(event.time_us > as_of_us for event in everything)
    for way in every_way():
        assert_same_bits(columns, events.traits(as_of_us, parameters, **way))
        assert_same_bits(columns, shuffled(events).traits(as_of_us, parameters, **way))


@settings(max_examples=50)
@given(histories_strategy())
def test_narrow_columns_and_absent_columns_say_the_same(histories: list[list[Event]]) -> None:
    plain = [[replace(event, weight=1.0, kind=1, action_taken=0) for event in history] for history in histories]
    events = columns_of(plain)
    expected = events.traits(AS_OF)
    narrow = replace(
        events,
        domain_index=events.domain_index.astype(np.uint8),
        capability_index=events.capability_index.astype(np.uint16),
        weight=events.weight.astype(np.float32) if events.weight is not None else None,
    )
    assert_same_bits(expected, narrow.traits(AS_OF))
    assert_same_bits(expected, replace(narrow, domain_index=events.domain_index.astype(np.uint16)).traits(AS_OF))
    absent = replace(narrow, kind=None, action_taken=None, weight=None).traits(AS_OF)
    for name in FLOAT_TRAITS:
        np.testing.assert_allclose(expected[name], absent[name], rtol=0, atol=1e-6)
    assert_same_bits({name: expected[name] for name in OTHER_COLUMNS}, {name: absent[name] for name in OTHER_COLUMNS})


@settings(max_examples=30)
@given(histories_strategy(), st.sampled_from([5_000, 3_000_000]))
def test_wide_index_ranges(histories: list[list[Event]], stretch: int) -> None:
    events = columns_of(histories)
    wide = replace(
        events,
        domain_index=events.domain_index * np.int32(stretch),
        capability_index=events.capability_index * np.int32(stretch),
        domain_count=events.domain_count * stretch,
        capability_count=events.capability_count * stretch,
    )
    expected = events.traits(AS_OF)
    assert_same_bits(expected, wide.traits(AS_OF))
    assert_same_bits(expected, shuffled(wide).traits(AS_OF, threads=2))


def random_events(learners: int, rows: int, seed: int, *, weighted: bool, heavy: float = 0.0) -> Events:
    """`heavy` is the share of all rows that learner 0 has."""
    random = np.random.default_rng(seed)
    learner = random.integers(0, learners, rows)
    learner[random.random(rows) < heavy] = 0
    return Events(
        learner_index=np.sort(learner).astype(np.int32),
        time_us=AS_OF - random.integers(-DAY_US, 90 * DAY_US, rows),
        domain_index=random.integers(0, 12, rows).astype(np.uint8),
        capability_index=random.integers(0, 100, rows).astype(np.uint16),
        kind=random.integers(0, 5, rows).astype(np.uint8),
        action_taken=random.integers(0, 2, rows).astype(np.uint8),
        weight=random.lognormal(0, 2, rows).astype(np.float32) if weighted else None,
        learner_count=learners,
        domain_count=12,
        capability_count=100,
    )


def history_of(events: Events, learner: int) -> list[Event]:
    rows = np.flatnonzero(events.learner_index == learner)
    ones = np.ones(len(events.time_us))
    columns = [events.time_us, events.domain_index, events.capability_index, events.kind, events.action_taken]
    columns.append(ones if events.weight is None else events.weight)
    return [Event(*(column[row].item() for column in columns)) for row in rows]  # type: ignore[union-attr]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("learners", "heavy"), [(40_000, 0.0), (3_000, 0.02)])
def test_many_rows_in_any_order(weighted: bool, learners: int, heavy: float) -> None:
    """Enough rows for several blocks, threads and parts of the radix partition, one learner far beyond a block."""
    events = random_events(learners, 600_000, 7, weighted=weighted, heavy=heavy)
    expected = events.traits(AS_OF)
    for learner in [0, 1, 17, learners - 1]:
        assert_equal(expected, learner, traits_of(history_of(events, learner), AS_OF, Parameters()))
    orders = [shuffled(events), events.take(np.argsort(events.time_us, kind="stable"))]
    for way in every_way():
        assert_same_bits(expected, events.traits(AS_OF, **way))
        for other in orders:
            assert_same_bits(expected, other.traits(AS_OF, **way))


def test_learners_without_events_have_the_zero_event_values() -> None:
    events = replace(columns_of([[], [Event(AS_OF + 1, 0, 0)], [Event(AS_OF, 0, 0)]]), learner_count=5)
    columns = events.traits(AS_OF)
    for learner in [0, 1, 3, 4]:
        values = [columns[name][learner] for name in FLOAT_TRAITS + OTHER_COLUMNS]
        assert values == list(astuple(traits_of([], AS_OF, Parameters())))
    assert columns["event_count"].tolist() == [0, 0, 1, 0, 0]
    assert columns["ignored_event_count"] == 1
    assert columns["ignored_event_count"].shape == ()


def test_no_rows_and_no_learners() -> None:
    assert columns_of([[], []]).traits(AS_OF)["momentum"].tolist() == [0.5, 0.5]
    assert columns_of([]).traits(AS_OF)["event_count"].shape == (0,)


def test_silent_millennia_take_no_time() -> None:
    oldest, newest = -62_135_596_800_000_000, 253_402_300_799_999_999
    history = [Event(oldest, 0, 0), Event(newest, 0, 1)]
    parameters = Parameters(velocity_alpha=1e-6)
    columns = columns_of([history]).traits(newest, parameters)
    assert_equal(columns, 0, traits_of(history, newest, parameters))
    assert columns["learning_velocity"][0] > 0.1


def test_the_extremes_of_the_time_range() -> None:
    history = [Event(-(2**62), 0, 0), Event(2**62 - 1, 1, 1), Event(0, 1, 0)]
    for as_of_us in [2**62 - 1, 0, -(2**62)]:
        columns = columns_of([history]).traits(as_of_us)
        assert_equal(columns, 0, traits_of(history, as_of_us, Parameters()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learner_index": [0, 5]}, r"learner_index\[1\] is 5, expected a position in \[0, 2\)"),
        ({"learner_index": [-1, 0]}, r"learner_index\[0\] is -1"),
        ({"learner_index": [1, -1]}, r"learner_index\[1\] is -1"),
        ({"domain_index": [0, 3]}, r"domain_index\[1\] is 3, expected a position in \[0, 3\)"),
        ({"capability_index": [-2, 0]}, r"capability_index\[0\] is -2"),
        ({"weight": [1.0, np.nan]}, r"weight\[1\] is nan, expected a finite number >= 0"),
        ({"weight": [-0.5, 1.0]}, r"weight\[0\] is -0.5"),
        ({"weight": [np.inf, 1.0]}, r"weight\[0\] is inf"),
        ({"time_us": [0, -(2**63)]}, r"time\[1\] is NaT"),
        ({"time_us": [2**62, 0]}, r"time\[0\] is 4611686018427387904"),
    ],
)
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_values_out_of_range_are_named(change: dict[str, list[float]], message: str, order: list[int]) -> None:
    events = replace(columns_of([[Event(0, 0, 0)], [Event(0, 2, 2)]]), domain_count=3, capability_count=3)
    name, values = next(iter(change.items()))
    changed = replace(events, **{name: np.array(values, getattr(events, name).dtype)})
    if order == [1, 0] and name != "learner_index":
        changed = replace(changed, learner_index=changed.learner_index[::-1].copy())
    with pytest.raises(ValueError, match=message):
        changed.traits(AS_OF)


def test_a_bad_value_is_named_by_its_own_row_after_a_partition() -> None:
    events = shuffled(random_events(40_000, 600_000, 3, weighted=True))
    for name, bad, text in [
        ("weight", -1.0, "weight"),
        ("capability_index", 60_000, "capability_index"),
        ("domain_index", 77, "domain_index"),
        ("time_us", -(2**63), "time"),
        ("learner_index", 40_000, "learner_index"),
    ]:
        column = getattr(events, name).copy()
        column[[345_678, 345_999]] = bad
        with pytest.raises(ValueError, match=rf"^{text}\[345678\]"):
            replace(events, **{name: column}).traits(AS_OF, threads=2)


def test_arrays_that_do_not_fit_are_named() -> None:
    events = columns_of([[Event(0, 0, 0), Event(1, 0, 0)]])
    with pytest.raises(TypeError, match="time must have dtype int64 or uint32, not float64"):
        replace(events, time_us=events.time_us.astype(np.float64)).traits(AS_OF)
    with pytest.raises(TypeError, match="capability_index must have dtype int32, uint16 or uint8, not int64"):
        replace(events, capability_index=events.capability_index.astype(np.int64)).traits(AS_OF)
    with pytest.raises(TypeError, match="domain_index must be a numpy array, not list"):
        replace(events, domain_index=[0, 0]).traits(AS_OF)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="time must be C-contiguous"):
        replace(events, time_us=np.zeros(4, np.int64)[::2]).traits(AS_OF)
    with pytest.raises(TypeError, match="weight must have 1 dimension, not shape"):
        replace(events, weight=np.ones((2, 1))).traits(AS_OF)
    with pytest.raises(ValueError, match="kind must have 2 elements, not 3"):
        replace(events, kind=np.zeros(3, np.uint8)).traits(AS_OF)
    with pytest.raises(ValueError, match="learner_count is -1"):
        replace(events, learner_count=-1).traits(AS_OF)
    with pytest.raises(ValueError, match="threads is 0, expected at least 1"):
        events.traits(AS_OF, threads=0)
    with pytest.raises(ValueError, match="as_of_us is "):
        events.traits(2**62)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("velocity_alpha", 0.0),
        ("velocity_alpha", 1.5),
        ("velocity_kappa", 0.0),
        ("velocity_kappa", np.nan),
        ("affinity_entropy_penalty", -0.1),
        ("frequency_window_days", 0),
        ("feedback_prior_acted", -1.0),
        ("retention_decay_per_day", np.inf),
        ("day_start_seconds", 86_400),
    ],
)
def test_parameters_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        columns_of([[Event(0, 0, 0)]]).traits(AS_OF, replace(Parameters(), **{name: value}))


def test_parameters_have_the_defaults_of_the_design() -> None:
    parameters = _core.TraitParameters()
    assert {name: getattr(parameters, name) for name in vars(Parameters())} == vars(Parameters())
