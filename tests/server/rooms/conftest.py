"""A real gRPC server over the rooms of data, catalogue and outcomes, on a store in a temporary directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, events_pb2, outcomes_pb2_grpc
from covey_server.catalogue.catalogue import Catalogue
from covey_server.catalogue.service import CatalogueMethods
from covey_server.datasets.rooms import DatasetRooms, open_dataset_rooms
from covey_server.datasets.service import DatasetMethods
from covey_server.errors import abort
from covey_server.jobs.service import JobMethods
from covey_server.outcomes.exposures import ExposureLedger
from covey_server.outcomes.outcomes import OutcomeBook
from covey_server.outcomes.service import OutcomeServicer
from covey_server.store import Store, open_store

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class Servicer(DatasetMethods, JobMethods, CatalogueMethods, analyzer_pb2_grpc.AnalyzerServiceServicer):
    def __init__(self, catalogue: Catalogue, rooms: DatasetRooms) -> None:
        self._catalogue = catalogue
        self._datasets = rooms.datasets
        self._appends = rooms.appends
        self._jobs = rooms.jobs
        self._learners = rooms.learners


class Errors(grpc.ServerInterceptor):  # type: ignore[misc]
    """Turns what the rooms raise into statuses, as the data port does."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler.response_streaming:
            make = grpc.stream_stream_rpc_method_handler
            if not handler.request_streaming:
                make = grpc.unary_stream_rpc_method_handler
            inner = handler.stream_stream or handler.unary_stream

            def stream(request: Any, context: Any) -> Iterator[Any]:
                try:
                    yield from inner(request, context)
                except Exception as error:
                    abort(context, error)

            behavior: Callable[[Any, Any], Any] = stream
        else:
            make, inner = grpc.unary_unary_rpc_method_handler, handler.unary_unary

            def unary(request: Any, context: Any) -> Any:
                try:
                    return inner(request, context)
                except Exception as error:
                    abort(context, error)

            behavior = unary
        return make(
            behavior,
            # Appends read their messages themselves, as at the data port.
            request_deserializer=None if details.method.endswith("/AppendEvents") else handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class Server:
    """A server that can be stopped and started again on the same directory."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.running = False
        self.start()

    def start(self) -> None:
        self.store: Store = open_store(self.directory)
        self.catalogue = Catalogue(self.store, self.clock)
        self.catalogue.ensure_defaults("reference")
        self.ledger = ExposureLedger(self.store, self.clock)
        self.outcomes = OutcomeBook(self.store, self.ledger, self.clock)
        self.rooms = open_dataset_rooms(self.store, self.catalogue, self.ledger, self.outcomes, self.clock, 1)
        self._server = grpc.server(ThreadPoolExecutor(16), interceptors=(Errors(),))
        analyzer_pb2_grpc.add_AnalyzerServiceServicer_to_server(Servicer(self.catalogue, self.rooms), self._server)
        outcomes_pb2_grpc.add_OutcomeServiceServicer_to_server(OutcomeServicer(self.outcomes), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.analyzer = analyzer_pb2_grpc.AnalyzerServiceStub(self.channel)
        self.outcome = outcomes_pb2_grpc.OutcomeServiceStub(self.channel)
        self.running = True

    def stop(self) -> None:
        if self.running:
            self.running = False
            self.channel.close()
            self.rooms.stop()
            self._server.stop(5).wait()
            self.ledger.stop()
            self.store.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def create_dataset(self, dataset_id: str = "spring") -> str:
        request = analyzer_pb2.CreateDatasetRequest(dataset_id=dataset_id, request_id=f"create-{dataset_id}")
        name: str = self.analyzer.CreateDataset(request).name
        return name


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[Server]:
    running = Server(tmp_path, clock)
    yield running
    running.stop()


@pytest.fixture
def rows() -> Callable[..., events_pb2.EventRows]:
    """Rows from (learner_id, seconds, capability) tuples."""

    def make(*events: tuple[str, int, str]) -> events_pb2.EventRows:
        message = events_pb2.EventRows()
        for learner_id, seconds, capability in events:
            row = message.rows.add(learner_id=learner_id, capability=capability, domain="d")
            row.time.seconds = seconds
        return message

    return make


@pytest.fixture(scope="session")
def server_class() -> Callable[[Path], Server]:
    """For tests whose server outlives one test."""
    return lambda directory: Server(directory, Clock())
