"""Events from tables of every origin, with the traps of real logs."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey.events import Events, read_parquet

DAY_US = 86_400_000_000


def columns(**changes):
    table = {
        "learner_id": ["b", "a", "b"],
        "time": pa.array([3, 1, 2], pa.timestamp("us")),
        "domain": ["x", None, "x"],
        "capability": ["c2", "c1", None],
        "kind": ["feedback", "training", None],
        "action_taken": [True, None, None],
        "weight": pa.array([2.0, None, 0.5], pa.float32()),
    }
    table.update(changes)
    return pa.table({name: values for name, values in table.items() if values is not None})


def test_columns_of_a_table():
    events = Events.from_arrow(columns())
    assert events.learner_ids.texts() == ["a", "b"]
    assert events.learner_index.tolist() == [1, 0, 1]
    assert events.learner_index.dtype == np.int32
    assert events.time_us.tolist() == [3, 1, 2]
    assert events.domains == ("x", None)
    assert events.domain_index.tolist() == [0, 1, 0]
    assert events.capabilities == ("c1", "c2", None)
    assert events.capability_index.tolist() == [1, 0, 2]
    assert events.kind.tolist() == [4, 2, 0]
    assert events.action_taken.tolist() == [1, 0, 0]
    assert events.weight.tolist() == [2.0, 1.0, 0.5]
    assert len(events) == 3


@pytest.mark.parametrize(
    "convert", [pa.Table.to_pandas, pl.from_arrow, lambda table: table.combine_chunks().to_batches()[0]]
)
def test_any_table_that_speaks_arrow(convert):
    table = columns(kind=["feedback", "training", "walk"], action_taken=[True, False, False], weight=[2.0, 1.0, 0.5])
    events = Events.from_arrow(convert(table))
    assert events.learner_ids.texts() == ["a", "b"]
    assert events.time_us.tolist() == [3, 1, 2]
    assert events.capabilities == ("c1", "c2", None)
    assert events.kind.tolist() == [4, 2, 1]
    assert events.weight.tolist() == [2.0, 1.0, 0.5]


def test_fitting_columns_are_not_copied():
    time = np.arange(0, 4_000_000, 1_000_000).astype("datetime64[us]")
    weight = np.arange(4.0)
    kind = np.array([4, 1, 2, 3], np.uint8)
    domain = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, 0], pa.int8()), pa.array(["a", "b"]))
    capability = pa.DictionaryArray.from_arrays(pa.array([2, 1, 0, 2], pa.uint16()), pa.array([7, 8, 9]))
    table = pa.table(
        {
            "learner_id": [1, 1, 2, 2],
            "time": time,
            "weight": weight,
            "kind": kind,
            "domain": domain,
            "capability": capability,
        }
    )
    events = Events.from_arrow(table)

    def address(column, dictionary=False):
        array = table[column].chunk(0)
        return (array.indices if dictionary else array).buffers()[1].address

    assert events.time.ctypes.data == address("time")
    assert events.weight.ctypes.data == address("weight")
    assert events.kind.ctypes.data == address("kind")
    assert events.domain_index.ctypes.data == address("domain", dictionary=True)
    assert events.capability_index.ctypes.data == address("capability", dictionary=True)
    assert np.shares_memory(events.time, time) and np.shares_memory(events.weight, weight)
    assert (events.domains, events.capabilities) == (("a", "b"), ("7", "8", "9"))
    assert (events.domain_index.dtype, events.capability_index.dtype) == (np.uint8, np.uint16)
    assert events.learner_index is None and events.learner_offsets.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    "column",
    [
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), pa.array(["b", "a"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 2, 0], pa.int8()), pa.array(["a", "unused", "b"])),
        pa.DictionaryArray.from_arrays(pa.array([0, None, 0], pa.int8()), pa.array(["a"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), pa.array(["a", None])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), pa.array(["a", "b", "a"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int64()), pa.array(["a", "b"])),
        pa.array([2, 1, 2]),
    ],
)
def test_dictionaries_that_do_not_fit_are_renumbered(column):
    events = Events.from_numpy([1, 1, 1], np.zeros(3, "datetime64[us]"), domain=column)
    found = [events.domains[position] for position in events.domain_index]
    assert found == [None if value is None else str(value) for value in column.to_pylist()]
    assert [name for name in events.domains if name] == sorted(name for name in set(found) if name)
    assert events.domain_index.dtype == np.uint8


@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_batches_are_one_table(batch_rows):
    table = columns()
    pieces = pa.Table.from_batches(table.to_batches(max_chunksize=batch_rows))
    assert_same(Events.from_arrow(pieces), Events.from_arrow(table))


def test_only_what_is_required():
    events = Events.from_arrow(pa.table({"learner_id": [7], "time": pa.array([5], pa.timestamp("s"))}))
    assert events.time_us.tolist() == [5_000_000]
    assert (events.domains, events.capabilities) == ((None,), (None,))
    assert (events.kind, events.action_taken, events.weight) == (None, None, None)


def test_ids_above_2_to_the_53_stay_exact():
    ids = [2**53 + 1, 2**53, -(2**63), 2**63 - 1]
    events = Events.from_numpy(np.array(ids), np.zeros(4, "datetime64[us]"))
    assert events.learner_ids.texts() == [str(number) for number in sorted(ids)]
    unsigned = Events.from_numpy(np.array([2**64 - 1, 2**63], np.uint64), np.zeros(2, "datetime64[us]"))
    assert unsigned.learner_ids.texts() == [str(2**63), str(2**64 - 1)]
    assert unsigned.learner_index.tolist() == [1, 0]
    ascending = Events.from_numpy(np.array(sorted(ids)), np.zeros(4, "datetime64[us]"))
    assert ascending.learner_ids.equals(events.learner_ids) and ascending.learner_index is None


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["b", "ü", "a", "b"]),
        pa.array(["b", "ü", "a", "b"], pa.large_string()),
        pa.array(["b", "ü", "a", "b"], pa.string_view()),
        pa.array(["b", "ü", "a", "b"]).dictionary_encode(),
        # A dictionary with a value that no row has, and one that it lists twice.
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 3, 4], pa.int8()), pa.array(["b", "ü", "unused", "a", "b"])),
    ],
)
def test_string_ids_of_every_encoding(ids):
    events = Events.from_numpy(ids, np.zeros(4, "datetime64[us]"))
    assert events.learner_ids.texts() == ["a", "b", "ü"]
    assert events.learner_index.tolist() == [1, 2, 0, 1]


def test_dictionary_of_integer_ids():
    ids = pa.array([30, 10, 30]).dictionary_encode()
    events = Events.from_numpy(ids, np.zeros(3, "datetime64[us]"))
    assert events.learner_ids.integers.tolist() == [10, 30]
    assert events.learner_index.tolist() == [1, 0, 1]


def test_string_ids_sort_by_utf8_bytes():
    texts = ["\U0001f600", "｡", "z", "é", ""]
    events = Events.from_numpy(texts, np.zeros(5, "datetime64[us]"))
    assert events.learner_ids.texts() == sorted(texts, key=str.encode)
    for position, text in enumerate(events.learner_ids.texts()):
        assert events.learner_ids.find(text) == position
    assert events.learner_ids.find("nobody") is None


def test_integer_ids_are_found_by_their_text():
    ids = Events.from_numpy([5, 700, -3], np.zeros(3, "datetime64[us]")).learner_ids
    assert [ids.find(key) for key in ("-3", 5, "700", "05", "6", "x", str(2**70))] == [0, 1, 2, None, None, None, None]


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (pa.array([1, -1], pa.int16()), "day", [DAY_US, -DAY_US]),
        (pa.array([1, -1], pa.int32()), "s", [1_000_000, -1_000_000]),
        (pa.array([1, -1], pa.int64()), "ms", [1_000, -1_000]),
        (pa.array([1, -1], pa.int64()), "us", [1, -1]),
        (pa.array([1_999, -1], pa.int64()), "ns", [1, -1]),
        (pa.array([1.5, -0.25]), "day", [DAY_US * 3 // 2, -DAY_US // 4]),
        (pa.array([1.5, -0.25], pa.float32()), "ns", [0, -1]),
        (pa.array([1_999, -1], pa.timestamp("ns")), None, [1, -1]),
        (pa.array([7, -7], pa.timestamp("ms")), None, [7_000, -7_000]),
        (pa.array([date(1970, 1, 2), date(1969, 12, 31)]), None, [DAY_US, -DAY_US]),
        (pa.array([DAY_US // 1000, -DAY_US // 1000], pa.date64()), None, [DAY_US, -DAY_US]),
        (pa.array([datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), None]).fill_null(0), None, [0, 0]),
        (pa.array([0, 1], pa.timestamp("s", tz="America/New_York")), None, [0, 1_000_000]),
        (
            pa.array([datetime(1, 1, 1), datetime(9999, 12, 31)]),
            None,
            [-62_135_596_800_000_000, 253_402_214_400_000_000],
        ),
    ],
)
def test_times_of_every_form(values, unit, expected):
    events = Events.from_numpy([1, 1], values, time_unit=unit)
    assert events.time_us.dtype == np.int64
    assert events.time_us.tolist() == expected


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (pa.array([1, 2, None], pa.int16()), np.float32),
        (pa.array([1, 2, None], pa.int64()), np.float32),
        (pa.array([1, 2, None], pa.float16()), np.float32),
        (pa.array([1, 2, None], pa.float64()), np.float32),
        (pa.array([Decimal("1.0"), Decimal("2.0"), None]), np.float32),
        (pa.array([1, 2**24 + 1, None], pa.int32()), np.float64),
        (pa.array([1, 0.1, None], pa.float64()), np.float64),
        (pa.array([1, 1e300, None], pa.float64()), np.float64),
    ],
)
def test_weights_of_every_form(values, dtype):
    table = pa.table({"learner_id": [1, 1, 1], "time": np.zeros(3, "datetime64[us]"), "weight": values})
    weight = Events.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=2))).weight
    assert weight.dtype == dtype
    assert weight.tolist() == [1.0, float(values[1].as_py()), 1.0]


def test_columns_that_say_nothing_are_left_out():
    table = columns(kind=["training", "workflow", None], weight=pa.array([1.0, None, 1.0]))
    events = Events.from_arrow(table)
    assert (events.kind, events.action_taken, events.weight) == (None, None, None)
    assert Events.from_arrow(columns(action_taken=[False, False, None])).action_taken is None


def test_numbers_for_kinds_and_flags():
    events = Events.from_numpy([1, 1, 1], np.zeros(3, "datetime64[us]"), kind=[4, 0, 3], action_taken=[1, 0, 0])
    assert events.kind.tolist() == [4, 0, 3]
    assert events.action_taken.tolist() == [1, 0, 0]


def test_pandas_categories_without_rows_are_no_learners():
    frame = pd.DataFrame({"learner_id": pd.Categorical(["a", "b", "c"]), "time": np.zeros(3, "datetime64[us]")})
    events = Events.from_arrow(frame[frame.learner_id != "b"])
    assert events.learner_ids.texts() == ["a", "c"]


@pytest.mark.parametrize("distinct", [256, 257, 65_536, 65_537])
def test_codes_widen_when_they_must(distinct, tmp_path):
    values = np.random.default_rng(0).permutation(distinct)
    table = pa.table(
        {"learner_id": values, "time": values.astype("datetime64[us]"), "domain": values, "capability": values}
    )
    events = Events.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=200)))
    for names, codes in ((events.domains, events.domain_index), (events.capabilities, events.capability_index)):
        assert np.array(names, dtype=np.int64)[codes].tolist() == values.tolist()
        expected = np.uint8 if distinct <= 256 else np.uint16 if distinct <= 65_536 else np.int32
        assert codes.dtype == expected


def test_parquet_file_and_folder_are_the_table(tmp_path: Path):
    table = columns()
    pq.write_table(table, tmp_path / "whole.parquet", row_group_size=1)
    whole = read_parquet(tmp_path / "whole.parquet")
    assert_same(whole, Events.from_arrow(table))
    folder = tmp_path / "folder" / "year=2025"
    folder.mkdir(parents=True)
    pq.write_table(table.slice(0, 1), folder / "1.parquet")
    pq.write_table(table.slice(1, 0), folder / "2.parquet")
    pq.write_table(table.slice(1), folder / "3.parquet")
    (folder / "notes.txt").write_text("not an event")
    seen = []
    assert_same(
        Events.from_parquet(tmp_path / "folder", progress=lambda done, total: seen.append((done, total))), whole
    )
    assert seen == [(1, 3), (3, 3)]


def test_mapping_and_domain_lookup(tmp_path: Path):
    pq.write_table(pa.table({"site": [1, 2, 3], "type": ["quiz", "forum", "quiz"]}), tmp_path / "sites.parquet")
    table = pa.table({"who": [5, 5, 6, 6], "when": [0, 1, 2, 3], "site": [3, 2, 1, None], "weight": [-1, -1, -1, -1]})
    mapping = {
        "learner": "who",
        "time": "when",
        "time_unit": "day",
        "capability": "site",
        "weight": "",
        "domain_from": f"{tmp_path / 'sites.parquet'}:site:type",
    }
    events = Events.from_arrow(table, mapping)
    assert events.domains == ("forum", "quiz", None)
    assert events.domain_index.tolist() == [1, 0, 1, 2]
    assert events.capabilities == ("1", "2", "3", None)
    assert events.weight is None


def test_every_row_of_the_real_log(shared_data, oulad_mapping):
    path = shared_data("oulad_student_vle.parquet")
    events = read_parquet(path, oulad_mapping)
    assert len(events) == 475_993
    assert len(events.learner_ids) == 2_243
    raw = pq.read_table(path)
    assert np.array_equal(events.learner_ids.integers[events.learner_index_of_rows()], raw["id_student"].to_numpy())
    assert np.array_equal(events.time_us, raw["date"].to_numpy().astype(np.int64) * DAY_US)
    assert np.array_equal(events.weight, raw["sum_click"].to_numpy())
    sites = np.array(events.capabilities, dtype=np.int64)[events.capability_index]
    assert np.array_equal(sites, raw["id_site"].to_numpy())
    assert None not in events.domains and len(events.domains) > 5


def assert_same(one: Events, other: Events):
    assert one.learner_ids.equals(other.learner_ids)
    assert (one.domains, one.capabilities) == (other.domains, other.capabilities)
    assert np.array_equal(one.learner_index_of_rows(), other.learner_index_of_rows())
    for name in ("learner_index", "time_us", "domain_index", "capability_index", "kind", "action_taken", "weight"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None), name
        if left is None:
            continue
        assert np.array_equal(left, right), name
        assert left.dtype == right.dtype, name
