"""Between the thread that reads a stream's chunks and the one that stores them: a bounded queue of decoded chunks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covey_server.answering.decoding import EventColumns
    from covey_server.errors import CallError


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A chunk as it came: its events, or why they are refused.

    Attributes:
        sequence: its number within the append.
        byte_count: of its message.
        events: None where it is refused.
        error: why.
    """

    sequence: int
    byte_count: int
    events: EventColumns | None
    error: CallError | None = None


class ChunkBuffer:
    """A queue bounded by bytes: what is not stored yet does not pile up, whatever the caller sends.

    Args:
        byte_limit: `put` waits while as much is queued; a single chunk may be larger.
    """

    def __init__(self, byte_limit: int) -> None:
        self._byte_limit = byte_limit
        self._changed = Condition()
        self._chunks: deque[Chunk] = deque()
        self._byte_count = 0
        self._ended = False
        self._closed = False

    def put(self, chunk: Chunk) -> bool:
        """Queue a chunk; False where the other side has gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._chunks or self._byte_count < self._byte_limit)
            if self._closed:
                return False
            self._chunks.append(chunk)
            self._byte_count += chunk.byte_count
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """No chunk follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes any more: `put` answers False, `take` answers nothing."""
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._byte_count = 0
            self._changed.notify_all()

    def take(self, limit: int, timeout_seconds: float) -> list[Chunk] | None:
        """What is queued, 1 to `limit` chunks; empty at the end of the stream; None after the timeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chunks or self._ended or self._closed, timeout_seconds):
                return None
            taken = [self._chunks.popleft() for _ in range(min(limit, len(self._chunks)))]
            self._byte_count -= sum(chunk.byte_count for chunk in taken)
            self._changed.notify_all()
            return taken
