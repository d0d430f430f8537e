"""Threads that take calls from one queue: what a server needs of an executor, and nothing that costs more than that.

The library's pool keeps a lock, a condition and two callbacks a call for futures that nobody waits for; here a call
costs one queue operation.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

_log = logging.getLogger("covey_server.calls")

_Done = Callable[["Ticket"], object]


class Ticket:
    """What `submit` answers: tells once when the work is done or will never be."""

    __slots__ = ("_callbacks", "_ended")

    def __init__(self) -> None:
        self._callbacks: deque[_Done] = deque()
        self._ended = False

    def add_done_callback(self, callback: _Done) -> None:
        """Call `callback(ticket)` at the end, or now where that is past."""
        self._callbacks.append(callback)
        if self._ended:
            self.end()

    def end(self) -> None:
        """The work has ended."""
        self._ended = True
        # Whoever takes a callback calls it: taking is atomic, so that each is called once.
        while self._callbacks:
            try:
                callback = self._callbacks.popleft()
            except IndexError:
                return
            callback(self)


def run(fn: Callable[..., object], args: tuple[Any, ...], ticket: Ticket) -> None:
    """Do the work of a ticket in this thread, which outlives it whatever happens."""
    try:
        fn(*args)
    except Exception:
        _log.exception("a call ended in an exception that nobody caught")
    ticket.end()


class CallThreads:
    """A fixed number of threads, started at once.

    Args:
        thread_count: threads.
        name: of the threads, with their number.
    """

    def __init__(self, thread_count: int, name: str) -> None:
        self._queue: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...], Ticket] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(thread_count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting_count(self) -> int:
        """Calls that wait for a thread."""
        return self._queue.qsize()

    def submit(self, fn: Callable[..., object], /, *args: Any) -> Ticket:
        """Queue `fn(*args)`."""
        ticket = Ticket()
        self._queue.put((fn, args, ticket))
        return ticket

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after what is queued, or at once where that is to be forgotten."""
        if cancel_futures:
            while True:
                try:
                    forgotten = self._queue.get_nowait()
                except Empty:
                    break
                if forgotten is not None:
                    forgotten[2].end()
        for _ in self._threads:
            self._queue.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            run(*task)
            del task  # a thread that waits must keep no call alive
