"""kill -9 of the server in the middle of appends: every acknowledged chunk is there afterwards, none twice.

Four kills in the suite, COVEY_FAULTS_APPENDS=10 in `make faults`.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import grpc
import numpy as np
import pytest
from faults.amounts import amount

from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, datasets_pb2, events_pb2
from covey_server.datasets.datasets import Datasets
from covey_server.store import open_store

KILLS = amount("APPENDS", 4)
ROWS_PER_CHUNK = 50


def start(directory: Path) -> tuple[subprocess.Popen[str], analyzer_pb2_grpc.AnalyzerServiceStub, grpc.Channel]:
    script = Path(__file__).with_name("serve_rooms.py")
    process = subprocess.Popen([sys.executable, str(script), str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")
    return process, analyzer_pb2_grpc.AnalyzerServiceStub(channel), channel


def chunk(sequence: int) -> datasets_pb2.AppendEventsRequest:
    """Every chunk has a learner of its own, whose id is the chunk's number."""
    packed = events_pb2.PackedEvents(
        event_count=ROWS_PER_CHUNK,
        learner_id_int64=np.full(ROWS_PER_CHUNK, sequence, "<i8").tobytes(),
        time_us=np.arange(ROWS_PER_CHUNK, dtype="<i8").tobytes(),
    )
    return datasets_pb2.AppendEventsRequest(chunk_sequence=sequence, packed=packed)


@pytest.mark.e2e
def test_acknowledged_chunks_survive_kills_exactly_once(tmp_path: Path) -> None:
    generator = random.Random(7)
    acknowledged = 0
    for kill in range(KILLS):
        process, stub, channel = start(tmp_path)
        try:
            if kill == 0:
                stub.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="d", request_id="r"))
            at_start = _run_until_killed(process, stub, generator.uniform(0.0, 0.15), acknowledged)
            acknowledged = max(acknowledged, at_start)
        finally:
            process.kill()
            process.wait()
            channel.close()
            assert process.stdout is not None
            process.stdout.close()

    store = open_store(tmp_path)
    try:
        datasets = Datasets(store)
        events = datasets.events("datasets/d")
        folder = datasets.folder("datasets/d")
        listed = {segment.path.name for segment in datasets.view("datasets/d").segments}
        assert {path.name for path in folder.iterdir()} == listed
    finally:
        store.close()
    found = Counter(events.learner_ids.text(index) for index in events.learner_index_of_rows())
    assert acknowledged > KILLS
    assert len(found) >= acknowledged
    assert found == {str(sequence): ROWS_PER_CHUNK for sequence in range(1, len(found) + 1)}


def _run_until_killed(
    process: subprocess.Popen[str], stub: analyzer_pb2_grpc.AnalyzerServiceStub, seconds: float, acknowledged: int
) -> int:
    """Append until the server is killed; returns the last acknowledged chunk."""
    synced = stub.AppendEvents(iter([datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="load")]))
    first = next(synced).synced_chunk_sequence
    assert first >= acknowledged

    def requests() -> Iterator[datasets_pb2.AppendEventsRequest]:
        yield datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="load")
        for sequence in range(first + 1, first + 100_000):
            yield chunk(sequence)

    timer: Timer | None = None
    last: int = first
    try:
        for answer in stub.AppendEvents(requests()):
            if timer is None and answer.synced_chunk_sequence > first:
                timer = Timer(seconds, process.kill)
                timer.start()
            last = answer.synced_chunk_sequence
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
    assert timer is not None
    timer.join()
    return last
