"""The two servers of bench_wire.py, each a process of its own: covey's, and one of the same shape that does nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from covey_server.answering.pool import CallThreads

THREADS = 8
UNARY = "/bare.Bare/Unary"
STREAM = "/bare.Bare/Stream"
_MESSAGE_BYTE_LIMIT = 8 * 2**20
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MESSAGE_BYTE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_BYTE_LIMIT),
)
_ACKNOWLEDGEMENT = b"\x08\x01"


class ServerProcess:
    """A server to call, with its processor time."""

    def __init__(self, command: list[str], ports_file: Path) -> None:
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 30.0
        while not ports_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not start; its messages are above")
            time.sleep(0.01)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{json.loads(ports_file.read_text())['data']}", _OPTIONS)

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self.channel.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30.0)


def covey_server(directory: Path, stable: str = "native") -> ServerProcess:
    """A server as `covey-server` starts it, with metrics on."""
    ports_file = directory / "covey.json"
    command = [sys.executable, "-m", "covey_server.main", "--data-directory", str(directory / "data")]
    for option in ("--listen", "--control-listen", "--metrics-listen"):
        command += [option, "127.0.0.1:0"]
    command += ["--stable", stable, "--threads", str(THREADS), "--log-level", "warning"]
    return ServerProcess([*command, "--ports-file", str(ports_file)], ports_file)


def bare_server(directory: Path) -> ServerProcess:
    """A server of the same library, threads and options whose handlers take bytes and do nothing with them."""
    ports_file = directory / "bare.json"
    return ServerProcess([sys.executable, __file__, str(ports_file)], ports_file)


def _answer(_request: bytes, _context: Any) -> bytes:
    return b""


def _acknowledge(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    for _ in requests:
        yield _ACKNOWLEDGEMENT


def _serve(ports_file: Path) -> None:
    # covey's own pool: with the library's ThreadPoolExecutor this server is slower and covey's ratio larger.
    pool = CallThreads(THREADS, "call")
    server = grpc.server(pool, options=_OPTIONS, maximum_concurrent_rpcs=4096)  # type: ignore[arg-type]
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(_answer),
        "Stream": grpc.stream_stream_rpc_method_handler(_acknowledge),
    }
    server.add_registered_method_handlers("bare.Bare", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: server.stop(0))
    temporary = ports_file.with_suffix(".new")
    temporary.write_text(json.dumps({"data": port}))
    temporary.rename(ports_file)
    server.wait_for_termination()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
