"""Real receivers of notifications on loopback, that fail as they are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came, and what is answered next.

    Attributes:
        url: where it listens.
        script: answers to come: a status, "drop" (taken, but the connection ends without an answer) or "hang".
        posts: headers and body of everything that was taken, also of what was not answered well.
    """

    url: str = ""
    script: list[int | str] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        with self.lock:
            return [json.loads(body) for _, body in self.posts]

    @property
    def keys(self) -> list[str]:
        return [body["dedupe_key"] for body in self.bodies]


@contextmanager
def receiver(script: Sequence[int | str] = ()) -> Iterator[Receiver]:
    """A receiver that answers by the script, then 204."""
    made = Receiver(script=list(script))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with made.lock:
                answer = made.script.pop(0) if made.script else 204
                if answer in {200, 204, "drop"}:
                    made.posts.append((dict(self.headers), body))
            if answer == "hang":
                made.released.wait(60)
            if isinstance(answer, str):
                self.close_connection = True
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            made.released.set()
            server.shutdown()
