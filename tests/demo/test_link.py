"""A line between places: it takes its time, carries everything in order, and nothing while it is cut."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from programs import free_port

from covey.demo.link import Link

ROUND_TRIP_SECONDS = 0.1


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that says back what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with closing(connection):
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def dial(link: Link) -> socket.socket:
    host, _, port = link.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def hear(connection: socket.socket, count: int) -> bytes:
    heard = b""
    while len(heard) < count and (data := connection.recv(1 << 16)):
        heard += data
    return heard


def test_a_question_takes_the_round_trip_and_many_bytes_come_in_order(echo: str) -> None:
    with Link(echo, round_trip_seconds=ROUND_TRIP_SECONDS) as link, closing(dial(link)) as connection:
        begin = time.monotonic()
        connection.sendall(b"hello")
        assert hear(connection, 5) == b"hello"
        assert time.monotonic() - begin >= ROUND_TRIP_SECONDS
        sent = bytes(range(256)) * 4096
        threading.Thread(target=connection.sendall, args=(sent,), daemon=True).start()
        assert hear(connection, len(sent)) == sent


def test_cut_it_carries_nothing_and_healed_what_waited(echo: str) -> None:
    with Link(echo) as link, closing(dial(link)) as old:
        old.sendall(b"a")
        assert hear(old, 1) == b"a"
        link.cut()
        assert link.is_cut
        old.sendall(b"b")
        with closing(dial(link)) as new:
            new.sendall(b"c")
            for connection in (old, new):
                connection.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(60)
            link.heal()
            assert (hear(old, 1), hear(new, 1)) == (b"b", b"c")


def test_an_end_that_is_not_there_ends_the_connection() -> None:
    with Link(f"127.0.0.1:{free_port()}") as link, closing(dial(link)) as connection:
        assert hear(connection, 1) == b""


def test_a_connection_that_ends_there_ends_here(echo: str) -> None:
    with Link(echo, round_trip_seconds=0.02) as link, closing(dial(link)) as connection:
        connection.sendall(b"x")
        connection.shutdown(socket.SHUT_WR)
        assert hear(connection, 2) == b"x", "what was said before still arrives"


def test_connections_that_were_just_made_are_closed_with_it() -> None:
    """They were lost between asyncio's accept and the task that closes them, and told so when they were collected."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as far:
        host, port = far.getsockname()
        made: list[socket.socket] = []
        for _ in range(50):
            with Link(f"{host}:{port}") as link:
                own_host, _, own_port = link.address.rpartition(":")
                made += [socket.create_connection((own_host, int(own_port))) for _ in range(5)]
        for each in made:
            each.close()
        gc.collect()  # what is left open is a warning here, and so a failure
