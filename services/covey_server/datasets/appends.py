"""Appends: chunks of events to synced segment files, exactly once, however often a caller drops and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock, Thread
from typing import TYPE_CHECKING

import grpc
from sqlalchemy import insert, select, update

from covey.v1 import datasets_pb2
from covey_server.answering.decoding import decode_packed, decode_rows
from covey_server.datasets.appends_buffer import Chunk, ChunkBuffer
from covey_server.datasets.compaction import compact
from covey_server.datasets.segments import write_segment
from covey_server.datasets.segments_columns import merged
from covey_server.datasets.tables import appends
from covey_server.errors import CallError, invalid
from covey_server.store import StoreError
from covey_server.violations import Violations

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.segments import WrittenSegment
    from covey_server.datasets.view import DatasetView
    from covey_server.store import Store

_LONGEST_APPEND_ID = 128
_BUFFERED_BYTES = 8 << 20
# Small chunks cost time each: an answer must not wait for thousands of them.
_CHUNKS_PER_FILE = 128
_IDLE_SECONDS = 300.0

Requests = Iterator[datasets_pb2.AppendEventsRequest]


class Appends:
    """All append streams of this server.

    Chunks that arrive while the disk is busy share the next file and commit; an answer goes out only after the sync.
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
        self._live: dict[tuple[int, str], _Stream] = {}
        self._stopping = False

    def serve(self, requests: Requests, context: grpc.ServicerContext) -> Iterator[datasets_pb2.AppendEventsResponse]:
        """Answer each message of a stream with what is synced.

        Raises:
            CallError: for a message that cannot be stored; everything acknowledged stays.
        """
        first = next(requests, None)
        if first is None:
            raise invalid("dataset", "the stream was empty; its first message names the dataset and the append_id")
        view = self._datasets.view(first.dataset, "dataset")
        _check_first(first)
        stream = _Stream(self._store, self._datasets, view, first.append_id, self._idle_seconds)
        key = (view.number, first.append_id)
        with self._lock:
            if self._stopping:
                raise _server_stops(first.append_id)
            before, self._live[key] = self._live.get(key), stream
        try:
            if before is not None:
                before.end(_taken_over(first.append_id))
            if not context.add_callback(stream.forsake):
                return
            yield from stream.serve(requests)
        finally:
            stream.forsake()
            with self._lock:
                if self._live.get(key) is stream:
                    del self._live[key]

    def stop(self) -> None:
        """End every stream with UNAVAILABLE; what was acknowledged is synced."""
        with self._lock:
            self._stopping = True
            streams = list(self._live.items())
        for (_, append_id), stream in streams:
            stream.end(_server_stops(append_id))


