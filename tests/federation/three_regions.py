"""Three servers, each with the learners of its region, and the same learners in memory."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from server.running import ServedHere

from covey import Events
from covey.client import Client
from covey.generate import START_US, GenerationPlan, event_tables
from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2, federation_pb2

NAMES = ("africa", "asia", "europe")
DATASET = "datasets/pupils"
AS_OF_US = START_US + 5 * 7 * 86_400_000_000
LEARNERS, K, SEED = 600, 3, 4
PATIENCE_SECONDS = 240.0
"""A run begins with a new process at low priority, which a busy machine lets wait."""


class Regions:
    """Three servers; the learners of all of them in memory, too."""

    def __init__(self, directory: Path) -> None:
        (table, _), *_ = event_tables(GenerationPlan(LEARNERS, weeks=5, seed=9))
        table = table.select(["learner_id", "time", "domain", "capability"])
        number = table["learner_id"].to_numpy()
        self.ids = [f"pupil-{uuid.UUID(int=7919 * each)}" for each in range(LEARNERS)]
        learner = pa.array([self.ids[each - number.min()] for each in number])
        self.events = Events.from_arrow(
            table.set_column(table.schema.get_field_index("learner_id"), "learner_id", learner)
        )
        place = np.random.default_rng(1).integers(0, 3, LEARNERS)[number - number.min()]
        self.times = table["time"].cast(pa.int64()).to_numpy()
        self.servers = {}
        for index, name in enumerate(NAMES):
            server = ServedHere(data_directory=directory / name)
            self._fill(server, table.filter(pa.array(place == index)), learner.filter(pa.array(place == index)))
            self.servers[name] = server

    def again(self, **changes: Any) -> None:
        """Start every server again, on its data, told something else."""
        for name, server in self.servers.items():
            server.stop()
            self.servers[name] = ServedHere(data_directory=server.room.config.data_directory, **changes)

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop()

    def _fill(self, server: ServedHere, table: pa.Table, learner: pa.Array) -> None:
        def column(values: Any) -> events_pb2.DictionaryColumn:
            coded = (values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values).dictionary_encode()
            codes = coded.indices.to_numpy().astype("<u2").tobytes()
            return events_pb2.DictionaryColumn(values=coded.dictionary.to_pylist(), indices_uint16=codes)

        packed = events_pb2.PackedEvents(
            event_count=len(table), learner_id_dictionary=column(learner),
            time_us=table["time"].cast(pa.int64()).to_numpy().astype("<i8").tobytes(),
            domain=column(table["domain"]), capability=column(table["capability"]),
        )  # fmt: skip
        server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="pupils", request_id="c"))
        first = datasets_pb2.AppendEventsRequest(dataset=DATASET, append_id="a")
        chunk = datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed)
        assert list(server.analyzer.AppendEvents(iter([first, chunk]), timeout=60))[-1].synced_chunk_sequence == 1

    def request(self, name: str, run_id: str, **fields: Any) -> federation_pb2.OpenRegionRequest:
        made = federation_pb2.OpenRegionRequest(**({"run": run_id, "region": name, "dataset": DATASET} | fields))
        made.as_of.FromMicroseconds(AS_OF_US)
        return made

    def client(self, name: str, stack: ExitStack, address: str = "") -> Client:
        address = address or f"127.0.0.1:{self.servers[name].data_port}"
        return stack.enter_context(Client(data=address, actor="ada", timeout_seconds=PATIENCE_SECONDS))
