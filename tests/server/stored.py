"""The same events twice: in a dataset of a server, and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from covey import Events
from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, datasets_pb2, events_pb2

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000
_ROWS_PER_CHUNK = 50_000


class Served(Protocol):
    """A server that can be called."""

    @property
    def analyzer(self) -> analyzer_pb2_grpc.AnalyzerServiceStub: ...


def store_events(
    server: Served,
    dataset_id: str,
    learner: NDArray[np.int64],
    time_us: NDArray[np.int64],
    names: Sequence[str],
    codes: NDArray[Any],
    weight: NDArray[np.float32] | None = None,
) -> Events:
    """Make a dataset of these events, domain and capability alike, and give them back as the library has them."""
    server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id=dataset_id, request_id=dataset_id))
    weight = np.ones(len(learner), np.float32) if weight is None else weight.astype(np.float32)
    messages = [datasets_pb2.AppendEventsRequest(dataset=f"datasets/{dataset_id}", append_id="a")]
    for number, start in enumerate(range(0, len(learner), _ROWS_PER_CHUNK), start=1):
        rows = slice(start, start + _ROWS_PER_CHUNK)
        column = events_pb2.DictionaryColumn(values=names, indices_uint16=codes[rows].astype("<u2").tobytes())
        packed = events_pb2.PackedEvents(
            event_count=len(learner[rows]),
            learner_id_int64=learner[rows].astype("<i8").tobytes(),
            time_us=time_us[rows].astype("<i8").tobytes(),
            domain=column,
            capability=column,
            weight_float32=weight[rows].astype("<f4").tobytes(),
        )
        messages.append(datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed))
    answers = list(server.analyzer.AppendEvents(iter(messages), timeout=240))
    assert answers[-1].synced_chunk_sequence == len(messages) - 1
    texts = [names[code] for code in codes.tolist()]
    return Events.from_numpy(learner, time_us, texts, texts, weight=weight, time_unit="us")
