"""Wakes the watchers of rollouts: an asyncio event each, no thread each, nothing queued.

A watcher that is slow misses wake-ups, not entries: it reads what it has not sent from the journal when it is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc

from covey_server.errors import CallError

MOST_WATCHERS = 256


class Watcher:
    """One stream's ear. Use it on the hub's loop only."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.is_closed = False

    async def wait(self) -> None:
        """Return once something happened since the last return.

        Raises:
            CallError: UNAVAILABLE, where the server is stopping.
        """
        if not self.is_closed:
            await self._news.wait()
        self._news.clear()
        if self.is_closed:
            raise CallError(
                grpc.StatusCode.UNAVAILABLE,
                "the server is stopping; watch again with after_sequence of the last entry that arrived",
                reason="STOPPING",
            )

    def wake(self) -> None:
        """Let `wait` return."""
        self._news.set()


class WatchHub:
    """All watchers of one event loop.

    Args:
        loop: where the watchers live.
        most_watchers: streams that may be open at the same time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most_watchers: int = MOST_WATCHERS) -> None:
        self._loop = loop
        self._most_watchers = most_watchers
        self._watchers: dict[str, set[Watcher]] = {}
        self._count = 0
        self._is_closed = False

    @property
    def count(self) -> int:
        """Streams that are open."""
        return self._count

    def notify(self, rollout: str) -> None:
        """Wake the watchers of a rollout; from any thread, at any time."""
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._wake, rollout)

    @contextmanager
    def watcher(self, rollout: str) -> Iterator[Watcher]:
        """A watcher of a rollout for as long as the block runs.

        Raises:
            CallError: RESOURCE_EXHAUSTED, where too many streams are open.
        """
        if self._count >= self._most_watchers:
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._count} streams watch already; poll GetRollout, or try again later",
                reason="TOO_MANY_WATCHERS",
                retry_after_seconds=5.0,
            )
        watcher = Watcher()
        watcher.is_closed = self._is_closed
        self._count += 1
        self._watchers.setdefault(rollout, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._count -= 1
            others = self._watchers[rollout]
            others.discard(watcher)
            if not others:
                del self._watchers[rollout]

    def close(self) -> None:
        """End every watcher; on the hub's loop."""
        self._is_closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.is_closed = True
                watcher.wake()

    def _wake(self, rollout: str) -> None:
        for watcher in self._watchers.get(rollout, ()):
            watcher.wake()
