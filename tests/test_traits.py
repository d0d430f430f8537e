"""Traits by hand, by both engines."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from covey.errors import InputError
from covey.events import Events
from covey.parameters import TRAIT_NAMES, TraitParameters

DAY_US = 86_400_000_000
AS_OF_DAY = 1_000


def events_of(rows, learner_id=None, **columns):
    """Events from (age in days, domain, capability); noon of each day."""
    ages, domains, capabilities = zip(*rows, strict=True)
    times = [(AS_OF_DAY - age) * DAY_US + DAY_US // 2 for age in ages]
    ids = learner_id or ["a"] * len(rows)
    return Events.from_numpy(ids, times, list(domains), list(capabilities), time_unit="us", **columns)


def one_learner(rows, engine, parameters=None, **columns):
    as_of = AS_OF_DAY * DAY_US + DAY_US // 2
    traits = events_of(rows, **columns).traits(as_of, parameters, engine=engine)
    assert len(traits) == 1
    return {name: traits[name][0].item() for name in (*TRAIT_NAMES, *traits.further)}


def test_learning_velocity_by_hand(engine):
    # Weeks of age 3, 1, 1, 0: n_3 = 1, n_2 = 0, n_1 = 2, n_0 = 1; the second use of x is no first use.
    found = one_learner([(21, "d", "x"), (7, "d", "y"), (13, "d", "z"), (6, "d", "w"), (0, "d", "x")], engine)
    average = 1.0
    for new in (0, 2, 1):
        average = 0.3 * new + 0.7 * average
    assert found["learning_velocity"] == pytest.approx(average / (average + 3), abs=1e-6)


def test_learning_velocity_dies_away_over_silent_millennia(engine):
    found = one_learner([(AS_OF_DAY + 700_000, "d", "x")], engine)
    assert found["learning_velocity"] == 0
    assert found["tenure_days"] == AS_OF_DAY + 700_000


def test_domain_affinity_by_hand(engine):
    found = one_learner([(0, "p", "x"), (0, "q", "x"), (0, "r", "x")], engine, weight=[3.0, 1.0, 0.0])
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert found["domain_entropy"] == pytest.approx(entropy, abs=1e-6)
    assert found["domain_affinity"] == pytest.approx(0.75 * (1 - 0.3 * entropy / np.log2(2)), abs=1e-6)


def test_a_null_domain_is_a_domain(engine):
    both = one_learner([(0, "p", "x"), (0, None, "x")], engine)
    assert both["domain_affinity"] == pytest.approx(0.5 * 0.7, abs=1e-6)
    assert one_learner([(0, None, "x")], engine)["domain_affinity"] == 1


def test_interaction_frequency_counts_days_below_28(engine):
    found = one_learner([(27, "d", "x"), (28, "d", "x"), (3, "d", "x"), (3, "d", "y")], engine, weight=[0.0, 1, 1, 1])
    assert found["interaction_frequency"] == pytest.approx(2 / 28, abs=1e-6)
    assert found["active_days"] == 3


def test_feedback_responsiveness_counts_feedback_only(engine):
    rows = [(0, "d", "x")] * 5
    kinds = ["feedback", "feedback", "training", "feedback", "other"]
    found = one_learner(rows, engine, kind=kinds, action_taken=[True, False, True, None, True])
    assert found["feedback_responsiveness"] == pytest.approx(2 / 5, abs=1e-6)
    assert one_learner(rows, engine)["feedback_responsiveness"] == 0.5


def test_retention_strength_by_hand(engine):
    # The first use of x, its exact duplicate (no repeat: not later), then a repeat; y once.
    rows = [(10, "d", "x"), (10, "d", "x"), (4, "d", "x"), (2, "d", "y")]
    found = one_learner(rows, engine, weight=[1.0, 1.0, 2.0, 1.0])
    terms = [w * np.exp(-0.05 * age) for w, age in ((1, 10), (1, 10), (2, 4), (1, 2))]
    assert found["retention_strength"] == pytest.approx(terms[2] / sum(terms), abs=1e-6)


def test_retention_of_ancient_events_does_not_underflow(engine):
    found = one_learner([(100_000, "d", "x"), (99_999, "d", "x")], engine)
    assert found["retention_strength"] == pytest.approx(1 / (1 + np.exp(-0.05)), abs=1e-6)


def test_no_weight_at_all(engine):
    found = one_learner([(1, "d", "x"), (0, "d", "x")], engine, weight=[0.0, 0.0])
    assert (found["domain_affinity"], found["retention_strength"], found["momentum"]) == (0, 0, 0.5)
    assert found["learning_velocity"] == pytest.approx(1 / 4, abs=1e-6)
    assert found["event_count"] == 2


def test_momentum_by_hand(engine):
    found = one_learner([(13, "d", "x"), (14, "d", "x"), (27, "d", "x"), (28, "d", "x")], engine, weight=[2.0, 1, 5, 9])
    assert found["momentum"] == pytest.approx(2 / 8, abs=1e-6)


def test_weights_of_any_size(engine):
    found = one_learner([(1, "p", "x"), (0, "q", "x")], engine, weight=[1.7e308, 1.7e308])
    assert found["domain_affinity"] == pytest.approx(0.35, abs=1e-6)
    assert found["momentum"] == 1
    found = one_learner([(1, "p", "x"), (0, "q", "x")], engine, weight=[5e-324, 1.7e308])
    assert found["domain_affinity"] == pytest.approx(1, abs=1e-6)


def test_days_begin_where_the_parameter_says(engine):
    rows = [(0, "d", "x"), (0, "d", "y")]
    ids = ["a", "a"]
    times = [10 * DAY_US + 3 * 3_600_000_000, 10 * DAY_US + 5 * 3_600_000_000]
    events = Events.from_numpy(ids, times, [r[1] for r in rows], [r[2] for r in rows], time_unit="us")
    assert events.traits(engine=engine)["active_days"].tolist() == [1]
    at_four = TraitParameters(day_start_seconds=4 * 3_600)
    assert events.traits(parameters=at_four, engine=engine)["active_days"].tolist() == [2]


def test_every_parameter_matters(engine):
    rows = [(30, "p", "x"), (9, "q", "y"), (8, "q", "y"), (0, "q", "z")]
    columns = {"kind": ["feedback"] * 4, "action_taken": [True, False, False, False]}
    base = one_learner(rows, engine, **columns)
    changes = {
        "velocity_alpha": (0.9, "learning_velocity"),
        "velocity_kappa": (1.0, "learning_velocity"),
        "affinity_entropy_penalty": (0.9, "domain_affinity"),
        "frequency_window_days": (7, "interaction_frequency"),
        "feedback_prior_acted": (5.0, "feedback_responsiveness"),
        "feedback_prior_ignored": (5.0, "feedback_responsiveness"),
        "retention_decay_per_day": (1.0, "retention_strength"),
    }
    for parameter, (value, trait) in changes.items():
        found = one_learner(rows, engine, TraitParameters(**{parameter: value}), **columns)
        assert abs(found[trait] - base[trait]) > 1e-3, parameter


@pytest.mark.parametrize(
    "bad",
    [
        {"velocity_alpha": 0.0},
        {"velocity_alpha": 1.1},
        {"velocity_kappa": 0.0},
        {"affinity_entropy_penalty": -0.1},
        {"frequency_window_days": 0},
        {"feedback_prior_acted": 0.0, "feedback_prior_ignored": 0.0},
        {"feedback_prior_acted": -1.0},
        {"retention_decay_per_day": -1.0},
        {"retention_decay_per_day": float("nan")},
        {"day_start_seconds": 86_400},
        {"day_start_seconds": True},
    ],
)
def test_parameters_out_of_range(bad):
    with pytest.raises(InputError, match="trait parameter"):
        TraitParameters(**bad)


def test_later_events_are_ignored_and_counted(engine):
    events = Events.from_numpy(["a", "b", "a", "c"], [0, 5, 1, 9], time_unit="day")
    traits = events.traits(as_of=datetime(1970, 1, 2), engine=engine)
    assert traits.learner_ids.texts() == ["a"]
    assert traits.ignored_event_count == 2
    assert traits["event_count"].tolist() == [2]
    assert traits.as_of == datetime(1970, 1, 2, tzinfo=UTC)
    until_five = events.traits(as_of=np.datetime64("1970-01-06"), engine=engine)
    assert until_five.learner_ids.texts() == ["a", "b"]
    assert until_five["recency_days"].tolist() == [4.0, 0.0]
    integers = Events.from_numpy([7, 8], [0, 5], time_unit="day").traits(as_of=0, engine=engine)
    assert integers.learner_ids.texts() == ["7"]


def test_learners_without_a_row_take_no_values_along(engine):
    events = Events.from_numpy(["a", "b", "c", "c"], [9, 0, 0, 1], capability=["x", "x", "x", "y"], time_unit="day")
    traits = events.traits(as_of=np.datetime64("1970-01-02"), engine=engine)
    alone = Events.from_numpy(["b", "c", "c"], [0, 0, 1], capability=["x", "x", "y"], time_unit="day")
    assert traits.learner_ids.texts() == ["b", "c"]
    assert traits.matrix.tolist() == alone.traits(engine=engine).matrix.tolist()
    assert traits["tenure_days"].tolist() == [1.0, 1.0]


def test_a_naive_instant_is_utc_everywhere(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        traits = Events.from_numpy([1], [0], time_unit="day").traits(as_of=datetime(1970, 1, 3), engine="reference")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert traits.as_of_us == 2 * DAY_US


def test_the_newest_event_is_the_default_instant(engine):
    traits = Events.from_numpy([1, 2], [0, 5], time_unit="day").traits(engine=engine)
    assert traits.as_of_us == 5 * DAY_US
    assert traits.ignored_event_count == 0
    assert traits["recency_days"].tolist() == [5.0, 0.0]


def test_an_instant_before_every_event(engine):
    with pytest.raises(InputError, match="every event is later"):
        Events.from_numpy([1], [5], time_unit="day").traits(as_of=0, engine=engine)


@pytest.mark.parametrize("instant", ["yesterday", np.datetime64("NaT"), True, 2**62, 1.5])
def test_what_is_no_instant(instant):
    with pytest.raises(InputError, match="instant"):
        Events.from_numpy([1], [5], time_unit="day").traits(as_of=instant, engine="reference")


def test_unknown_engine_and_threads():
    events = Events.from_numpy([1], [5], time_unit="day")
    with pytest.raises(InputError, match="'native' or 'reference'"):
        events.traits(engine="fast")
    with pytest.raises(InputError, match="threads is 0"):
        events.traits(engine="reference", threads=0)


def test_the_arrow_table(engine):
    traits = Events.from_numpy([2**53 + 1, 3], [0, 5], time_unit="day").traits(engine=engine)
    table = traits.to_arrow()
    assert table.column_names[:6] == ["learner_id", *TRAIT_NAMES]
    assert table["learner_id"].to_pylist() == [3, 2**53 + 1]
    assert table.schema.field("learning_velocity").type == pa.float32()
    assert table["event_count"].to_pylist() == [1, 1]
    texts = Events.from_numpy(["ü", ""], [0, 5], time_unit="day").traits(engine=engine).to_arrow()
    assert texts["learner_id"].to_pylist() == ["", "ü"]


def test_the_table_of_traits_is_no_copy():
    traits = events_of([(3, "d", "x"), (2, "d", "y")], learner_id=[7, 9]).traits()
    table = traits.to_arrow()
    assert table["learner_id"].chunk(0).buffers()[1].address == traits.learner_ids.integers.ctypes.data
    for name in (*TRAIT_NAMES, *traits.further):
        assert table[name].chunk(0).buffers()[1].address == traits[name].ctypes.data, name
