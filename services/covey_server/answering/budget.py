"""Memory for calls in flight: every message is charged what working on it takes, and refused at once beyond the budget.

A limit on calls alone bounds no memory: sixteen histories of four megabytes take more than a thousand small ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from covey_server.errors import CallError

WORKING_BYTES_PER_BYTE = 20
"""Of memory for each byte of a message while a call works on it: measured with histories of rows (19 to 22) and of
packed times alone (17), the two whose columns grow most."""
RETRY_AFTER_SECONDS = 0.5


class MemoryBudget:
    """Bytes that calls in flight may work on.

    Args:
        limit_bytes: of all of them together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._lock = threading.Lock()

    @property
    def limit_bytes(self) -> int:
        """Of all of them together."""
        return self._limit

    @property
    def used_bytes(self) -> int:
        """Charged now."""
        return self._used

    def take(self, byte_count: int) -> bool:
        """Charge so many bytes; False, and nothing, where they are not left."""
        with self._lock:
            if self._used + byte_count > self._limit:
                return False
            self._used += byte_count
            return True

    def give_back(self, byte_count: int) -> None:
        """Those bytes are free again."""
        with self._lock:
            self._used -= byte_count

    def reading(self, read: Callable[[bytes], Any]) -> Callable[[bytes], Held]:
        """A deserializer that charges each message before it is read; what is beyond the budget is not read at all."""

        def charged(message: bytes) -> Held:
            byte_count = len(message) * WORKING_BYTES_PER_BYTE
            if not self.take(byte_count):
                return Held(self, 0, None, byte_count)
            held = Held(self, byte_count, None)
            try:
                held.message = read(message)
            except BaseException:
                held.give_back()  # a traceback in some log may hold it for long
                raise
            return held

        return charged


class Held:
    """A message and what is charged for it, until it is given back or nobody holds it any more.

    The transport drops messages of calls that ended meanwhile without telling anybody but the message itself.
    """

    __slots__ = ("_budget", "_byte_count", "_refused_bytes", "message")

    def __init__(self, budget: MemoryBudget, byte_count: int, message: Any, refused_bytes: int = 0) -> None:
        self._budget = budget
        self._byte_count = byte_count
        self._refused_bytes = refused_bytes
        self.message = message

    def __del__(self) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Nobody works on the message any more."""
        byte_count, self._byte_count = self._byte_count, 0
        if byte_count:
            self._budget.give_back(byte_count)

    def opened(self) -> Any:
        """The message.

        Raises:
            CallError: RESOURCE_EXHAUSTED, with the time to come back, where there was no memory for it.
        """
        if self._refused_bytes:
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"no memory is left for a message that takes {self._refused_bytes >> 20} MiB to work on; call again "
                "later, or send it in smaller ones",
                reason="MEMORY_EXHAUSTED",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        return self.message


def opened_each(messages: Iterator[Held]) -> Iterator[Any]:
    """The messages of a stream, each charged until the next is asked for."""
    for held in messages:
        yield held.opened()
        del held  # before the next is read
