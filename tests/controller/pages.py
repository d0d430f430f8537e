"""A real HTTP server with metrics pages, honest and broken, for the controller's tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

START = 1_700_000_000.0
ROLLOUT = "rollouts/demo"
BASELINE = "variants/reference"
CANDIDATE = "variants/native"
LIMIT = 60.0


@dataclass
class Numbers:
    """What an honest page shows."""

    start: float = START
    weight: float = 0.5
    requests: dict[str, dict[str, int]] = field(
        default_factory=lambda: {BASELINE: {"OK": 3000, "INTERNAL": 2}, CANDIDATE: {"OK": 1000, "INTERNAL": 1}}
    )
    over: dict[str, int] = field(default_factory=lambda: {BASELINE: 5, CANDIDATE: 2})
    shadow: dict[str, int] = field(default_factory=lambda: {"equal": 990, "different": 1, "failed": 0, "dropped": 3})


def page(numbers: Numbers | None = None) -> str:
    """The page as the server writes it: gates' metrics and some others."""
    n = numbers or Numbers()
    lines = [
        "# HELP covey_build_info Version and instruction set.",
        "# TYPE covey_build_info gauge",
        'covey_build_info{version="0.1.0",isa="avx2"} 1',
        "# TYPE covey_server_start_time_seconds gauge",
        f"covey_server_start_time_seconds {n.start}",
        "# TYPE covey_rollout_weight_ratio gauge",
        f'covey_rollout_weight_ratio{{rollout="{ROLLOUT}"}} {n.weight}',
        "# TYPE covey_requests_total counter",
    ]
    for variant, codes in n.requests.items():
        for code, count in codes.items():
            lines.append(f'covey_requests_total{{method="AnalyzeLearner",variant="{variant}",code="{code}"}} {count}')
        lines.append(f'covey_requests_total{{method="AnalyzeLearners",variant="{variant}",code="OK"}} 0')
    lines.append("# TYPE covey_requests_over_limit_total counter")
    for variant, count in n.over.items():
        for method, value in (("AnalyzeLearner", count), ("AnalyzeLearners", 0)):
            labels = f'method="{method}",variant="{variant}",limit_seconds="{LIMIT}"'
            lines.append(f"covey_requests_over_limit_total{{{labels}}} {value}")
    lines.append("# TYPE covey_shadow_total counter")
    for result, count in n.shadow.items():
        lines.append(f'covey_shadow_total{{rollout="{ROLLOUT}",result="{result}"}} {count}')
    lines.append("# TYPE covey_learners gauge")
    for variant, share in ((BASELINE, 1 - n.weight), (CANDIDATE, n.weight)):
        labels = f'rollout="{ROLLOUT}",phase="canary",variant="{variant}",segment=""'
        lines.append(f"covey_learners{{{labels}}} {round(2000 * share)}")
    lines += [
        "# TYPE process_open_fds gauge",
        "process_open_fds 12",
    ]
    return "\n".join(lines) + "\n"


def http(body: str | bytes, *, status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    """A whole HTTP answer."""
    data = body.encode() if isinstance(body, str) else body
    kind = "" if "Content-Type" in headers else "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
    size = len(data) if length is None else length
    return f"HTTP/1.1 {status}\r\n{kind}{headers}Content-Length: {size}\r\nConnection: close\r\n\r\n".encode() + data


Answer = Callable[[socket.socket, threading.Event], None]


def sending(data: bytes) -> Answer:
    """Sends these bytes and closes."""

    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(data)

    return answer


def hanging(data: bytes = b"") -> Answer:
    """Sends these bytes, then nothing, and stays."""

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(data)
        stopped.wait(30)

    return answer


def dripping(data: bytes, pause_seconds: float) -> Answer:
    """Sends byte by byte, always just in time for the next read."""

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        for position in range(len(data)):
            if stopped.wait(pause_seconds):
                return
            connection.sendall(data[position : position + 1])

    return answer


def endless(header: bytes) -> Answer:
    """Sends a header and then samples for ever."""

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(header)
        block = b"process_open_fds 12\n" * 4096
        while not stopped.is_set():
            connection.sendall(block)

    return answer


def later(data: bytes, seconds: float) -> Answer:
    """Sends all of it, after a while."""

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        if not stopped.wait(seconds):
            connection.sendall(data)

    return answer


def gigabyte(header: bytes, *, chunked: bool = False) -> Answer:
    """Sends a header and 1 GiB of samples, as far as anybody reads."""
    block = b"process_open_fds 12\n" * 52_428 + b"a 123456789 1\n\n"  # 1 MiB
    block = block[: 1 << 20]
    if chunked:
        block = f"{len(block):x}\r\n".encode() + block + b"\r\n"

    def answer(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(header)
        for _ in range(1024):
            if stopped.is_set():
                return
            connection.sendall(block)

    return answer


def resetting(connection: socket.socket, _: threading.Event) -> None:
    """Breaks the connection off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


class PageServer:
    """Answers every connection on a free loopback port as `answer` says at that moment."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            received = b""
            while b"\r\n\r\n" not in received and (block := connection.recv(4096)):
                received += block
            self.answer(connection, self._stopped)

    def close(self) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[PageServer]:
    server = PageServer(answer)
    try:
        yield server
    finally:
        server.close()
