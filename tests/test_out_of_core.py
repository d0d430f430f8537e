"""Events that do not fit into memory: the same bits as those that do, whatever the order of the rows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey import out_of_core, out_of_core_plan, out_of_core_spill
from covey.errors import InputError
from covey.events import read_parquet
from covey.events_mapping import EventMapping
from covey.events_parquet import event_files
from covey.generate import GenerationPlan, event_tables
from covey.out_of_core import traits_of_parquet
from covey.out_of_core_budget import MemoryBudget, available_bytes, memory_bytes
from covey.out_of_core_plan import newest_by_reading, newest_by_statistics, row_groups_by_learner

PIECE = 3_000


@pytest.fixture(scope="module")
def generated():
    return pa.concat_tables(table for table, _ in event_tables(GenerationPlan(600, seed=2))).combine_chunks()


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where temporary files go; empty after every test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def write(table, folder, *, files=3, row_group_size=2_000, **options):
    folder.mkdir()
    step = -(-table.num_rows // files)
    for number in range(files):
        part = table.slice(number * step, step)
        pq.write_table(part, folder / f"{number}.parquet", row_group_size=row_group_size, **options)
    return folder


def with_text_ids(table):
    ids = pa.array([f"learner-{number:04d}-ü" for number in table["learner_id"].to_pylist()])
    return table.set_column(0, "learner_id", ids)


def sorted_rows(table):
    return table


def in_time_order(table):
    return table.sort_by("time")


def shuffled(table):
    return table.take(np.random.default_rng(1).permutation(table.num_rows))


def assert_same_traits(found, expected):
    assert found.learner_ids.equals(expected.learner_ids)
    assert found.as_of_us == expected.as_of_us
    assert found.ignored_event_count == expected.ignored_event_count
    assert found.matrix.tobytes() == expected.matrix.tobytes()
    for name, values in expected.further.items():
        assert found.further[name].dtype == values.dtype
        assert found.further[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize("order", [sorted_rows, in_time_order, shuffled])
@pytest.mark.parametrize("ids", ["integers", "texts"])
@pytest.mark.parametrize("as_of", [None, np.datetime64("2025-01-20")])
def test_the_same_bits_as_in_memory(generated, tmp_path, order, ids, as_of):
    table = order(generated if ids == "integers" else with_text_ids(generated))
    folder = write(table, tmp_path / "events")
    is_grouped = row_groups_by_learner(event_files(folder, EventMapping())) is not None
    assert is_grouped == (order is sorted_rows)
    expected = read_parquet(folder).traits(as_of=as_of)
    seen = []
    found, row_count = traits_of_parquet(
        folder, as_of=as_of, rows_per_piece=PIECE, progress=lambda *step: seen.append(step)
    )
    assert row_count == table.num_rows
    assert_same_traits(found, expected)
    assert {step[0] for step in seen} == ({"reading"} if is_grouped else {"parting", "traits"})
    assert all(done <= total == table.num_rows for _, done, total, _ in seen)
    one, other = found.discover(k=3), expected.discover(k=3)
    assert one.fingerprint() == other.fingerprint()
    assert one.labels.tobytes() == other.labels.tobytes()
    assert one.centroids.tobytes() == other.centroids.tobytes()


def test_the_reference_engine_too(generated, tmp_path):
    folder = write(shuffled(generated.slice(0, 5_000)), tmp_path / "events")
    expected = read_parquet(folder).traits(engine="reference")
    found, _ = traits_of_parquet(folder, engine="reference", rows_per_piece=500)
    assert found.learner_ids.equals(expected.learner_ids)
    np.testing.assert_allclose(found.matrix, expected.matrix, atol=1e-6)


def test_what_fits_is_read_at_once(generated, tmp_path):
    folder = write(shuffled(generated), tmp_path / "events")
    seen = set()
    found, _ = traits_of_parquet(folder, progress=lambda *step: seen.add(step[0]))
    assert seen == {"reading", "traits"}
    assert_same_traits(found, read_parquet(folder).traits())


def test_files_in_another_order_than_their_learners(generated, tmp_path):
    folder = write(generated, tmp_path / "events")
    (folder / "0.parquet").rename(folder / "9.parquet")
    found, _ = traits_of_parquet(folder, rows_per_piece=PIECE, progress=lambda what, *_: _is("reading", what))
    assert_same_traits(found, read_parquet(folder).traits())


@pytest.mark.parametrize("rows", [1, 700, 20_000])
def test_a_learner_across_many_row_groups(generated, tmp_path, rows):
    """Learners that begin in one piece and end in another, one of them longer than many pieces."""
    ids = generated["learner_id"].to_numpy().copy()
    ids[5_000 : 5_000 + rows] = ids[5_000]
    ids[5_000 + rows :] += ids[5_000]
    table = generated.set_column(0, "learner_id", pa.array(ids))
    folder = write(table, tmp_path / "events", row_group_size=300)
    found, _ = traits_of_parquet(folder, rows_per_piece=500, progress=lambda what, *_: _is("reading", what))
    assert_same_traits(found, read_parquet(folder).traits())


@pytest.mark.parametrize("order", [sorted_rows, shuffled])
@pytest.mark.parametrize(
    "kind", [pa.uint64(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_ids_of_every_type(generated, tmp_path, kind, order):
    """Unsigned ids straddle 2^63, and the learner at a border continues in the next row group."""
    table = order(generated.slice(0, 12_000))
    if pa.types.is_unsigned_integer(kind):
        ids = pa.array(table["learner_id"].to_numpy().astype(np.uint64) + np.uint64(2**63 - 100))
    else:
        ids = with_text_ids(table)["learner_id"].combine_chunks().cast(kind)
    folder = write(table.set_column(0, "learner_id", ids), tmp_path / "events", row_group_size=900)
    found, _ = traits_of_parquet(folder, rows_per_piece=1_500)
    assert_same_traits(found, read_parquet(folder).traits())


def test_files_with_integers_of_different_width(generated, tmp_path):
    folder = write(generated, tmp_path / "events")
    narrow = pq.read_table(folder / "0.parquet")
    pq.write_table(narrow.set_column(0, "learner_id", narrow["learner_id"].cast(pa.int16())), folder / "0.parquet")
    for name in ("1.parquet", "2.parquet"):
        table = pq.read_table(folder / name)
        ids = pa.array(table["learner_id"].to_numpy() + 2**40)
        pq.write_table(table.set_column(0, "learner_id", ids), folder / name, row_group_size=2_000)
    found, _ = traits_of_parquet(folder, rows_per_piece=PIECE)
    assert_same_traits(found, read_parquet(folder).traits())


def test_rows_in_any_order_within_row_groups(generated, tmp_path):
    """The learner at a border is then not at the end of its row group, so the rows are parted after all."""
    order = np.concatenate(
        [
            np.arange(start, min(start + 2_000, generated.num_rows))[::-1]
            for start in range(0, generated.num_rows, 2_000)
        ]
    )
    folder = write(generated.take(order), tmp_path / "events", files=1)
    assert row_groups_by_learner(event_files(folder, EventMapping())) is not None
    found, _ = traits_of_parquet(folder, rows_per_piece=PIECE)
    assert_same_traits(found, read_parquet(folder).traits())


def test_without_statistics_the_rows_are_parted(generated, tmp_path):
    folder = write(generated, tmp_path / "events", write_statistics=False)
    seen = set()
    found, _ = traits_of_parquet(folder, rows_per_piece=PIECE, progress=lambda *step: seen.add(step[0]))
    assert seen == {"parting", "traits"}
    assert_same_traits(found, read_parquet(folder).traits())


def test_statistics_of_ids_only(generated, tmp_path):
    folder = write(generated, tmp_path / "events", write_statistics=["learner_id"])
    seen = set()
    found, _ = traits_of_parquet(folder, rows_per_piece=PIECE, progress=lambda *step: seen.add(step[0]))
    assert seen == {"looking for the newest event", "reading"}
    assert_same_traits(traits_of_parquet(folder)[0], found)
    assert_same_traits(found, read_parquet(folder).traits())


def test_wrong_statistics_cost_time_not_truth(generated, tmp_path, monkeypatch):
    folder = write(generated, tmp_path / "events")
    expected = read_parquet(folder).traits()
    monkeypatch.setattr(out_of_core, "newest_by_statistics", lambda files, mapping: expected.as_of_us - 10**12)
    assert_same_traits(traits_of_parquet(folder, rows_per_piece=PIECE)[0], expected)
    files = event_files(folder, EventMapping())
    groups = row_groups_by_learner(files)
    lying = [out_of_core_plan.RowGroup(g.file, g.number, g.row_count, 7 * n, 7 * n) for n, g in enumerate(groups)]
    monkeypatch.setattr(out_of_core, "row_groups_by_learner", lambda files: lying)
    assert_same_traits(traits_of_parquet(folder, rows_per_piece=PIECE)[0], expected)


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (pa.array([5, -7], pa.timestamp("us")), None),
        (pa.array([5, -7], pa.timestamp("ms", "UTC")), None),
        (pa.array([5, -7], pa.timestamp("s")), None),
        (pa.array([5_999, -7], pa.timestamp("ns")), None),
        (pa.array([5, -7], pa.date32()), None),
        (pa.array([5, -7], pa.int16()), "day"),
        (pa.array([5.25, -7.0]), "day"),
    ],
)
def test_the_newest_event_before_reading(times, unit, tmp_path):
    pq.write_table(pa.table({"learner_id": [1, 1], "time": times}), tmp_path / "events.parquet")
    mapping = EventMapping(time_unit=unit)
    files = event_files(tmp_path / "events.parquet", mapping)
    expected = read_parquet(tmp_path / "events.parquet", mapping).newest_us
    assert newest_by_reading(files, mapping) == expected
    by_statistics = newest_by_statistics(files, mapping)
    assert by_statistics == (None if pa.types.is_floating(times.type) else expected)


def test_domains_of_a_lookup_table(generated, tmp_path):
    pairs = pa.table({"key": [f"capability-{n:03d}" for n in range(90)], "area": [f"a{n % 5}" for n in range(90)]})
    pq.write_table(pairs, tmp_path / "areas.parquet")
    mapping = {"domain_from": f"{tmp_path / 'areas.parquet'}:key:area"}
    table = generated.drop_columns(["domain"]).add_column(1, "key", generated["capability"])
    for name, order in (("sorted", sorted_rows), ("shuffled", shuffled)):
        folder = write(order(table), tmp_path / name)
        found, _ = traits_of_parquet(folder, mapping, rows_per_piece=PIECE)
        assert_same_traits(found, read_parquet(folder, mapping).traits())
        pq.write_table(pairs.set_column(0, "key", pa.array(["none"] * 90)).slice(0, 1), tmp_path / "none.parquet")
        with pytest.raises(InputError, match="none of the events has a domain"):
            traits_of_parquet(folder, {"domain_from": f"{tmp_path / 'none.parquet'}:key:area"}, rows_per_piece=PIECE)


@pytest.mark.parametrize("order", [sorted_rows, shuffled])
def test_bad_input_names_file_column_and_row(generated, tmp_path, order):
    weights = np.ones(generated.num_rows, np.float32)
    weights[-5] = -1
    table = generated.drop_columns(["weight"]).append_column("weight", pa.array(weights))
    halves = [order(table.slice(0, 15_000)), order(table.slice(15_000))]
    folder = write(pa.concat_tables(halves), tmp_path / "events", files=2)
    for name, half in zip(("0.parquet", "1.parquet"), halves, strict=True):
        pq.write_table(half, folder / name, row_group_size=2_000)
    with pytest.raises(InputError) as raised:
        traits_of_parquet(folder, rows_per_piece=PIECE)
    assert raised.value.source == str(folder / "1.parquet")
    assert raised.value.column == "weight"
    assert folder_row(folder / "1.parquet", raised.value.row) == -1
    with pytest.raises(InputError, match="every event is later"):
        traits_of_parquet(write(order(generated), tmp_path / "good"), as_of=0, rows_per_piece=PIECE)


@pytest.mark.parametrize("order", [sorted_rows, shuffled])
def test_a_damaged_file_is_named(generated, tmp_path, order):
    folder = write(order(generated), tmp_path / "events")
    damaged = bytearray((folder / "1.parquet").read_bytes())
    damaged[200 : len(damaged) // 2] = bytes(len(damaged) // 2 - 200)
    (folder / "1.parquet").write_bytes(damaged)
    with pytest.raises(InputError, match=r"1\.parquet: it cannot be read"):
        traits_of_parquet(folder, rows_per_piece=PIECE)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_work_leaves_no_files(generated, tmp_path, scratch, error):
    folder = write(shuffled(generated), tmp_path / "events")

    def stop(what, done, total, unit):
        if what == "traits":
            assert list(scratch.iterdir()) != []
            raise error

    with pytest.raises(error):
        traits_of_parquet(folder, rows_per_piece=PIECE, progress=stop)


def test_a_full_disk(generated, tmp_path, monkeypatch):
    folder = write(shuffled(generated), tmp_path / "events")
    with monkeypatch.context() as patched:
        patched.setattr(out_of_core_spill.Spill, "_path", lambda self, part: Path("/dev/full"))
        with pytest.raises(InputError, match=r"it is full.*TMPDIR"):
            traits_of_parquet(folder, rows_per_piece=PIECE)
    usage = out_of_core_spill.shutil.disk_usage(folder)._replace(free=1_000)
    monkeypatch.setattr(out_of_core_spill.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="may be needed"):
        traits_of_parquet(folder, rows_per_piece=PIECE)


def test_amounts_of_memory():
    assert memory_bytes("6GiB") == 6 << 30
    assert memory_bytes(" 1.5 gb") == 1_500_000_000
    assert memory_bytes("512MiB") == 512 << 20
    assert memory_bytes("1000") == 1_000
    for bad in ("", "GiB", "6 Gigs", "-1GiB", "6GiB or so"):
        with pytest.raises(InputError, match="6GiB"):
            memory_bytes(bad)
    assert 0 < available_bytes() < 1 << 50


def test_a_budget_decides_what_fits():
    budget = MemoryBudget(6 << 30)
    assert budget.holds(57_000_000, is_grouped=True)
    assert not budget.holds(560_000_000, is_grouped=True)
    assert not budget.holds(2**31, is_grouped=True)
    assert MemoryBudget(1 << 40).holds(560_000_000, is_grouped=False)
    assert MemoryBudget(2 << 30).holds(50_000_000, True) and not MemoryBudget(2 << 30).holds(50_000_000, False)
    least = MemoryBudget.least
    assert MemoryBudget(least).rows_per_piece < budget.rows_per_piece
    with pytest.raises(InputError, match=f"{-(-least >> 20)} MiB at least"):
        MemoryBudget(least - 1)


def test_too_many_learners_for_the_budget(generated, tmp_path, monkeypatch):
    folder = write(generated, tmp_path / "events")
    with pytest.raises(InputError, match="MiB at least"):
        traits_of_parquet(folder, memory_bytes=1_000)
    budget = MemoryBudget(MemoryBudget.least)
    budget.check_learners(1_000, 50_000, 100_000)
    with pytest.raises(InputError, match=r"about 20,000,000 learners.*5\.96 GiB at least"):
        budget.check_learners(10_000_000, 50_000, 100_000)


def folder_row(path, row):
    """The weight in a row of a file."""
    return pq.read_table(path)["weight"][row].as_py()


def _is(expected, found):
    assert found == expected


def test_temporary_files_are_below_tmpdir(scratch):
    assert Path(tempfile.gettempdir()) == scratch
