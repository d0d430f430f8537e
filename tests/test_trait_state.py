"""A state advanced event by event has the traits of all events at once."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from covey import Events, InputError, TraitParameters, Traits, TraitState, _core
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES

DAY_US = 86_400_000_000


def assert_equal(one: Traits, other: Traits) -> None:
    assert one.learner_ids.texts() == other.learner_ids.texts()
    assert one.as_of_us == other.as_of_us
    for name in TRAIT_NAMES + FURTHER_NAMES:
        assert one[name].dtype == other[name].dtype, name
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-6, err_msg=name)


def school(learner_count: int = 50, event_count: int = 4_000, seed: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "learner_id": random.integers(0, learner_count, event_count),
        "time": random.integers(0, 56 * DAY_US, event_count),
        "domain": random.integers(0, 12, event_count).astype(str),
        "capability": random.integers(0, 100, event_count).astype(str),
        "kind": random.integers(0, 5, event_count),
        "action_taken": random.integers(0, 2, event_count).astype(bool),
        "weight": random.choice([0.0, 0.5, 1.0, 3.0], event_count),
    }


def events_of(columns: dict[str, np.ndarray], rows: slice = slice(None)) -> Events:
    return Events.from_numpy(**{name: column[rows] for name, column in columns.items()}, time_unit="us")


def state_of(columns: dict[str, np.ndarray], chunk_rows: int, parameters: TraitParameters | None = None) -> TraitState:
    state = TraitState(parameters)
    for start in range(0, len(columns["time"]), chunk_rows):
        state.update(events_of(columns, slice(start, start + chunk_rows)))
    return state


@pytest.mark.parametrize("chunk_rows", [1, 17, 4_000])
def test_chunks_of_any_size_are_the_whole(chunk_rows: int) -> None:
    columns = {name: column[:1_000] for name, column in school().items()}
    whole = events_of(columns)
    state = state_of(columns, chunk_rows)
    assert (state.event_count, state.learner_count, state.newest_us) == (1_000, 50, whole.newest_us)
    for later_us in (0, 1, 3 * DAY_US, 40 * 365 * DAY_US):
        assert_equal(state.traits(whole.newest_us + later_us), whole.traits(whole.newest_us + later_us))


def test_newest_first_and_oldest_first_are_the_same() -> None:
    columns = school()
    for order in (np.argsort(columns["time"]), np.argsort(-columns["time"])):
        ordered = {name: column[order] for name, column in columns.items()}
        assert_equal(state_of(ordered, 333).traits(), events_of(columns).traits())


def test_some_learners_are_found_by_integer_and_by_text() -> None:
    columns = school()
    state = state_of(columns, 500)
    some = state.traits(learner_ids=[7, "3", "nobody", 3])
    assert some.learner_ids.texts() == ["3", "7"]
    everyone = events_of(columns).traits()
    for row, learner in enumerate((3, 7)):
        assert some["retention_strength"][row] == pytest.approx(everyone["retention_strength"][learner], abs=1e-6)
    with pytest.raises(InputError, match="no learner that was asked for"):
        state.traits(learner_ids=["nobody"])


def test_an_integer_and_its_text_are_one_learner() -> None:
    state = TraitState()
    for learner_id in ([42, 2**53 + 1], ["42", "042", "-0", str(2**64 - 1)], np.array([2**64 - 1], np.uint64)):
        state.update(Events.from_numpy(learner_id, np.zeros(len(learner_id), int), time_unit="us"))
    traits = state.traits()
    assert traits.learner_ids.texts() == ["-0", "042", str(2**64 - 1), "42", str(2**53 + 1)]
    assert traits["event_count"].tolist() == [1, 1, 2, 2, 1]


@pytest.mark.parametrize("ids", [[-5, 3, 2**62], [2**64 - 1, 1, 2**63]])
def test_integer_ids_stay_integers(ids: list[int]) -> None:
    state = TraitState()
    dtype = np.int64 if min(ids) < 0 else np.uint64
    events = Events.from_numpy(np.array(ids, dtype), np.zeros(3, int), time_unit="us")
    state.update(events)
    found = state.traits().learner_ids
    assert found.integers is not None and found.equals(events.learner_ids)


def test_ids_that_no_integer_type_holds_are_texts() -> None:
    state = TraitState()
    for ids in (np.array([-1]), np.array([2**64 - 1], np.uint64)):
        state.update(Events.from_numpy(ids, np.zeros(1, int), time_unit="us"))
    assert state.traits().learner_ids.texts() == ["-1", str(2**64 - 1)]


def test_no_domain_is_another_than_an_empty_name() -> None:
    import pyarrow as pa

    names = pa.array(["", None, "", "x"], pa.string())
    events = Events.from_numpy([1, 1, 1, 1], np.arange(4), names, names, time_unit="us")
    state = TraitState()
    state.update(events)
    state.update(events)
    both = pa.concat_arrays([names, names])
    twice = Events.from_numpy([1] * 8, [0, 1, 2, 3] * 2, both, both, time_unit="us")
    assert_equal(state.traits(), twice.traits())


def test_questions_with_other_constants() -> None:
    columns = school()
    state = state_of(columns, 500, TraitParameters(retention_decay_per_day=0.2, day_start_seconds=-3600))
    asked = TraitParameters(0.9, 1.0, 0.7, 9, 2.0, 5.0, retention_decay_per_day=0.2, day_start_seconds=-3600)
    assert_equal(state.traits(parameters=asked), events_of(columns).traits(parameters=asked))
    with pytest.raises(ValueError, match="shape a trait state"):
        state.traits(parameters=TraitParameters())


def test_an_instant_before_the_newest_event_is_refused_with_the_way_out() -> None:
    state = state_of(school(), 4_000)
    assert state.newest_us is not None
    with pytest.raises(InputError, match=r"before the newest event .* Analyse the events themselves"):
        state.traits(state.newest_us - 1)
    with pytest.raises(InputError, match="before the newest event"):
        state.traits(datetime(1970, 1, 2, tzinfo=UTC))
    with pytest.raises(InputError, match="no events yet"):
        TraitState().traits()


def test_a_forgotten_learner_leaves_the_others_as_they_were() -> None:
    columns = school()
    state = state_of(columns, 777)
    newest_learner = int(columns["learner_id"][columns["time"].argmax()])
    kept = columns["learner_id"] != newest_learner
    rest = {name: column[kept] for name, column in columns.items()}
    assert state.forget(str(newest_learner)) == np.count_nonzero(~kept)
    assert state.forget(newest_learner) == 0
    assert_equal(state.traits(), events_of(rest).traits())
    gone = {name: column[~kept] for name, column in columns.items()}
    state.update(events_of(gone))
    assert_equal(state.traits(), events_of(columns).traits())


def test_nothing_of_a_forgotten_learner_is_in_the_bytes() -> None:
    state = TraitState()
    state.update(Events.from_numpy(["ada", "bob"], [1, 2], ["secret", "d"], ["hidden", "c"], time_unit="us"))
    assert state.forget("ada") == 1
    file = io.BytesIO()
    state.save(file)
    for word in (b"ada", b"secret", b"hidden"):
        assert word not in file.getvalue()
    assert b"bob" in file.getvalue()
    assert state.forget("bob") == 1
    assert (state.event_count, state.learner_count, state.newest_us) == (0, 0, None)


@pytest.mark.parametrize("as_text", [False, True])
def test_a_saved_state_goes_on_where_it_was(tmp_path: Path, as_text: bool) -> None:
    columns = school()
    if as_text:
        columns["learner_id"] = columns["learner_id"].astype(str)
    parameters = TraitParameters(velocity_alpha=0.5, frequency_window_days=14, retention_decay_per_day=0.01)
    state = state_of({name: column[:2_500] for name, column in columns.items()}, 500, parameters)
    state.save(tmp_path / "state")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    again = TraitState.load(tmp_path / "state")
    assert again.parameters == parameters
    assert (again.event_count, again.learner_count) == (state.event_count, state.learner_count)
    again.update(events_of(columns, slice(2_500, None)))
    assert_equal(again.traits(), events_of(columns).traits(parameters=parameters))
    assert TraitState.load(io_bytes(again)).byte_count > 0


def io_bytes(state: TraitState) -> bytes:
    file = io.BytesIO()
    state.save(file)
    return file.getvalue()


def test_damaged_bytes_are_told(tmp_path: Path) -> None:
    data = io_bytes(state_of(school(), 4_000))
    random = np.random.default_rng(3)
    for place in [0, 8, len(data) - 1, *random.integers(0, len(data), 200).tolist()]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(random.integers(8))
        with pytest.raises(InputError, match=r"not the bytes of a whole trait state.*Build the state again"):
            TraitState.load(bytes(damaged))
    for size in (0, 1, 8, 31, 32, len(data) // 2, len(data) - 8):
        with pytest.raises(InputError, match="not the bytes of a whole trait state"):
            TraitState.load(data[:size])
    with pytest.raises(InputError, match="not the bytes"):
        TraitState.load(data + bytes(8))
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="the file is empty"):
        TraitState.load(tmp_path / "empty")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    state = state_of(school(), 4_000)
    with pytest.raises(FileNotFoundError):
        state.save(tmp_path / "none" / "state")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        state.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_cancelled_update_says_so_ever_after() -> None:
    columns = school()
    state = state_of(columns, 4_000)
    cancellation = _core.Cancellation()
    cancellation.cancel()
    with pytest.raises(_core.Cancelled):
        state.traits(cancellation=cancellation)
    before = state.traits()
    assert_equal(before, state.traits())
    with pytest.raises(_core.Cancelled):
        state.update(events_of(columns), cancellation)
    with pytest.raises(ValueError, match="ended in its middle"):
        state.traits()


def test_real_learners(shared_data, oulad_mapping) -> None:
    from dataclasses import replace

    from covey import read_parquet

    events = read_parquet(shared_data("oulad_student_vle.parquet"), oulad_mapping)
    random = np.random.default_rng(5)
    order = random.permutation(len(events))
    cuts = np.sort(random.integers(0, len(events), 7))
    state = TraitState()
    for rows in np.split(order, cuts):
        chosen = {
            name: None if (column := getattr(events, name)) is None else column[rows]
            for name in ("time", "domain_index", "capability_index", "kind", "action_taken", "weight")
        }
        index = events.learner_index_of_rows()[rows]
        state.update(replace(events, learner_index=index, learner_offsets=None, **chosen))
    for later_us in (0, 1, 3 * DAY_US):
        assert_equal(state.traits(events.newest_us + later_us), events.traits(events.newest_us + later_us))
