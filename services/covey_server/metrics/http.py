"""The metrics port: GET /metrics and /healthz, on threads of their own, with deadlines and few connections at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from covey_server.metrics.page import CONTENT_TYPE

_CONNECTION_LIMIT = 8
_CONNECTION_TIMEOUT_SECONDS = 5.0
_STOP_POLL_SECONDS = 0.05

_log = logging.getLogger("covey_server.metrics")


class MetricsServer:
    """Serves the page until `stop`.

    Args:
        host: to listen on.
        port: to listen on; 0 picks a free one.
        page: makes the page.
        is_serving: whether the server answers calls; `/healthz` says so.

    Raises:
        OSError: the address cannot be used.
    """

    def __init__(self, host: str, port: int, page: Callable[[], bytes], is_serving: Callable[[], bool]) -> None:
        self._server = _Server((host, port), _handler(page, is_serving))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=_CONNECTION_TIMEOUT_SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(_CONNECTION_LIMIT)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("metrics connection failed", exc_info=True)


def _handler(page: Callable[[], bytes], is_serving: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CONNECTION_TIMEOUT_SECONDS
        server_version = "covey"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                try:
                    body = page()
                except Exception:
                    _log.exception("the metrics page cannot be made")
                    self._answer(500, b"the metrics page cannot be made; the log says why\n", "text/plain")
                    return
                self._answer(200, body, CONTENT_TYPE)
            elif path == "/healthz":
                serving = is_serving()
                self._answer(200 if serving else 503, b"SERVING\n" if serving else b"NOT_SERVING\n", "text/plain")
            else:
                self._answer(404, b"only /metrics and /healthz are here\n", "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
            _log.debug("metrics request", extra={"request": format % args})

    return Handler
