"""Bad input: every error says where, what was found and what was expected; nothing is half-loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey.errors import InputError
from covey.events import Events, read_parquet

TIMES = np.zeros(3, "datetime64[us]")
NAN, INFINITY = float("nan"), float("inf")


def table(**changes):
    base = {"learner_id": pa.array([1, 2, 3]), "time": pa.array(TIMES)}
    return pa.table(base | changes)


@pytest.mark.parametrize(
    ("changes", "column", "row", "words"),
    [
        ({"learner_id": pa.array([1, None, 3])}, "learner_id", 1, "null"),
        ({"learner_id": pa.array(["a", None, "b"])}, "learner_id", 1, "null"),
        ({"learner_id": pa.array([1.0, 2.0, 3.0])}, "learner_id", None, "2^53"),
        ({"learner_id": pa.array([True, False, True])}, "learner_id", None, "integer or string"),
        ({"time": pa.array([0, 1, None], pa.timestamp("us"))}, "time", 2, "null"),
        ({"time": pa.array(["2025-01-01"] * 3)}, "time", None, "timestamps"),
        ({"time": pa.array([1, 2, 3])}, "time", None, "time_unit"),
        ({"time": pa.array([0, -(2**62), 0], pa.timestamp("us"))}, "time", 1, "years 1 to 9999"),
        ({"weight": pa.array([1.0, -0.5, 1.0])}, "weight", 1, ">= 0"),
        ({"weight": pa.array([1.0, 1.0, NAN])}, "weight", 2, "finite"),
        ({"weight": pa.array([INFINITY, 1.0, 1.0])}, "weight", 0, "finite"),
        ({"weight": pa.array([1, -1, 1])}, "weight", 1, ">= 0"),
        ({"weight": pa.array(["1", "2", "3"])}, "weight", None, "numbers"),
        ({"kind": pa.array([0, 5, 1])}, "kind", 1, "0 to 4"),
        ({"kind": pa.array([0.0, 1.0, 1.0])}, "kind", None, "training"),
        ({"action_taken": pa.array([0, 1, 2])}, "action_taken", 2, "0 or 1"),
        ({"action_taken": pa.array(["yes", "no", "no"])}, "action_taken", None, "booleans"),
        ({"domain": pa.array([0.5, 1.0, 2.0])}, "domain", None, "strings or integers"),
        ({"capability": pa.array([[1], [2], [3]])}, "capability", None, "strings or integers"),
        ({"capabilty": pa.array(["a", "b", "c"])}, "capabilty", None, "capability=''"),
    ],
)
def test_the_place_and_the_expectation(changes, column, row, words, tmp_path: Path):
    with pytest.raises(InputError) as raised:
        Events.from_arrow(table(**changes))
    assert (raised.value.column, raised.value.row) == (column, row)
    assert words in str(raised.value)
    with pytest.raises(InputError) as raised:
        Events.from_arrow(pa.Table.from_batches(table(**changes).to_batches(max_chunksize=1)))
    assert (raised.value.column, raised.value.row) == (column, row)
    path = tmp_path / "events.parquet"
    pq.write_table(table(**changes), path, row_group_size=1)
    with pytest.raises(InputError) as raised:
        read_parquet(path)
    assert (raised.value.source, raised.value.column, raised.value.row) == (str(path), column, row)
    assert str(path) in str(raised.value) and words in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "column", "row"),
    [
        ({"learner_id": pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["a", None]))}, "learner_id", 2),
        ({"time": pa.array([0, 0, 2**62], pa.timestamp("s"))}, "time", 2),
    ],
)
def test_what_parquet_cannot_even_hold(changes, column, row):
    with pytest.raises(InputError) as raised:
        Events.from_arrow(table(**changes))
    assert (raised.value.column, raised.value.row) == (column, row)


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY, 1e300])
def test_float_times_must_be_finite(value):
    with pytest.raises(InputError) as raised:
        Events.from_numpy([1, 2], [0.0, value], time_unit="s")
    assert (raised.value.column, raised.value.row) == ("time", 1)


def test_a_timestamp_refuses_a_unit():
    with pytest.raises(InputError, match="Leave time_unit='s' out"):
        Events.from_numpy([1, 2, 3], TIMES, time_unit="s")


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"learner": "learner"}, "did you mean 'learner_id'"),
        ({"time": "tiem"}, "did you mean 'time'"),
        ({"weight": "clicks"}, "the columns are: learner_id, time"),
        ({"lerner": "learner_id"}, "did you mean 'learner'"),
        ({"time_unit": "hour"}, "day, s, ms, us, ns"),
        ({"domain": "a", "domain_from": "b:c:d"}, "give one of them"),
        ({"domain_from": "sites.parquet"}, "path:key:value"),
    ],
)
def test_mappings_that_make_no_sense(mapping, words):
    with pytest.raises(InputError) as raised:
        Events.from_arrow(table(), mapping)
    assert words.lower() in str(raised.value).lower()


def test_two_columns_of_one_name():
    twice = pa.Table.from_arrays(
        [pa.array([1]), pa.array([2]), pa.array(TIMES[:1])], ["learner_id", "learner_id", "time"]
    )
    with pytest.raises(InputError, match="two columns"):
        Events.from_arrow(twice)


def test_a_pandas_column_of_mixed_objects():
    frame = pd.DataFrame({"learner_id": np.array(["a", 2, 3.5], dtype=object), "time": TIMES})
    with pytest.raises(InputError, match="learner_id"):
        Events.from_arrow(frame)


def test_arrays_of_mixed_values_or_lengths():
    with pytest.raises(InputError, match="mixed"):
        Events.from_numpy(["a", 1], TIMES[:2])
    with pytest.raises(InputError, match="learner_id 2, time 3"):
        Events.from_numpy([1, 2], TIMES)


def test_no_table_at_all():
    with pytest.raises(InputError, match="Arrow C data interface"):
        Events.from_arrow([1, 2, 3])


def test_no_rows(tmp_path: Path):
    with pytest.raises(InputError, match="no rows"):
        Events.from_arrow(table().slice(0, 0))
    pq.write_table(table().slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"none\.parquet: there are no rows"):
        read_parquet(tmp_path / "none.parquet")


def test_files_that_are_no_parquet(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        read_parquet(tmp_path / "absent.parquet")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(InputError, match="the file is empty"):
        read_parquet(tmp_path / "empty.parquet")
    (tmp_path / "text.parquet").write_text("learner_id,time\n1,2\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_parquet(tmp_path / "text.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="holds no Parquet file"):
        read_parquet(tmp_path / "folder")


def test_damaged_pages_of_a_parquet_file(tmp_path: Path):
    path = tmp_path / "damaged.parquet"
    ids = np.random.default_rng(0).integers(0, 2**62, 50_000)
    pq.write_table(pa.table({"learner_id": ids, "time": ids.astype("datetime64[us]")}), path, compression="zstd")
    damaged = bytearray(path.read_bytes())
    damaged[1_000:200_000] = bytes(199_000)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged\.parquet: it cannot be read"):
        read_parquet(path, {"time": "time"})


def test_files_of_a_folder_must_agree(tmp_path: Path):
    pq.write_table(table(weight=pa.array([1.0, 2.0, 3.0])), tmp_path / "1.parquet")
    pq.write_table(table(), tmp_path / "2.parquet")
    with pytest.raises(InputError, match=r"2\.parquet, column 'weight': the column is missing"):
        read_parquet(tmp_path)
    (tmp_path / "1.parquet").rename(tmp_path / "3.parquet")
    with pytest.raises(InputError, match="'weight': the column is missing"):
        read_parquet(tmp_path)
    pq.write_table(table(learner_id=pa.array(["1", "2", "3"])), tmp_path / "3.parquet")
    with pytest.raises(InputError, match=r"3\.parquet, column 'learner_id': its type is"):
        read_parquet(tmp_path)


@pytest.mark.parametrize(
    ("lookup", "words"),
    [
        (pa.table({"site": [1, 1], "type": ["a", "b"]}), "second domain 'b'"),
        (pa.table({"site": [1], "kind": ["a"]}), "column 'type'"),
        (pa.table({"site": [77], "type": ["a"]}), "none of the events"),
    ],
)
def test_lookups_that_make_no_sense(lookup, words, tmp_path: Path):
    pq.write_table(lookup, tmp_path / "sites.parquet")
    mapping = {"domain_from": f"{tmp_path / 'sites.parquet'}:site:type"}
    with pytest.raises(InputError) as raised:
        Events.from_arrow(table(site=pa.array([1, 2, 3])), mapping)
    assert words in str(raised.value)
    with pytest.raises(InputError, match="column 'site'"):
        Events.from_arrow(table(), mapping)
