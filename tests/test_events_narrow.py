"""Narrow columns: chosen only where they hold the same values, and the same bits of traits come of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.events import Events, read_parquet
from covey.events_times import TimeBuffer
from covey.events_values import Place, flags
from covey.generate import GenerationPlan, event_tables
from covey.instants import widened_us

SECOND = 1_000_000
SPAN = 2**32


@pytest.mark.parametrize(
    ("seconds", "is_narrow"),
    [
        ([0, SPAN - 1], True),
        ([0, SPAN], False),
        ([-1, SPAN - 2], True),
        ([-1, SPAN - 1], False),
        ([-SPAN, -1], True),
        ([-5, 5, 0, -5], True),
        ([SPAN - 1, 2 * SPAN - 2], True),
        ([-62_135_596_800], True),
        ([-62_135_596_800, 253_402_300_799], False),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_seconds_where_all_lie_within_136_years(seconds, is_narrow, batch_rows):
    for order in (seconds, seconds[::-1]):
        time_us = np.array(order, np.int64) * SECOND
        buffer = TimeBuffer(len(time_us) + 1)
        for start in range(0, len(time_us), batch_rows):
            buffer.append(time_us[start : start + batch_rows])
        time, origin_us = buffer.finish()
        assert time.dtype == (np.uint32 if is_narrow else np.int64)
        assert widened_us(time, origin_us).tolist() == time_us.tolist()


@given(
    st.lists(
        st.lists(st.integers(-3 * SPAN, 3 * SPAN).map(lambda half: half * SECOND // 2), max_size=4), max_size=6
    ).filter(any)
)
@settings(max_examples=60)
def test_times_survive_every_split(batches):
    expected = np.concatenate([np.array(batch, np.int64) for batch in batches])
    buffer = TimeBuffer(len(expected))
    for batch in batches:
        buffer.append(np.array(batch, np.int64))
    assert widened_us(*buffer.finish()).tolist() == expected.tolist()


@given(
    ids=st.lists(st.sampled_from([-(2**63), -3, 5, 2**53, 2**53 + 1, 2**63 - 1]), min_size=1, max_size=12),
    batch_rows=st.integers(1, 5),
    as_text=st.booleans(),
    ascending=st.booleans(),
)
@settings(max_examples=80)
def test_learners_in_any_order_and_batches(ids, batch_rows, as_text, ascending):
    ids = sorted(ids) if ascending else ids
    ids = sorted(map(str, ids)) if as_text and ascending else [str(number) if as_text else number for number in ids]
    table = pa.table({"learner_id": pa.array(ids), "time": np.zeros(len(ids), "datetime64[us]")})
    events = Events.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=batch_rows)))
    assert events.learner_ids.texts() == [str(number) for number in sorted(set(ids))]
    assert [events.learner_ids.text(index) for index in events.learner_index_of_rows()] == [str(i) for i in ids]
    assert (events.learner_index is None) != (events.learner_offsets is None)
    is_ascending = ids == sorted(ids)
    assert (events.learner_offsets is not None) == is_ascending


def test_a_dictionary_that_lists_an_id_twice_is_still_grouped():
    ids = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 2]), pa.array(["a", "a", "b"]))
    events = Events.from_numpy(ids, np.zeros(4, "datetime64[us]"))
    assert events.learner_ids.texts() == ["a", "b"]
    assert events.learner_offsets.tolist() == [0, 2, 4]


def test_seven_bytes_an_event(tmp_path):
    table = pa.concat_tables(table for table, _ in event_tables(GenerationPlan(2_000, seed=3)))
    pq.write_table(table.select(["learner_id", "time", "domain", "capability"]), tmp_path / "events.parquet")
    events = read_parquet(tmp_path / "events.parquet")
    assert (events.time.dtype, events.domain_index.dtype) == (np.uint32, np.uint8)
    assert events.byte_count - events.learner_offsets.nbytes == 6 * len(events)
    many = table.set_column(3, "capability", pa.array(np.arange(table.num_rows) % 300))
    pq.write_table(many.select(["learner_id", "time", "domain", "capability"]), tmp_path / "many.parquet")
    events = read_parquet(tmp_path / "many.parquet")
    assert events.byte_count - events.learner_offsets.nbytes == 7 * len(events)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_bits_as_wide_columns(tmp_path, engine, threads):
    table = pa.concat_tables(table for table, _ in event_tables(GenerationPlan(3_000, seed=8)))
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=50_000)
    narrow = read_parquet(tmp_path / "events.parquet")
    assert narrow.learner_offsets is not None and narrow.time.dtype == np.uint32
    wide = replace(
        narrow,
        learner_index=narrow.learner_index_of_rows(),
        learner_offsets=None,
        time=narrow.time_us,
        time_origin_us=0,
        domain_index=narrow.domain_index.astype(np.int32),
        capability_index=narrow.capability_index.astype(np.int32),
        weight=narrow.weight.astype(np.float64),
    )
    assert narrow.byte_count < 0.55 * wide.byte_count
    assert narrow.newest_us == wide.newest_us == int(wide.time.max())
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    ways = (wide, Events.from_arrow(shuffled))
    expected = narrow.traits(engine=engine, threads=threads)
    for way in ways:
        found = way.traits(engine=engine, threads=threads)
        assert found.learner_ids.equals(expected.learner_ids)
        if engine == "native" or way is wide:
            assert found.matrix.tobytes() == expected.matrix.tobytes()
            for name, values in expected.further.items():
                assert found.further[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize("offset", [0, 1, 7, 8, 13])
def test_flags_of_any_slice(offset):
    values = [None if draw == 0 else draw == 1 for draw in np.random.default_rng(0).integers(0, 3, 70)]
    array = pa.array(values).slice(offset, 40)
    assert flags(array, Place("table", "flag")).tolist() == [int(bool(value)) for value in array.to_pylist()]
    known = array.fill_null(True)
    assert flags(known, Place("table", "flag")).tolist() == [int(value) for value in known.to_pylist()]
    assert flags(array.slice(0, 0), Place("table", "flag")).tolist() == []
