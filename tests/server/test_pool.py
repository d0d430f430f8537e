"""The threads that serve calls: every call once, every ticket ended once."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue

import pytest

from covey_server.answering.pool import CallThreads, Ticket


def test_calls_run_on_so_many_threads_at_once() -> None:
    threads = CallThreads(3, "test")
    together = threading.Barrier(3)
    names: SimpleQueue[str] = SimpleQueue()

    def work() -> None:
        together.wait(10.0)
        names.put(threading.current_thread().name)

    for _ in range(3):
        threads.submit(work)
    assert {names.get(timeout=10.0) for _ in range(3)} == {"test_0", "test_1", "test_2"}
    threads.shutdown()


def test_a_ticket_tells_once_whenever_it_is_asked() -> None:
    threads = CallThreads(1, "test")
    told: list[Ticket] = []
    first = threads.submit(lambda: None)
    first.add_done_callback(told.append)
    threads.shutdown()
    assert told == [first]
    first.add_done_callback(told.append)
    assert told == [first, first]


def test_an_exception_ends_the_call_and_not_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    threads = CallThreads(1, "test")
    ended = threading.Event()

    def fail() -> None:
        raise ValueError("on purpose")

    with caplog.at_level(logging.ERROR, logger="covey_server.calls"):
        threads.submit(fail).add_done_callback(lambda _: ended.set())
        after = threading.Event()
        threads.submit(after.set)
        assert after.wait(10.0)
    assert ended.wait(10.0)
    assert "on purpose" in caplog.text
    threads.shutdown()


def test_what_is_forgotten_ends_without_running() -> None:
    threads = CallThreads(1, "test")
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        release.wait(10.0)

    threads.submit(hold)
    assert entered.wait(10.0)
    ran, ended = threading.Event(), threading.Event()
    threads.submit(ran.set).add_done_callback(lambda _: ended.set())
    threads.shutdown(wait=False, cancel_futures=True)
    assert ended.is_set()
    release.set()
    threads.shutdown()
    assert not ran.is_set()
