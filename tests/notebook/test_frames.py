"""Results as Arrow, pandas and polars: the same values, and the same memory where the types allow it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import covey
from covey.identifiers import LearnerIds
from covey.notebook import frames
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES

NUMBERS = (*TRAIT_NAMES, *FURTHER_NAMES)


def some_events(ids) -> covey.Events:
    random = np.random.default_rng(0)
    learner = np.repeat(np.asarray(ids), 12)
    return covey.Events.from_numpy(
        learner,
        random.integers(0, 60, len(learner)),
        domain=random.integers(0, 4, len(learner)),
        capability=random.integers(0, 9, len(learner)),
        time_unit="day",
    )


@pytest.fixture(params=["integers", "texts"])
def cohorts(request):
    ids = np.arange(300) if request.param == "integers" else [f"learner-{index:03}" for index in range(300)]
    return some_events(ids).traits().discover(k=4)


def columns_of(traits):
    return {name: traits[name] for name in NUMBERS}


def test_arrow_holds_the_memory_of_the_traits(cohorts):
    table = cohorts.to_arrow()
    for name, values in columns_of(cohorts.traits).items():
        assert np.shares_memory(table[name].chunk(0).to_numpy(zero_copy_only=True), values), name
    assert np.shares_memory(table["cohort"].chunk(0).to_numpy(), cohorts.labels)
    ids = cohorts.traits.learner_ids
    _, *buffers = table["learner_id"].chunk(0).buffers()
    mine = [ids.integers] if ids.integers is not None else [ids.offsets, ids.data]
    assert [buffer.address for buffer in buffers] == [array.ctypes.data for array in mine]


def test_pandas_holds_the_memory_of_the_traits(cohorts):
    frame = cohorts.to_pandas()
    for name, values in columns_of(cohorts.traits).items():
        assert np.shares_memory(frame[name].to_numpy(), values), name
    assert np.shares_memory(frame["cohort"].to_numpy(), cohorts.labels)
    assert frame["archetype"].tolist() == [cohorts.archetypes[label] for label in cohorts.labels]
    assert [str(text) for text in frame["learner_id"]] == cohorts.traits.learner_ids.texts()


def test_the_twin_a_copy_shares_nothing(cohorts):
    frame = cohorts.to_pandas().copy(deep=True)
    frame.loc[0, "momentum"] = 7.0
    assert not any(np.shares_memory(frame[name].to_numpy(), cohorts.traits[name]) for name in NUMBERS)


def test_results_are_not_changed_through_a_frame(cohorts):
    frame = cohorts.to_pandas()
    before = cohorts.fingerprint()
    with pytest.raises(ValueError, match="read-only"):
        frame[TRAIT_NAMES[0]].to_numpy()[0] = 1.0
    frame["mine"] = 1.0
    assert cohorts.fingerprint() == before


def test_polars_holds_the_memory_of_the_traits(cohorts):
    frame = cohorts.to_polars()
    for name, values in columns_of(cohorts.traits).items():
        assert np.shares_memory(frame[name].to_numpy(allow_copy=False), values), name
    assert frame["archetype"].cast(pl.String).to_list() == [cohorts.archetypes[label] for label in cohorts.labels]


def test_others_take_results_as_they_are(cohorts):
    assert pa.table(cohorts).equals(cohorts.to_arrow())
    assert pl.DataFrame(cohorts).equals(cohorts.to_polars())
    if hasattr(pd.DataFrame, "from_arrow"):  # from pandas 3 on; a rival in benchmarks holds it below
        assert pd.DataFrame.from_arrow(cohorts).shape == cohorts.to_pandas().shape
    assert pl.DataFrame(cohorts.traits).equals(cohorts.traits.to_polars())
    assert cohorts.traits.to_pandas().columns.tolist() == ["learner_id", *NUMBERS]


def test_two_cohorts_of_one_name_are_one_category():
    labels = np.array([2, 0, 1, 2], dtype=np.int32)
    array = frames.named(labels, ("Generalist", "Specialist", "Generalist"))
    assert array.to_pylist() == ["Generalist", "Generalist", "Specialist", "Generalist"]
    assert frames.to_pandas(pa.table({"name": array}))["name"].cat.categories.tolist() == ["Generalist", "Specialist"]
    with pytest.raises(ValueError, match="unique"):  # the twin: what names as they are would do
        pa.DictionaryArray.from_arrays(pa.array(labels), ["Generalist", "Specialist", "Generalist"]).to_pandas()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_without_the_library_it_says_what_to_install(library, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(frames, "find_spec", lambda name: None if name == library else find_spec(name))
    traits = some_events(np.arange(5)).traits()
    with pytest.raises(covey.InputError, match=f"pip install {library}"):
        getattr(traits, f"to_{library}")()


def test_ids_survive_whatever_they_are():
    ids = LearnerIds.from_texts(["ä", "", "Z" * 100])
    assert ids.to_arrow().to_pandas().tolist() == ids.texts()
