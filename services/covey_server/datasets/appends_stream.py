"""One append stream: three threads take, write and sync its chunks, so that none waits for another's work."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock, Thread
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError
from sqlalchemy import insert, select, update

from covey import _core, failpoints
from covey._core import AppendedChunk
from covey.v1 import datasets_pb2
from covey_server.datasets.appends_buffer import Buffer, Chunk, Group
from covey_server.datasets.compaction import compact
from covey_server.datasets.segments import fill_arrival_segment, fill_segment
from covey_server.datasets.segments_columns import merged
from covey_server.datasets.tables import appends
from covey_server.decoding import decode_packed, decode_rows
from covey_server.errors import CallError
from covey_server.store import StoreError
from covey_server.violations import Violations

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.segments import FilledSegment, WrittenSegment
    from covey_server.datasets.view import DatasetView
    from covey_server.store import Store

_BUFFERED_BYTES = 32 << 20
# Fewer are put in order at once; more are written as they came, and put in order when there is time.
_ARRIVAL_BYTES = 1 << 20
# Small chunks cost time each: an answer must not wait for thousands of them.
_CHUNKS_PER_FILE = 128
_FOR_EVER_SECONDS = 86_400.0

Request = datasets_pb2.AppendEventsRequest | AppendedChunk
Received = datasets_pb2.AppendEventsRequest | bytes
"""A message, or its bytes: what the transport's own thread does not read keeps no other call waiting."""
Requests = Iterator[Received]
Queued = Received | CallError
"""A message, or why the next one is refused."""


def read_request(received: Received) -> Request:
    """A message of an append stream as it is or, where it is a plain chunk, without a copy of its columns.

    Raises:
        CallError: INVALID_ARGUMENT: it is no such message.
    """
    if not isinstance(received, bytes):
        return received
    try:
        return _core.read_chunk(received) or datasets_pb2.AppendEventsRequest.FromString(received)
    except DecodeError as error:
        raise CallError(
            grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be read as an AppendEventsRequest"
        ) from error


def _byte_count(queued: Queued) -> int:
    if isinstance(queued, CallError):
        return 0
    return len(queued) if isinstance(queued, bytes) else queued.ByteSize()


