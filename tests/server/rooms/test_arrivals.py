"""Bulk appends: written as they came, read in order, put in order once nobody appends; the codec that reads them."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.v1 import datasets_pb2, events_pb2
from covey_server.datasets.appends_stream import read_request
from covey_server.datasets.segments import SegmentFile, fill_arrival_segment
from covey_server.datasets.segments_columns import SortedColumns, merged
from covey_server.decoding import decode_packed

Request = datasets_pb2.AppendEventsRequest
DOMAINS, CAPABILITIES = ["a", "b", "ü"], [f"c{number}" for number in range(300)]
OPTIONAL = ("kind", "action_taken", "weight_float32")


def packed(
    seed: int, count: int, learner_type: str = "<i8", absent: frozenset[str] = frozenset()
) -> events_pb2.PackedEvents:
    generator = np.random.default_rng(seed)
    message = events_pb2.PackedEvents(
        event_count=count, time_us=generator.integers(-(10**15), 10**15, count).astype("<i8").tobytes()
    )
    learners = generator.integers(0, 50, count).astype(learner_type).tobytes()
    if learner_type == "<u8":
        message.learner_id_uint64 = learners
    else:
        message.learner_id_int64 = learners
    if "domain" not in absent:
        message.domain.values.extend(DOMAINS)
        message.domain.indices_uint8 = generator.integers(0, 3, count).astype("u1").tobytes()
    if "capability" not in absent:
        message.capability.values.extend(CAPABILITIES)
        message.capability.indices_uint16 = generator.integers(0, 300, count).astype("<u2").tobytes()
    columns = {
        "kind": generator.integers(0, 5, count).astype("u1"),
        "action_taken": generator.integers(0, 2, count).astype("u1"),
        "weight_float32": generator.random(count).astype("<f4"),
    }
    for name in OPTIONAL:
        if name not in absent:
            setattr(message, name, columns[name].tobytes())
    return message


def raw(message: events_pb2.PackedEvents, sequence: int = 1) -> bytes:
    return Request(chunk_sequence=sequence, packed=message).SerializeToString()


def plain(message: events_pb2.PackedEvents) -> _core.AppendedChunk:
    chunk = _core.read_chunk(raw(message))
    assert chunk is not None
    return chunk


def columns_of(segment: SegmentFile) -> dict[str, Any]:
    names = ("time", "domain", "capability", "kind", "action_taken", "weight", "learner_id")
    return {name: segment.column(name).tolist() for name in names} | {
        name: segment.names(name) for name in ("domain", "capability")
    }


def expected_columns(columns: SortedColumns) -> dict[str, Any]:
    return {
        "time": columns.time_us.tolist(),
        "kind": columns.kind.tolist(),
        "action_taken": columns.action_taken.tolist(),
        "weight": columns.weight.tolist(),
        "learner_id": columns.learner.tolist(),  # type: ignore[union-attr]
        "domain": columns.domain.names,
        "capability": columns.capability.names,
    }


@given(
    seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    absent=st.frozensets(st.sampled_from(["domain", "capability", *OPTIONAL])),
    learner_type=st.sampled_from(["<i8", "<u8"]),
)
@settings(max_examples=40)
def test_what_came_is_read_in_order(
    tmp_path_factory: pytest.TempPathFactory, seeds: list[int], absent: frozenset[str], learner_type: str
) -> None:
    messages = [packed(seed, 1 + seed % 97, learner_type, absent) for seed in seeds]
    chunks = [read_request(raw(message)) for message in messages]
    assert all(isinstance(chunk, _core.AppendedChunk) for chunk in chunks)
    folder = tmp_path_factory.mktemp("segments")
    written = fill_arrival_segment(folder, chunks).finish()  # type: ignore[arg-type]
    assert [path.name for path in folder.iterdir()] == [written.path.name]
    segment = SegmentFile(folder, written.row("a", 1, len(chunks)))
    assert segment.is_of_arrivals
    expected = merged([decode_packed(message, "packed", with_learners=True) for message in messages])
    assert columns_of(segment) == expected_columns(expected)
    assert written.row_count == len(expected.time_us)
    assert written.newest_us == expected.time_us.max()
    rows = segment.rows_of(str(expected.learner[0]))  # type: ignore[index]
    assert rows.start == 0
    assert rows.stop > 0


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    # They have the footer of the Arrow file format; the batches are the same.
    message = packed(3, 40)
    written = fill_arrival_segment(tmp_path, [plain(message)]).finish()
    with pa.memory_map(str(written.path)) as source:
        table = pa.ipc.open_stream(source).read_all()
    earlier = tmp_path / "earlier.arrival.arrow"
    with pa.OSFile(str(earlier), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    data = earlier.read_bytes()
    row = replace(written.row("a", 1, 1), file=earlier.name, byte_count=len(data), crc32=zlib.crc32(data))
    expected = merged([decode_packed(message, "packed", with_learners=True)])
    assert columns_of(SegmentFile(tmp_path, row)) == expected_columns(expected)


def test_more_chunks_than_one_system_call_takes(tmp_path: Path) -> None:
    messages = [packed(number, 1 + number % 9) for number in range(200)]
    written = fill_arrival_segment(tmp_path, [plain(message) for message in messages]).finish()
    data = written.path.read_bytes()
    assert (written.byte_count, written.crc32) == (len(data), zlib.crc32(data))
    expected = merged([decode_packed(message, "packed", with_learners=True) for message in messages])
    assert columns_of(SegmentFile(tmp_path, written.row("a", 1, 200))) == expected_columns(expected)


def test_a_disk_that_takes_a_part_gets_the_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = fill_arrival_segment(tmp_path, [plain(packed(5, 30))]).finish()
    write = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: write(descriptor, [pieces[0][:7]]))
    in_parts = fill_arrival_segment(tmp_path, [plain(packed(5, 30))]).finish()
    assert in_parts.path.read_bytes() == whole.path.read_bytes()
    assert in_parts.crc32 == whole.crc32


@given(data=st.data())
@settings(max_examples=200)
def test_whatever_is_read_as_plain_is_so_for_the_messages_too(data: Any) -> None:
    changed = bytearray(raw(packed(data.draw(st.integers(0, 99)), data.draw(st.integers(1, 5)))))
    position = data.draw(st.integers(0, len(changed) - 1))
    if data.draw(st.booleans()):
        changed[position] = data.draw(st.integers(0, 255))
    else:
        changed[position:position] = data.draw(st.binary(min_size=1, max_size=6))
    chunk = _core.read_chunk(bytes(changed))
    if chunk is not None:
        message = Request.FromString(bytes(changed))
        events = decode_packed(message.packed, "packed", with_learners=True)
        assert (chunk.chunk_sequence, chunk.row_count) == (message.chunk_sequence, events.row_count)
        assert chunk.newest_us == events.time_us.max()
        assert (chunk.domains or [""], chunk.capabilities or [""]) == (
            list(events.domain.names),
            list(events.capability.names),
        )


@pytest.mark.parametrize(
    "request_message",
    [
        Request(dataset="datasets/d", append_id="a"),
        Request(chunk_sequence=0, packed=packed(1, 3)),
        Request(chunk_sequence=1, append_id="a", packed=packed(1, 3)),
        Request(chunk_sequence=1, packed=events_pb2.PackedEvents()),
        Request(chunk_sequence=1, rows=events_pb2.EventRows()),
        Request(chunk_sequence=1, packed=events_pb2.PackedEvents(event_count=1, time_us=bytes(8))),
    ],
    ids=["first", "number 0", "with its append", "empty", "rows", "no learner"],
)
def test_what_is_not_plain_is_left_to_the_messages(request_message: datasets_pb2.AppendEventsRequest) -> None:
    assert read_request(request_message.SerializeToString()) == request_message


def test_shapes_differ_where_columns_or_names_do() -> None:
    def shape(message: events_pb2.PackedEvents) -> bytes:
        chunk = _core.read_chunk(raw(message))
        assert chunk is not None
        return chunk.shape

    same = packed(1, 4)
    assert shape(same) == shape(packed(2, 9))
    other_names = packed(1, 4)
    other_names.domain.values[0] = "x"
    others = [other_names, packed(1, 4, "<u8"), packed(1, 4, absent=frozenset({"kind"}))]
    assert len({shape(message) for message in [same, *others]}) == 4
