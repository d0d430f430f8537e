"""Events of a file, cut by learner and packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey.demo.learners import EventTable, read_event_table
from covey.generate import GenerationPlan, write_parquet
from covey.v1 import events_pb2


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    write_parquet(GenerationPlan(learner_count=50, weeks=3, seed=4), path)
    return path


@pytest.fixture(scope="module")
def table(file: Path) -> EventTable:
    return read_event_table(file)


def values(column: events_pb2.DictionaryColumn) -> list[str]:
    return [column.values[index] for index in np.frombuffer(column.indices_uint8, np.uint8)]


def test_a_learners_call_has_exactly_their_events(file: Path, table: EventTable) -> None:
    rows = pq.read_table(file).to_pylist()
    kinds = {"training": 2, "workflow": 3, "feedback": 4}
    requests = table.requests(1000)
    assert len(requests) == 50
    for request in requests:
        mine = [row for row in rows if str(row["learner_id"]) == request.learner_id]
        packed = request.packed
        found = zip(
            np.frombuffer(packed.time_us, "<i8"), values(packed.domain), values(packed.capability),
            packed.kind, packed.action_taken, np.frombuffer(packed.weight_float32, "<f4"),
            strict=True,
        )  # fmt: skip
        expected = [
            (
                round(row["time"].timestamp() * 1e6), row["domain"], row["capability"],
                kinds.get(row["kind"], 1), int(bool(row["action_taken"])), np.float32(row["weight"]),
            )
            for row in mine
        ]  # fmt: skip
        assert sorted(found) == sorted(expected)
        assert packed.event_count == len(expected) > 0
        assert request.as_of.ToMicroseconds() > table.newest_us


def test_chunks_have_every_event_once_with_its_learner(table: EventTable) -> None:
    owners: list[str] = []
    times: list[int] = []
    for packed in table.chunks(7):
        owners += values(packed.learner_id_dictionary)
        times += np.frombuffer(packed.time_us, "<i8").tolist()
    assert len(owners) == len(table.time_us)
    counts = dict(zip(table.learner_ids, np.diff(table.starts).tolist(), strict=True))
    assert {owner: owners.count(owner) for owner in set(owners)} == counts
    assert times == table.time_us.tolist()


def test_a_column_of_many_values_gets_wider_numbers(tmp_path: Path) -> None:
    count = 300
    columns = {
        "learner_id": ["a"] * count,
        "time": pa.array(range(count), pa.timestamp("us", "UTC")),
        "domain": ["d"] * count,
        "capability": [f"c{number}" for number in range(count)],
        "kind": ["other"] * count,
        "action_taken": pa.nulls(count, pa.bool_()),
    }
    pq.write_table(pa.table(columns), tmp_path / "wide.parquet")
    (request,) = read_event_table(tmp_path / "wide.parquet").requests(1)
    capability = request.packed.capability
    assert capability.WhichOneof("indices") == "indices_uint16"
    indices = np.frombuffer(capability.indices_uint16, "<u2")
    assert [capability.values[index] for index in indices] == [f"c{number}" for number in range(count)]
