"""The small HTTP port: idle, slow and many connections keep nobody out."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from covey.access.pages import Asker, Page, PageLimits, PageServer

Start = Callable[..., PageServer]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as running:

        def begin(**changes: object) -> PageServer:
            pages = {"/page": lambda: Page(b"the page\n"), "/broken": lambda: Page(b"" * (1 // 0))}
            served = PageServer("127.0.0.1", 0, pages, **changes)  # type: ignore[arg-type]
            running.callback(served.stop)
            return served

        yield begin


def fetch(port: int, path: str = "/page", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_what_is_there_and_what_is_not(start: Start) -> None:
    port = start().port
    assert fetch(port) == (200, b"the page\n")
    assert fetch(port, "/other") == (404, b"only /page and /broken are here\n")
    assert fetch(port, "/broken")[0] == 500


def test_three_hundred_idle_connections_keep_nobody_out(start: Start) -> None:
    port = start().port
    with ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        started = time.monotonic()
        for _ in range(20):
            assert fetch(port) == (200, b"the page\n")
        assert time.monotonic() - started < 5.0


def test_without_closing_the_idle_they_do(start: Start) -> None:
    """The twin: with a place for each and no deadline, idle connections stay and cost a thread each."""
    before = threading.active_count()
    port = start(limits=PageLimits(connections=400, request_seconds=60.0)).port
    with ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        assert fetch(port)[0] == 200
        assert threading.active_count() - before >= 300


def test_a_request_that_never_ends_is_ended(start: Start) -> None:
    port = start(limits=PageLimits(request_seconds=0.3)).port
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        slow.sendall(b"GET /page HTTP/1.0\r\n")
        given_up = time.monotonic() + 30.0
        with pytest.raises(OSError):
            while time.monotonic() < given_up:
                slow.sendall(b"x")
                time.sleep(0.02)


def test_too_many_pages_at_once_are_told_to_come_back() -> None:
    go, begun = threading.Event(), threading.Event()

    def slow() -> Page:
        begun.set()
        go.wait(20)
        return Page(b"late\n")

    served = PageServer("127.0.0.1", 0, {"/slow": slow}, limits=PageLimits(answers=1))
    try:
        answers: list[tuple[int, bytes]] = []
        asking = threading.Thread(target=lambda: answers.append(fetch(served.port, "/slow")))
        asking.start()
        assert begun.wait(20)
        assert fetch(served.port, "/slow")[0] == 503
        go.set()
        asking.join(20)
        assert answers == [(200, b"late\n")]
    finally:
        go.set()
        served.stop()


def test_who_may_not_read_is_told_so(start: Start) -> None:
    def may_read(path: str, asker: Asker) -> Page | None:
        return None if path == "/page" and asker.authorization == "Bearer x" else Page(b"no\n", status=401)

    port = start(may_read=may_read).port
    assert fetch(port, Authorization="Bearer x") == (200, b"the page\n")
    assert fetch(port) == (401, b"no\n")
    assert fetch(port, "/other") == (401, b"no\n")
