"""Calls that hold a thread while their message does not come: ended after a time, or a handful would hold all threads.

The library gives a call its thread first and waits there for the message, however long it takes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")

_log = logging.getLogger("covey_server.calls")


class Awaited(Protocol):
    """A call of which it is known whether its message has come."""

    method: str
    was_handled: bool


class MessageWatch:
    """Ends calls whose message does not come in time. `sweep` does it; `start` lets a thread sweep.

    Args:
        limit_seconds: how long a message may take from when its call has a thread.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, limit_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._monotonic = monotonic
        self._held: dict[int, tuple[Awaited, float, Callable[[], object]]] = {}
        self._stopping = threading.Event()

    def hold(self, call: Awaited, end: Callable[[], object]) -> None:
        """A call has a thread from now on; `end` ends it for its caller."""
        self._held[id(call)] = (call, self._monotonic(), end)

    def release(self, call: Awaited) -> None:
        """It has it no more."""
        self._held.pop(id(call), None)

    def serve(self, call: Awaited, fn: Callable[..., Result], args: tuple[Any, ...]) -> Result:
        """`fn(*args)`, as the server submits a call, watched while it has this thread."""
        self.hold(call, _canceller(args))
        try:
            return fn(*args)
        finally:
            self.release(call)

    def sweep(self) -> None:
        """End what is too late."""
        latest = self._monotonic() - self._limit
        for call, since, end in list(self._held.values()):
            if since <= latest and not call.was_handled:
                self.release(call)
                _log.warning("ended: its message did not come", extra={"method": call.method, "seconds": self._limit})
                end()

    def start(self) -> None:
        """Sweep now and then, until `stop`."""
        threading.Thread(target=self._sweep_on, name="half-open", daemon=True).start()

    def stop(self) -> None:
        """Sweep no more."""
        self._stopping.set()

    def _sweep_on(self) -> None:
        while not self._stopping.wait(self._limit / 8):
            self.sweep()


def _canceller(args: tuple[Any, ...]) -> Callable[[], object]:
    """What ends the call whose event is among the arguments that the server submits, as its context would."""
    call = getattr(args[1], "call", None) if len(args) > 1 else None
    return getattr(call, "cancel", lambda: None)


class WatchedThreads(ThreadPoolExecutor):
    """An executor of the library's kind whose calls are watched.

    Args:
        thread_count: threads.
        name: of the threads, with their number.
        watch: over them.
        call_of: the call among what is submitted; None: nobody's.
    """

    def __init__(
        self, thread_count: int, name: str, watch: MessageWatch, call_of: Callable[[Any], Awaited | None]
    ) -> None:
        super().__init__(max_workers=thread_count, thread_name_prefix=name)
        self._watch = watch
        self._call_of = call_of

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call."""
        call = self._call_of(fn)
        if call is None:
            return super().submit(fn, *args, **kwargs)
        return super().submit(self._watch.serve, call, partial(fn, **kwargs), args)
