"""Between the thread that takes a stream's messages and those that store them: bounded queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Generic, TypeVar

from covey.v1 import datasets_pb2
from covey_server.decoding import decode_packed

if TYPE_CHECKING:
    from covey._core import AppendedChunk
    from covey_server.datasets.segments import FilledSegment
    from covey_server.decoding import EventColumns
    from covey_server.errors import CallError


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A chunk as it came: its events, or why they are refused.

    Attributes:
        sequence: its number within the append.
        byte_count: of its message.
        plain: its columns where they lie in the message; None where it came in another form.
        decoded: its events in that case; None where it is refused.
        error: why.
    """

    sequence: int
    byte_count: int
    plain: AppendedChunk | None = None
    decoded: EventColumns | None = None
    error: CallError | None = None

    @property
    def row_count(self) -> int:
        """Events."""
        if self.plain is not None:
            return self.plain.row_count
        return self.decoded.row_count if self.decoded is not None else 0

    def events(self) -> EventColumns:
        """The events of a chunk that is not refused."""
        if self.plain is not None:
            message = datasets_pb2.AppendEventsRequest.FromString(self.plain.message)
            return decode_packed(message.packed, "packed", with_learners=True)
        assert self.decoded is not None
        return self.decoded


@dataclass(slots=True, eq=False)
class Group:
    """Chunks that are stored together, as far as they are good.

    Attributes:
        byte_count: of their messages.
        first: number of the first chunk to store; 0 where there is none.
        last: number of the last one.
        answer_count: chunks that are synced once this group is, repeated ones included; one answer covers them.
        filled: the file with their events; None where there are none.
        refused: number of the first chunk that cannot be stored, and why; nothing follows it.
        failure: why nothing could be written; nothing follows it.
        is_idle: no chunk came for too long; nothing follows.
    """

    byte_count: int = 1
    first: int = 0
    last: int = 0
    answer_count: int = 0
    filled: FilledSegment | None = None
    refused: tuple[int, CallError] | None = None
    failure: Exception | None = None
    is_idle: bool = False

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return self.refused is not None or self.failure is not None or self.is_idle

    def discard(self) -> None:
        """Remove its file."""
        if self.filled is not None:
            self.filled.discard()


Item = TypeVar("Item")


class Buffer(Generic[Item]):
    """A queue bounded by bytes: what is not stored yet does not pile up, whatever the caller sends.

    Args:
        byte_limit: `put` waits while as much is queued; a single item may be larger.
        size: bytes of an item.
    """

    def __init__(self, byte_limit: int, size: Callable[[Item], int]) -> None:
        self._byte_limit = byte_limit
        self._size = size
        self._changed = Condition()
        self._items: deque[Item] = deque()
        self._byte_count = 0
        self._ended = False
        self._closed = False

    def put(self, item: Item) -> bool:
        """Queue an item; False where the other side has gone."""
        size = self._size(item)
        with self._changed:
            while self._byte_count >= self._byte_limit and self._items and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._byte_count += size
            if len(self._items) == 1:  # nobody waits to take from a queue that holds something
                self._changed.notify_all()
            return True

    def end(self) -> None:
        """Nothing follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> list[Item]:
        """Nobody takes any more: `put` answers False, `take` answers nothing; returns what was queued."""
        with self._changed:
            self._closed = True
            queued = list(self._items)
            self._items.clear()
            self._byte_count = 0
            self._changed.notify_all()
            return queued

    def take(self, limit: int, timeout_seconds: float) -> list[Item] | None:
        """What is queued, 1 to `limit` items; empty at the end of the stream; None after the timeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._ended or self._closed, timeout_seconds):
                return None
            was_full = self._byte_count >= self._byte_limit
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._byte_count -= sum(map(self._size, taken))
            if was_full:
                self._changed.notify_all()
            return taken
