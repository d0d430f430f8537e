"""A TCP proxy that writes down every byte that crosses it, in both directions."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

_LONGEST_READ = 65_536


class Wiretap:
    """Between anybody and one loopback port; a context.

    Attributes:
        address: where to connect instead.
        seen: what crossed, by direction.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen = {"in": bytearray(), "out": bytearray()}
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def everything(self) -> bytes:
        """Both directions, one after the other."""
        return bytes(self.seen["in"]) + bytes(self.seen["out"])

    def _accept(self) -> None:
        while True:
            try:
                outer, _ = self._listener.accept()
                inner = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            self._open += [outer, inner]
            for source, sink, direction in ((outer, inner, "in"), (inner, outer, "out")):
                threading.Thread(target=self._copy, args=(source, sink, direction), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        try:
            while data := source.recv(_LONGEST_READ):
                self.seen[direction] += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self) -> Wiretap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
