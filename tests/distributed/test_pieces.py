"""Whole learners in pieces, whatever the files: the keepers of the pieces together know what one process knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covey.cli import analyze
from covey.distributed.keeper import Keeper, Work
from covey.distributed.pieces import PartedPiece, grouped_events, grouped_pieces, part_rows
from covey.distributed.source import open_source
from covey.errors import InputError
from covey.events import read_parquet
from covey.events_mapping import EventMapping
from covey.out_of_core import NotGroupedError, traits_of_parquet
from covey.out_of_core_plan import row_groups_by_learner
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, TraitParameters
from covey.parts import discover_in_parts
from covey.parts.questions import Conclude

DAY_US = 86_400_000_000


def events_table(ids, seed=1, as_text=False):
    random = np.random.default_rng(seed)
    count = len(ids)
    return pa.table(
        {
            "learner_id": pa.array([f"learner-{number:06d}" for number in ids]) if as_text else pa.array(ids),
            "time": pa.array(random.integers(0, 40 * DAY_US, count), type=pa.timestamp("us")),
            "domain": pa.array(random.choice(["maths", "music", None], count)),
            "capability": pa.array(random.integers(0, 9, count)),
            "kind": pa.array(random.choice(["training", "feedback"], count)),
            "action_taken": pa.array(random.random(count) < 0.5),
            "weight": pa.array(random.integers(1, 4, count).astype(float)),
        }
    )


def work_on(source, as_of_us, kept_bytes=1 << 30):
    return Work(source, as_of_us, TraitParameters(), DEFAULT_TRAIT_WEIGHTS, kept_bytes)


def assert_keepers_agree(path, pieces, keeper_count, whole, kept_bytes=1 << 30):
    work = work_on(open_source(path, EventMapping()), whole.as_of_us, kept_bytes)
    keeper_count = min(keeper_count, len(pieces))
    shares = [
        {number: pieces[number] for number in range(first, len(pieces), keeper_count)} for first in range(keeper_count)
    ]
    keepers = [Keeper(work, share) for share in shares]
    asked = []

    def ask(question):
        asked.append(question)
        return [keeper.answer(question) for keeper in keepers]

    found = discover_in_parts(ask, min(3, len({tuple(row) for row in whole.matrix.T.tolist()})), 5)
    expected = whole.discover(k=found.model.k, seed=5)
    assert found.model.centroids.tobytes() == expected.centroids.tobytes()
    assert (found.model.cohorts, found.model.quality) == (expected.model.cohorts, expected.quality)
    conclude = next(question for question in asked if isinstance(question, Conclude))
    tables = [keepers[number % keeper_count].learners(number, conclude) for number in range(len(pieces))]
    together = pa.concat_tables(tables).sort_by("learner_id").combine_chunks()
    told = expected.to_arrow().drop_columns(["archetype"])
    for name in told.schema.names:
        assert together.column(name).to_pylist() == told.column(name).to_pylist(), name
    spilled = sum(keeper.spilled_count for keeper in keepers)
    for keeper in keepers:
        keeper.close()
    return spilled


@st.composite
def ascending_ids(draw):
    runs = draw(st.lists(st.integers(1, 30), min_size=1, max_size=40))
    return np.repeat(np.arange(len(runs)) * 3 - 5, runs).astype(np.int64)


@given(ascending_ids(), st.integers(1, 25), st.integers(1, 90), st.integers(1, 4), st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_row_groups_by_learner(tmp_path, ids, rows_per_group, rows_per_piece, keeper_count, as_text):
    """Learners that go on for several row groups and pieces, pieces of nobody, integers and text."""
    path = tmp_path / "events.parquet"
    pq.write_table(
        events_table(np.maximum(ids, 0) if as_text else ids, as_text=as_text), path, row_group_size=rows_per_group
    )
    whole = read_parquet(path).traits()
    source = open_source(path, EventMapping())
    groups = row_groups_by_learner(source.files)
    assert groups is not None
    pieces = grouped_pieces(groups, rows_per_piece)
    assert sum(piece.row_count for piece in pieces) == len(ids)
    assert_keepers_agree(path, pieces, keeper_count, whole)


def parted_pieces(path, part_count):
    source = open_source(path, EventMapping())
    made = [
        part_rows(source, number, [group], part_count)
        for number, file in enumerate(source.files)
        for group in range(file.metadata.num_row_groups)
    ]
    pieces = [PartedPiece(tuple(tables[part] for tables, _, _ in made), 1) for part in range(part_count)]
    return pieces, max(newest for _, newest, _ in made)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("part_count", [1, 3, 60])
def test_rows_in_any_order(tmp_path, part_count, as_text):
    ids = np.random.default_rng(3).integers(0, 50, 900)
    for number in range(3):
        pq.write_table(
            events_table(ids[300 * number : 300 * (number + 1)], number, as_text),
            tmp_path / f"{number}.parquet",
            row_group_size=70,
        )
    whole = read_parquet(tmp_path).traits()
    pieces, newest_us = parted_pieces(tmp_path, part_count)
    assert newest_us == whole.as_of_us
    assert_keepers_agree(tmp_path, pieces, 2, whole)


def test_what_memory_does_not_hold_is_in_files(tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(events_table(np.repeat(np.arange(200), 5)), path)
    pieces, _ = parted_pieces(path, 6)
    whole = read_parquet(path).traits()
    assert assert_keepers_agree(path, pieces, 2, whole) == 0
    assert assert_keepers_agree(path, pieces, 2, whole, kept_bytes=4000) in range(1, 6)
    assert assert_keepers_agree(path, pieces, 2, whole, kept_bytes=0) == 6


def test_rows_that_are_not_where_their_file_says(tmp_path):
    path = tmp_path / "events.parquet"
    ids = np.repeat(np.arange(30), 10)
    pq.write_table(events_table(ids), path, row_group_size=100)
    source = open_source(path, EventMapping())
    pieces = grouped_pieces(row_groups_by_learner(source.files), 100)
    (tmp_path / "events.parquet").unlink()
    pq.write_table(events_table(ids[::-1].copy()), path, row_group_size=100)
    shuffled = open_source(path, EventMapping())
    with pytest.raises(NotGroupedError):
        grouped_events(shuffled, pieces[0])


def test_a_bad_value_is_named_by_file_column_and_row(tmp_path):
    table = events_table(np.repeat(np.arange(30), 10))
    weight = table.column("weight").to_numpy().copy()
    weight[217] = -1
    path = tmp_path / "events.parquet"
    pq.write_table(table.set_column(6, "weight", pa.array(weight)), path, row_group_size=60)
    source = open_source(path, EventMapping())
    keeper = Keeper(work_on(source, 0), dict(enumerate(grouped_pieces(row_groups_by_learner(source.files), 60))))
    with pytest.raises(InputError, match=r"events\.parquet, column 'weight', row 217 ") as one:
        [keeper.load(number) for number in range(5)]
    with pytest.raises(InputError) as other:
        part_rows(source, 0, range(5), 4)
    with pytest.raises(InputError) as whole:
        traits_of_parquet(path)
    assert str(one.value) == str(other.value) == str(whole.value)


@pytest.mark.parametrize(
    "place", ["s3://bucket/events", "file:///srv/events", "events/spring", "/srv/events", "gs://b"]
)
def test_a_uri_is_one_after_it_was_a_path(place):
    assert analyze._place(Path(place)) == place


def test_files_of_a_store_by_uri(tmp_path):
    ids = np.repeat(np.arange(20), 4)
    for number in range(2):
        pq.write_table(events_table(ids + 20 * number, number), tmp_path / f"{number}.parquet")
    (tmp_path / "_notes.parquet").write_text("no Parquet")
    by_uri = open_source(tmp_path.as_uri(), EventMapping())
    assert [file.path.name for file in by_uri.files] == ["0.parquet", "1.parquet"]
    assert by_uri.files[0].filesystem is not None
    pieces = grouped_pieces(row_groups_by_learner(by_uri.files), 100)
    loaded = [
        Keeper(work_on(by_uri, 40 * DAY_US), dict(enumerate(pieces))).load(number) for number in range(len(pieces))
    ]
    assert sum(each.learner_count for each in loaded) == 40
    (tmp_path / "2.parquet").write_text("no Parquet either")
    with pytest.raises(InputError, match="cannot be read"):
        open_source(tmp_path.as_uri(), EventMapping())
    with pytest.raises(InputError, match="no rows"):
        open_source((tmp_path / "nowhere").as_uri(), EventMapping())
    with pytest.raises(InputError, match="does not answer"):
        open_source("nosuchstore://bucket/events", EventMapping())