class AppendStream:
    """One live stream: a thread takes messages, one reads and writes them, and the caller's syncs and commits."""

    def __init__(
        self, store: Store, datasets: Datasets, view: DatasetView, append_id: str, idle_seconds: float
    ) -> None:
        self._store = store
        self._datasets = datasets
        self._view = view
        self._append_id = append_id
        self._idle_seconds = idle_seconds
        self._buffer: Buffer[Queued] = Buffer(_BUFFERED_BYTES, _byte_count)
        # One group is written while the one before it is synced, and no more.
        self._groups: Buffer[Group] = Buffer(1, lambda group: group.byte_count)
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
        Thread(target=self._fill, name="append-writer", daemon=True).start()
        try:
            while groups := self._groups.take(1, _FOR_EVER_SECONDS):
                yield from self._stored(groups[0])
        finally:
            for group in self._groups.close():
                group.discard()
        if self._end_error is not None:
            raise self._end_error

    def _fill(self) -> None:
        """Write what is read, group by group, until nothing follows."""
        expected = self._synced_chunk + 1
        try:
            while (taken := self._buffer.take(_CHUNKS_PER_FILE, self._idle_seconds)) != []:
                group = Group(is_idle=True) if taken is None else self._group(map(self._decoded, taken), expected)
                del taken
                expected = group.last + 1 if group.last else expected
                if not self._groups.put(group):
                    group.discard()
                    return
                if group.is_last:
                    return
        finally:
            self._groups.end()

    def _group(self, chunks: Iterator[Chunk], expected: int) -> Group:
        """The chunks to store, and the first that cannot be."""
        group = Group()
        wanted: list[Chunk] = []
        for chunk in chunks:
            if chunk.sequence > expected:
                group.refused = chunk.sequence, _gap(chunk.sequence, expected)
                break
            if chunk.sequence == expected or chunk.sequence < 1:
                if chunk.error is not None:
                    group.refused = chunk.sequence, chunk.error
                    break
                wanted.append(chunk)
                expected += 1
            group.answer_count += 1
        if wanted:
            group.first, group.last = wanted[0].sequence, wanted[-1].sequence
        filled = [chunk for chunk in wanted if chunk.row_count]
        try:
            group.filled = _filled(self._datasets.folder(self._view.name), filled) if filled else None
        except Exception as error:
            group.failure = error
        return group

    def _stored(self, group: Group) -> Iterator[datasets_pb2.AppendEventsResponse]:
        """Store a group; then the answer that says so."""
        if group.is_idle:
            raise CallError(
                grpc.StatusCode.ABORTED,
                f"no chunk came for {self._idle_seconds:g} s; {self._remedy()}",
                reason="APPEND_IDLE",
            )
        if group.last:
            self._write(group)
        if group.answer_count:
            yield self._answer()
        if group.refused is not None:
            raise self._explained(*group.refused)

    def _write(self, group: Group) -> None:
        with self._storing:
            if self._end_error is not None:
                group.discard()
                raise self._end_error
            written: WrittenSegment | None = None
            try:
                if group.failure is not None:
                    raise group.failure
                written = group.filled.finish() if group.filled else None
                self._store.group_commit(lambda connection: self._commit(connection, written, group.first, group.last))
            except CallError:
                if written is not None:
                    written.path.unlink(missing_ok=True)
                raise
            except (OSError, StoreError) as error:
                # A failed commit may yet turn out to be in the store: the next start judges what becomes of the file.
                raise self._not_written(error) from error
            failpoints.reach("append.committed")
            self._synced_chunk = group.last
            self._synced_events += written.row_count if written else 0
        compact(self._store, self._datasets, self._view.name)
        if self._datasets.states is not None:
            self._datasets.states.follow(self._view.name)

    def _commit(self, connection: Connection, written: WrittenSegment | None, first: int, last: int) -> None:
        self._datasets.require(connection, self._view)
        where = (appends.c.dataset == self._view.number) & (appends.c.append_id == self._append_id)
        known = connection.execute(select(appends.c.synced_chunk, appends.c.synced_events).where(where)).first()
        synced_chunk, synced_events = known or (0, 0)
        if synced_chunk != first - 1:
            raise taken_over(self._append_id)
        synced_events += written.row_count if written else 0
        values = {"synced_chunk": last, "synced_events": synced_events}
        if known:
            connection.execute(update(appends).where(where).values(values))
        else:
            keys = {"dataset": self._view.number, "append_id": self._append_id}
            connection.execute(insert(appends).values({**keys, **values}))
        if written:
            self._datasets.add_segment(connection, self._view, written.row(self._append_id, first, last))
            failpoints.reach("segment.listed")

    def _read_progress(self) -> tuple[int, int]:
        where = (appends.c.dataset == self._view.number) & (appends.c.append_id == self._append_id)
        with self._store.read() as connection:
            row = connection.execute(select(appends.c.synced_chunk, appends.c.synced_events).where(where)).first()
        return (row.synced_chunk, row.synced_events) if row else (0, 0)

    def _read(self, requests: Requests) -> None:
        try:
            for received in requests:
                if not self._buffer.put(received):
                    break
        except CallError as error:  # there is no memory for the next message; those before it are stored
            self._buffer.put(error)
        except Exception:
            # The call has ended: the transport says so by raising here, and what is queued is the caller's to repeat.
            self._buffer.close()
        finally:
            self._buffer.end()

    def _decoded(self, queued: Queued) -> Chunk:
        try:
            if isinstance(queued, CallError):
                raise queued
            request = read_request(queued)
        except CallError as error:
            return Chunk(0, _byte_count(queued), error=error)
        if isinstance(request, AppendedChunk):
            return Chunk(request.chunk_sequence, len(request.message), request)
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
                return Chunk(sequence, size, decoded=decode_packed(request.packed, "packed", with_learners=True))
            return Chunk(sequence, size, decoded=decode_rows(request.rows, "rows", with_learners=True))
        except CallError as error:
            return Chunk(sequence, size, error=error)

    def _answer(self) -> datasets_pb2.AppendEventsResponse:
        return datasets_pb2.AppendEventsResponse(
            synced_chunk_sequence=self._synced_chunk, synced_event_count=self._synced_events
        )

    def _explained(self, sequence: int, error: CallError) -> CallError:
        return CallError(
            error.code,
            f"chunk {sequence or self._synced_chunk + 1}: {error.message}; {self._remedy()}",
            violations=error.violations,
            reason=error.reason,
            metadata={"chunk": str(sequence), "synced_chunk": str(self._synced_chunk)},
            retry_after_seconds=error.retry_after_seconds,
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


def _filled(folder: Path, chunks: list[Chunk]) -> FilledSegment:
    plain = [chunk.plain for chunk in chunks if chunk.plain is not None]
    is_bulk = sum(chunk.byte_count for chunk in chunks) >= _ARRIVAL_BYTES
    if is_bulk and len(plain) == len(chunks) and len({chunk.shape for chunk in plain}) == 1:
        return fill_arrival_segment(folder, plain)
    return fill_segment(folder, merged([chunk.events() for chunk in chunks]))


def _gap(sequence: int, expected: int) -> CallError:
    return CallError(
        grpc.StatusCode.OUT_OF_RANGE,
        f"chunk_sequence is {sequence} where {expected} comes next",
        reason="CHUNK_GAP",
    )


def taken_over(append_id: str) -> CallError:
    """Why the earlier of two streams with one append id ends."""
    return CallError(
        grpc.StatusCode.ABORTED,
        f"another stream with append_id {append_id!r} has taken over; one writer per append_id",
        reason="APPEND_TAKEN_OVER",
    )
