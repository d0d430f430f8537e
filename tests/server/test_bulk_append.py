"""Bulk appends through a real server: synced as they came, readable at once, in order once nobody appends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from waiting import wait_until

from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2
from covey_server.datasets.view import DatasetView

from .running import DAY_US, ServedHere

Request = datasets_pb2.AppendEventsRequest
ROWS = 60_000


def chunk(sequence: int) -> datasets_pb2.AppendEventsRequest:
    generator = np.random.default_rng(sequence)
    packed = events_pb2.PackedEvents(
        event_count=ROWS,
        learner_id_int64=generator.integers(0, 500, ROWS).astype("<i8").tobytes(),
        time_us=generator.integers(0, 60 * DAY_US, ROWS).astype("<i8").tobytes(),
        capability=events_pb2.DictionaryColumn(
            values=["x", "y", "z"], indices_uint8=generator.integers(0, 3, ROWS).astype("u1").tobytes()
        ),
    )
    return Request(chunk_sequence=sequence, packed=packed)


def arrivals(view: DatasetView) -> int:
    return sum(segment.is_of_arrivals for segment in view.segments)


def test_bulk_is_written_as_it_came_and_put_in_order_later(start_server: Callable[..., ServedHere]) -> None:
    server = start_server()
    created = analyzer_pb2.CreateDatasetRequest(dataset_id="bulk", request_id="r")
    name = server.analyzer.CreateDataset(created, timeout=10).name
    messages = [Request(dataset=name, append_id="a"), *map(chunk, (1, 2, 3))]
    answers = list(server.analyzer.AppendEvents(iter(messages), timeout=60))
    assert 2 <= len(answers) <= 4
    assert (answers[-1].synced_chunk_sequence, answers[-1].synced_event_count) == (3, 3 * ROWS)
    datasets = server.room.dataset_rooms.datasets
    assert arrivals(datasets.view(name)) >= 1
    question = analyzer_pb2.AnalyzeLearnerRequest(learner_id="7", dataset=name)
    before = server.analyzer.AnalyzeLearner(question, timeout=30)
    expected = sum(np.count_nonzero(np.frombuffer(it.packed.learner_id_int64, "<i8") == 7) for it in messages[1:])
    assert before.traits.event_count == expected
    wait_until(lambda: not arrivals(datasets.view(name)), 60.0)
    assert server.analyzer.AnalyzeLearner(question, timeout=30) == before
    view = datasets.view(name)
    assert view.event_count == 3 * ROWS
    listed = {segment.path.name for segment in view.segments}
    wait_until(lambda: {path.name for path in datasets.folder(name).iterdir()} == listed)
    assert all(np.all(np.diff(segment.column("learner_id")) >= 0) for segment in view.segments)
