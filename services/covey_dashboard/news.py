"""Wakes whoever waits for news: threads tell, streams of the event loop hear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class News:
    """Ears by topic. Nothing is queued: an ear that is slow misses wake-ups, not what there is to see."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ears: dict[str, set[asyncio.Event]] = {}

    def open(self) -> None:
        """Be told by threads from now on; on the event loop."""
        self._loop = asyncio.get_running_loop()

    def tell(self, topic: str) -> None:
        """Wake the ears of a topic; from any thread, at any time."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._wake, topic)

    def tell_everybody(self) -> None:
        """Wake every ear; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake_all)

    @contextmanager
    def ear(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set by news of the topics, for as long as the block runs."""
        event = asyncio.Event()
        for topic in topics:
            self._ears.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            for topic in topics:
                others = self._ears.get(topic, set())
                others.discard(event)
                if not others:
                    self._ears.pop(topic, None)

    def _wake(self, topic: str) -> None:
        for event in self._ears.get(topic, ()):
            event.set()

    def _wake_all(self) -> None:
        for topic in list(self._ears):
            self._wake(topic)