class _Stream:
    """One live stream: a thread of its own reads and decodes, the caller's thread stores."""

    def __init__(
        self, store: Store, datasets: Datasets, view: DatasetView, append_id: str, idle_seconds: float
    ) -> None:
        self._store = store
        self._datasets = datasets
        self._view = view
        self._append_id = append_id
        self._idle_seconds = idle_seconds
        self._buffer = ChunkBuffer(_BUFFERED_BYTES)
        # Held while a group is stored: whoever ends the stream waits for that, and so reads what is really synced.
        self._storing = Lock()
        self._end_error: CallError | None = None
        self._synced_chunk = 0
        self._synced_events = 0

    def end(self, error: CallError) -> None:
        """Let the stream end with an error; afterwards it stores nothing more."""
        with self._storing:
            self._end_error = self._end_error or error
        self._buffer.close()

    def forsake(self) -> None:
        """The caller has gone: nothing more is read or stored."""
        self._buffer.close()

    def serve(self, requests: Requests) -> Iterator[datasets_pb2.AppendEventsResponse]:
        """The answers; see `Appends.serve`."""
        self._synced_chunk, self._synced_events = self._read_progress()
        yield self._answer()
        Thread(target=self._read, args=(requests,), name="append-reader", daemon=True).start()
        while chunks := self._taken():
            wanted, error = self._sorted_out(chunks)
            if wanted:
                self._write(wanted)
            for _ in range(len(chunks) if error is None else chunks.index(error[0])):
                yield self._answer()
            if error is not None:
                raise self._explained(error[0].sequence, error[1])
        if self._end_error is not None:
            raise self._end_error

    def _taken(self) -> list[Chunk]:
        chunks = self._buffer.take(_CHUNKS_PER_FILE, self._idle_seconds)
        if chunks is None:
            raise CallError(
                grpc.StatusCode.ABORTED,
                f"no chunk came for {self._idle_seconds:g} s; {self._remedy()}",
                reason="APPEND_IDLE",
            )
        return chunks

    def _sorted_out(self, chunks: list[Chunk]) -> tuple[list[Chunk], tuple[Chunk, CallError] | None]:
        """The chunks to store, and the first that cannot be."""
        wanted: list[Chunk] = []
        expected = self._synced_chunk + 1
        for chunk in chunks:
            if chunk.sequence > expected:
                return wanted, (chunk, _gap(chunk.sequence, expected))
            if chunk.sequence < expected and chunk.sequence > 0:
                continue
            if chunk.error is not None:
                return wanted, (chunk, chunk.error)
            wanted.append(chunk)
            expected += 1
        return wanted, None

    def _write(self, chunks: list[Chunk]) -> None:
        with self._storing:
            if self._end_error is not None:
                raise self._end_error
            filled = [chunk.events for chunk in chunks if chunk.events is not None and chunk.events.row_count]
            first, last = chunks[0].sequence, chunks[-1].sequence
            written: WrittenSegment | None = None
            try:
                if filled:
                    written = write_segment(self._datasets.folder(self._view.name), merged(filled))
                self._store.group_commit(lambda connection: self._commit(connection, written, first, last))
            except CallError:
                if written is not None:
                    written.path.unlink(missing_ok=True)
                raise
            except (OSError, StoreError) as error:
                # A failed commit may yet turn out to be in the store: the next start judges what becomes of the file.
                raise self._not_written(error) from error
            self._synced_chunk = last
            self._synced_events += written.row_count if written else 0
        if self._datasets.states is not None:
            self._datasets.states.follow(self._view.name)
        compact(self._store, self._datasets, self._view.name)

    def _commit(self, connection: Connection, written: WrittenSegment | None, first: int, last: int) -> None:
        self._datasets.require(connection, self._view)
        where = (appends.c.dataset == self._view.number) & (appends.c.append_id == self._append_id)
        known = connection.execute(select(appends.c.synced_chunk, appends.c.synced_events).where(where)).first()
        synced_chunk, synced_events = known or (0, 0)
        if synced_chunk != first - 1:
            raise _taken_over(self._append_id)
        synced_events += written.row_count if written else 0
        values = {"synced_chunk": last, "synced_events": synced_events}
        if known:
            connection.execute(update(appends).where(where).values(values))
        else:
            keys = {"dataset": self._view.number, "append_id": self._append_id}
            connection.execute(insert(appends).values({**keys, **values}))
        if written:
            self._datasets.add_segment(connection, self._view, written.row(self._append_id, first, last))

    def _read_progress(self) -> tuple[int, int]:
        where = (appends.c.dataset == self._view.number) & (appends.c.append_id == self._append_id)
        with self._store.read() as connection:
            row = connection.execute(select(appends.c.synced_chunk, appends.c.synced_events).where(where)).first()
        return (row.synced_chunk, row.synced_events) if row else (0, 0)

    def _read(self, requests: Requests) -> None:
        try:
            for request in requests:
                if not self._buffer.put(self._decoded(request)):
                    break
        except Exception:
            # The call has ended: the transport says so by raising here, and what is queued is the caller's to repeat.
            self._buffer.close()
        finally:
            self._buffer.end()

    def _decoded(self, request: datasets_pb2.AppendEventsRequest) -> Chunk:
        sequence, size = request.chunk_sequence, request.ByteSize()
        try:
            violations = Violations()
            if request.dataset not in {"", self._view.name}:
                violations.add("dataset", f"{request.dataset[:80]!r}; this stream appends to {self._view.name}")
            if request.append_id not in {"", self._append_id}:
                violations.add("append_id", f"{request.append_id[:80]!r}; this stream is {self._append_id!r}")
            if sequence < 1:
                violations.add("chunk_sequence", f"{sequence}; chunks are numbered 1, 2, 3 ...")
            choice = request.WhichOneof("chunk")
            if choice is None:
                violations.add("chunk", "is missing; send packed or rows")
            violations.raise_if_any()
            if choice == "packed":
                return Chunk(sequence, size, decode_packed(request.packed, "packed", with_learners=True))
            return Chunk(sequence, size, decode_rows(request.rows, "rows", with_learners=True))
        except CallError as error:
            return Chunk(sequence, size, None, error)

    def _answer(self) -> datasets_pb2.AppendEventsResponse:
        return datasets_pb2.AppendEventsResponse(
            synced_chunk_sequence=self._synced_chunk, synced_event_count=self._synced_events
        )

    def _explained(self, sequence: int, error: CallError) -> CallError:
        return CallError(
            error.code,
            f"chunk {sequence}: {error.message}; {self._remedy()}",
            violations=error.violations,
            reason=error.reason,
            metadata={"chunk": str(sequence), "synced_chunk": str(self._synced_chunk)},
        )

    def _not_written(self, error: OSError | StoreError) -> CallError:
        self._datasets.view(self._view.name)  # says so where the folder went with its dataset
        return CallError(
            grpc.StatusCode.UNAVAILABLE,
            f"the events cannot be written ({error}); see to the server's data directory. What was acknowledged is"
            f" safe: {self._remedy()}",
            reason="STORAGE_FAILED",
            retry_after_seconds=5.0,
        )

    def _remedy(self) -> str:
        return (
            f"chunks up to {self._synced_chunk} are synced: open a stream with append_id {self._append_id!r} and go on"
            f" with chunk {self._synced_chunk + 1}"
        )


def _check_first(request: datasets_pb2.AppendEventsRequest) -> None:
    violations = Violations()
    if not 1 <= len(request.append_id) <= _LONGEST_APPEND_ID:
        violations.add("append_id", f"has {len(request.append_id)} characters; 1 to {_LONGEST_APPEND_ID} are needed")
    if request.WhichOneof("chunk") is not None or request.chunk_sequence:
        violations.add("chunk", "the first message carries no chunk: its answer says where to go on")
    violations.raise_if_any()


def _gap(sequence: int, expected: int) -> CallError:
    return CallError(
        grpc.StatusCode.OUT_OF_RANGE,
        f"chunk_sequence is {sequence} where {expected} comes next",
        reason="CHUNK_GAP",
    )


def _taken_over(append_id: str) -> CallError:
    return CallError(
        grpc.StatusCode.ABORTED,
        f"another stream with append_id {append_id!r} has taken over; one writer per append_id",
        reason="APPEND_TAKEN_OVER",
    )


def _server_stops(append_id: str) -> CallError:
    return CallError(
        grpc.StatusCode.UNAVAILABLE,
        f"the server is stopping; open a stream with append_id {append_id!r} again and go on behind what is synced",
        reason="STOPPING",
        retry_after_seconds=1.0,
    )
