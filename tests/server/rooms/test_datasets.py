"""Datasets: what is stored comes back after a restart, and damage is named."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2
from covey_server.datasets.datasets import Datasets

Request = datasets_pb2.AppendEventsRequest


def append(server: Any, name: str, rows: events_pb2.EventRows, append_id: str = "a") -> None:
    chunks = [Request(dataset=name, append_id=append_id), Request(chunk_sequence=1, rows=rows)]
    assert list(server.analyzer.AppendEvents(iter(chunks), timeout=20))[-1].synced_chunk_sequence == 1


def code_of(call: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value.code(), caught.value.details()


def test_a_dataset_survives_a_restart(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    append(server, name, rows(("ada", 10, "loops"), ("bob", 20, "types"), ("ada", 30, "loops")))
    request = analyzer_pb2.GetDatasetRequest(name=name)
    before = server.analyzer.GetDataset(request)
    server.restart()
    assert server.analyzer.GetDataset(request) == before
    assert before.event_count == 3
    events = server.rooms.datasets.learner_events(name, "ada")
    assert events.time_us.tolist() == [10_000_000, 30_000_000]
    assert {events.capability.names[index] for index in events.capability.index} == {"loops"}
    assert server.rooms.datasets.learner_history(name, "bob")[1] == 30_000_000


def test_rows_come_back_with_every_column(server: Any) -> None:
    name = server.create_dataset()
    message = events_pb2.EventRows()
    row = message.rows.add(learner_id="7", kind=events_pb2.EVENT_KIND_FEEDBACK, action_taken=True, weight=0.1)
    row.time.FromJsonString("2026-01-01T00:00:00.000001Z")
    append(server, name, message)
    append(server, name, events_pb2.EventRows(rows=[message.rows[0], message.rows[0]]), "b")
    events = server.rooms.datasets.learner_events(name, "7")
    assert events.time_us.tolist() == [1_767_225_600_000_001] * 3
    assert events.kind.tolist() == [4] * 3
    assert events.action_taken.tolist() == [1] * 3
    assert events.weight.tolist() == [0.1] * 3
    table = server.rooms.datasets.events(name)
    assert table.kind.tolist() == [4] * 3
    assert table.weight.tolist() == [0.1] * 3
    assert table.domains == ("",)


def test_creating_twice_needs_the_same_request_id(server: Any) -> None:
    request = analyzer_pb2.CreateDatasetRequest(dataset_id="spring", description="one", request_id="r1")
    created = server.analyzer.CreateDataset(request)
    assert server.analyzer.CreateDataset(request) == created
    request.request_id = "r2"
    assert code_of(server.analyzer.CreateDataset, request)[0] is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("dataset_id", ["", "Spring", "9lives", "a" * 64, "a/b", ".."])
def test_ids_follow_the_contract(server: Any, dataset_id: str) -> None:
    request = analyzer_pb2.CreateDatasetRequest(dataset_id=dataset_id, request_id="r")
    code, details = code_of(server.analyzer.CreateDataset, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "beginning with a letter" in details


def test_lists_have_pages(server: Any) -> None:
    names = [server.create_dataset(f"d{number}") for number in range(5)]
    found = []
    token = ""
    while True:
        request = analyzer_pb2.ListDatasetsRequest(page_size=2, page_token=token)
        answer = server.analyzer.ListDatasets(request)
        assert 1 <= len(answer.datasets) <= 2
        found += [dataset.name for dataset in answer.datasets]
        token = answer.next_page_token
        if not token:
            break
    assert found == sorted(names)
    for bad in (analyzer_pb2.ListDatasetsRequest(page_size=-1), analyzer_pb2.ListDatasetsRequest(page_token="?")):
        assert code_of(server.analyzer.ListDatasets, bad)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_deleted_dataset_leaves_no_file(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    append(server, name, rows(("ada", 10, "loops")))
    folder = server.rooms.datasets.folder(name)
    request = analyzer_pb2.DeleteDatasetRequest(name=name, request_id="d")
    server.analyzer.DeleteDataset(request)
    server.analyzer.DeleteDataset(request)
    assert not folder.exists()
    assert (
        code_of(server.analyzer.GetDataset, analyzer_pb2.GetDatasetRequest(name=name))[0] is grpc.StatusCode.NOT_FOUND
    )
    request.request_id = "other"
    assert code_of(server.analyzer.DeleteDataset, request)[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "empty"])
def test_damage_is_data_loss_that_names_dataset_and_file(server: Any, rows: Any, damage: str) -> None:
    name = server.create_dataset()
    append(server, name, rows(("ada", 10, "loops")))
    append(server, name, rows(("bob", 10, "loops")), "b")
    server.stop()
    path = sorted((server.directory / "datasets" / "spring").iterdir())[0]
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(data[: len(data) // 2 if damage == "truncated" else 0])
    server.start()
    assert server.rooms.datasets.check_files() == 1
    model = "cohortModels/none"
    request = analyzer_pb2.GetLearnerCohortRequest(learner_id="ada", dataset=name, cohort_model=model)
    assert code_of(server.analyzer.GetLearnerCohort, request)[0] is grpc.StatusCode.NOT_FOUND
    request = analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="r")
    code, details = code_of(server.analyzer.DeleteLearner, request)
    assert code is grpc.StatusCode.DATA_LOSS
    assert name in details
    assert path.name in details
    assert "from a copy" in details


def test_files_of_no_manifest_go_at_the_start(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    append(server, name, rows(("ada", 10, "loops")))
    folder = server.rooms.datasets.folder(name)
    server.stop()
    (folder / "0123.arrow").write_bytes(b"written, not committed")
    (folder / "0123.tmp").write_bytes(b"half written")
    (server.directory / "datasets" / "gone").mkdir()
    (server.directory / "datasets" / "gone" / "1.arrow").write_bytes(b"deleted, not removed")
    server.start()
    assert len(list(folder.iterdir())) == 1
    assert not (server.directory / "datasets" / "gone").exists()
    assert server.rooms.datasets.view(name).event_count == 1


def test_an_empty_dataset_says_so(server: Any) -> None:
    name = server.create_dataset()
    with pytest.raises(Exception, match="holds no events; append some first"):
        server.rooms.datasets.events(name)


def test_files_are_read_in_place(server: Any) -> None:
    name = server.create_dataset()
    packed = events_pb2.PackedEvents(
        event_count=1000, learner_id_int64=np.arange(1000, dtype="<i8").tobytes(), time_us=bytes(8000)
    )
    chunks = [Request(dataset=name, append_id="a"), Request(chunk_sequence=1, packed=packed)]
    list(server.analyzer.AppendEvents(iter(chunks)))
    (segment,) = server.rooms.datasets.view(name).segments
    assert not segment.column("time").flags.owndata
    assert segment.rows_of("999") == slice(999, 1000)
    assert segment.rows_of("1000") == slice(1000, 1000)
    assert isinstance(server.rooms.datasets, Datasets)


def test_many_small_files_become_one(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    stream = [Request(dataset=name, append_id="a")]
    for number in range(1, 100):
        append(
            server, name, rows((f"l{number % 7}", number, f"c{number}"), (str(number % 5), number, "c")), f"a{number}"
        )
    view = server.rooms.datasets.view(name)
    assert len(view.segments) < 64
    assert view.event_count == 198
    assert sorted(path.name for path in server.rooms.datasets.folder(name).iterdir()) == sorted(
        segment.path.name for segment in view.segments
    )
    for _ in range(2):
        assert sorted(server.rooms.datasets.learner_events(name, "l3").time_us.tolist()) == [
            number * 1_000_000 for number in range(3, 100, 7)
        ]
        assert server.rooms.datasets.learner_events(name, "4").row_count == 20
        assert next(server.analyzer.AppendEvents(iter(stream))).synced_chunk_sequence == 0
        stream[0].append_id = "a50"
        assert next(server.analyzer.AppendEvents(iter(stream))).synced_chunk_sequence == 1
        stream[0].append_id = "a"
        server.restart()


def test_a_replaced_file_stays_while_another_process_reads(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    append(server, name, rows(("ada", 10, "loops"), ("bob", 10, "loops")))
    (old,) = server.rooms.datasets.folder(name).iterdir()
    view = server.rooms.datasets.view(name)
    with server.rooms.datasets.pinned():
        server.analyzer.DeleteLearner(analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="r"))
        assert old.exists()
        assert server.rooms.datasets.view(name) is not view
    assert not old.exists()
    assert server.rooms.datasets.learner_events(name, "bob").row_count == 1
