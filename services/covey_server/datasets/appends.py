"""Appends: chunks of events to synced segment files, exactly once, however often a caller drops and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

import grpc

from covey._core import AppendedChunk
from covey.v1 import datasets_pb2
from covey_server.datasets.appends_stream import AppendStream, Requests, read_request, taken_over
from covey_server.datasets.compaction import put_in_order
from covey_server.errors import CallError, invalid
from covey_server.violations import Violations

if TYPE_CHECKING:
    from covey_server.datasets.datasets import Datasets
    from covey_server.store import Store

_LONGEST_APPEND_ID = 128
_IDLE_SECONDS = 300.0
# Events that came in bulk are put in order when nothing more has come for a while.
_QUIET_SECONDS = 2.0
_ORDERING_SECONDS = 10.0


class Appends:
    """All append streams of this server.

    Chunks that arrive while the disk is busy share the next file and commit; one answer for
    all of them goes out, and only after the sync.
    Of two live streams with one append id the later one wins: the earlier is usually a dead caller's connection.

    Args:
        store: an open store whose tables exist.
        datasets: what is appended to.
        idle_seconds: a stream without a chunk for so long is ended.
    """

    def __init__(self, store: Store, datasets: Datasets, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._store = store
        self._datasets = datasets
        self._idle_seconds = idle_seconds
        self._lock = Lock()
        self._live: dict[tuple[int, str], AppendStream] = {}
        self._stopping = False
        self._stop_event = Event()
        self._ordering: Thread | None = None
        self._put_in_order()

    def serve(self, requests: Requests, context: grpc.ServicerContext) -> Iterator[datasets_pb2.AppendEventsResponse]:
        """Answer the first message, and what is synced together, with what is synced by then.

        Raises:
            CallError: for a message that cannot be stored; everything acknowledged stays.
        """
        received = next(requests, None)
        if received is None:
            raise invalid("dataset", "the stream was empty; its first message names the dataset and the append_id")
        first = read_request(received)
        if isinstance(first, AppendedChunk):
            first = datasets_pb2.AppendEventsRequest.FromString(first.message)
        view = self._datasets.view(first.dataset, "dataset")
        _check_first(first)
        stream = AppendStream(self._store, self._datasets, view, first.append_id, self._idle_seconds)
        key = (view.number, first.append_id)
        with self._lock:
            if self._stopping:
                raise _server_stops(first.append_id)
            before, self._live[key] = self._live.get(key), stream
        try:
            if before is not None:
                before.end(taken_over(first.append_id))
            if not context.add_callback(stream.forsake):
                return
            yield from stream.serve(requests)
        finally:
            stream.forsake()
            with self._lock:
                if self._live.get(key) is stream:
                    del self._live[key]
            self._put_in_order()

    def stop(self) -> None:
        """End every stream with UNAVAILABLE; what was acknowledged is synced."""
        with self._lock:
            self._stopping = True
            self._stop_event.set()
            streams = list(self._live.items())
            ordering = self._ordering
        for (_, append_id), stream in streams:
            stream.end(_server_stops(append_id))
        if ordering is not None:
            ordering.join(_ORDERING_SECONDS)

    def _put_in_order(self) -> None:
        """Once nobody appends, put what came in bulk in order, on a thread that ends with that."""
        with self._lock:
            names = [view.name for view in self._datasets.views() if any(it.is_of_arrivals for it in view.segments)]
            is_at_work = self._ordering is not None and self._ordering.is_alive()
            if not names or is_at_work or not self._may_order():
                return
            self._ordering = Thread(target=self._order, args=(names,), name="append-order", daemon=True)
            self._ordering.start()

    def _order(self, names: list[str]) -> None:
        self._stop_event.wait(_QUIET_SECONDS)
        for name in names:
            put_in_order(self._store, self._datasets, name, self._may_order)

    def _may_order(self) -> bool:
        return not self._live and not self._stopping


def _check_first(request: datasets_pb2.AppendEventsRequest) -> None:
    violations = Violations()
    if not 1 <= len(request.append_id) <= _LONGEST_APPEND_ID:
        violations.add("append_id", f"has {len(request.append_id)} characters; 1 to {_LONGEST_APPEND_ID} are needed")
    if request.WhichOneof("chunk") is not None or request.chunk_sequence:
        violations.add("chunk", "the first message carries no chunk: its answer says where to go on")
    violations.raise_if_any()


def _server_stops(append_id: str) -> CallError:
    return CallError(
        grpc.StatusCode.UNAVAILABLE,
        f"the server is stopping; open a stream with append_id {append_id!r} again and go on behind what is synced",
        reason="STOPPING",
        retry_after_seconds=1.0,
    )
