"""Small HTTP ports for metrics pages: few connections, each with a deadline for all of its request, TLS, tokens.

An idle connection holds a place for nothing: when all places are taken, the one that has been idle longest is closed,
so that no number of them keeps a scraper out.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any

from covey.access.certificates import Certificates

_STOP_POLL_SECONDS = 0.05

_log = logging.getLogger("covey.access.pages")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer.

    Attributes:
        body: all of it.
        content_type: of the body.
        status: of HTTP.
    """

    body: bytes
    content_type: str = "text/plain"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a page.

    Attributes:
        authorization: the header of that name, or "".
        certificate_names: common and alternative names of the verified client certificate.
    """

    authorization: str
    certificate_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What one port holds at most.

    Attributes:
        connections: open at the same time; a further one closes the longest idle.
        answers: pages in the making at the same time; more are told to come back.
        request_seconds: from the connection to the end of its request, TLS included.
        answer_seconds: from there until the reader has all of the page.
    """

    connections: int = 64
    answers: int = 8
    request_seconds: float = 5.0
    answer_seconds: float = 10.0


Make = Callable[[], Page]


class PageServer:
    """Serves pages until `stop`.

    Args:
        host: to listen on.
        port: to listen on; 0 picks a free one.
        pages: what makes the page of each path.
        certificates: speaks TLS with these; None: plain HTTP.
        may_read: None where someone may read a path's page, otherwise the page that refuses.
        limits: of connections and times.

    Raises:
        OSError: the address cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pages: Mapping[str, Make],
        *,
        certificates: Certificates | None = None,
        may_read: Callable[[str, Asker], Page | None] | None = None,
        limits: PageLimits | None = None,
    ) -> None:
        limits = limits or PageLimits()
        self._server = _Server((host, port), _handler(pages, may_read), certificates, limits)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)


class _Place:
    """One caller's connection: idle until its request is whole."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self.socket = plain
        self.deadline = deadline
        self.is_idle = True

    def wake(self) -> None:
        """End what its thread waits for; the thread then closes the socket."""
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already


class _Server(TCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        certificates: Certificates | None,
        limits: PageLimits,
    ) -> None:
        self._certificates = certificates
        self._limits = limits
        self._lock = threading.Lock()
        self._places: dict[_Place, None] = {}
        self._answers = threading.BoundedSemaphore(limits.answers)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        place = _Place(request, time.monotonic() + self._limits.request_seconds)
        with self._lock:
            if len(self._places) >= self._limits.connections:
                # Dictionaries keep their order: the oldest idle one, or else the oldest.
                oldest = next((known for known in self._places if known.is_idle), next(iter(self._places)))
                del self._places[oldest]
                oldest.wake()
            self._places[place] = None
        threading.Thread(target=self._serve, args=(place, client_address), name="page", daemon=True).start()

    def service_actions(self) -> None:
        now = time.monotonic()
        with self._lock:
            for place in [place for place in self._places if place.deadline < now]:
                del self._places[place]
                place.wake()

    def make(self, place: _Place, make: Make) -> Page:
        """A page, unless too many are being made."""
        with self._lock:
            place.is_idle = False
            place.deadline = time.monotonic() + self._limits.answer_seconds
        if not self._answers.acquire(blocking=False):
            return Page(b"too many pages are being made; come back in a second\n", status=503)
        try:
            return make()
        except Exception:
            _log.exception("a page cannot be made")
            return Page(b"the page cannot be made; the log says why\n", status=500)
        finally:
            self._answers.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("connection failed", exc_info=True)

    def _serve(self, place: _Place, client_address: Any) -> None:
        try:
            place.socket.settimeout(self._limits.request_seconds)
            if self._certificates is not None:
                place.socket = self._certificates.ssl_context().wrap_socket(
                    place.socket, server_side=True, do_handshake_on_connect=False
                )
                place.socket.do_handshake()
            self.RequestHandlerClass(place, client_address, self)  # type: ignore[arg-type] # as the base class does
        except Exception:
            self.handle_error(place.socket, client_address)
        finally:
            with self._lock:
                self._places.pop(place, None)
            self.shutdown_request(place.socket)


def _handler(
    pages: Mapping[str, Make], may_read: Callable[[str, Asker], Page | None] | None
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "covey"
        sys_version = ""

        def setup(self) -> None:
            self.place: _Place = self.request
            self.request = self.place.socket
            super().setup()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asker = Asker(self.headers.get("Authorization", ""), _certificate_names(self.connection))
            refusal = may_read(path, asker) if may_read is not None else None
            make = pages.get(path)
            if refusal is not None:
                page = refusal
            elif make is None:
                page = Page(f"only {' and '.join(pages)} are here\n".encode(), status=404)
            else:
                page = self.server.make(self.place, make)  # type: ignore[attr-defined]
            self._answer(page)

        def _answer(self, page: Page) -> None:
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            if page.status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            if page.status == HTTPStatus.SERVICE_UNAVAILABLE:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
            _log.debug("request", extra={"request": format % args})

    return Handler


def _certificate_names(connection: socket.socket) -> tuple[str, ...]:
    """The names of a verified client certificate: alternative names first, then the common name."""
    if not isinstance(connection, ssl.SSLSocket):
        return ()
    certificate: Any = connection.getpeercert() or {}
    names = [value for _kind, value in certificate.get("subjectAltName", ())]
    names += [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
    return tuple(names)
