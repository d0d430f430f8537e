"""Reads a metrics page within limits: whatever the other side does, the answer is a page or an absence."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from urllib.parse import urlsplit

from covey.client.channel import Security
from covey.v1 import evidence_pb2 as pb
from covey_controller.config import ScrapeLimits

_CHUNK_BYTES = 64 * 1024
_STALE_AGE_SECONDS = 60.0


class AbsenceError(Exception):
    """Evidence that is not there, and what kind of absence it is."""

    def __init__(self, kind: pb.AbsenceType.ValueType, metric: str, detail: str) -> None:
        super().__init__(f"{pb.AbsenceType.Name(kind)} {metric}: {detail}")
        self.kind = kind
        self.metric = metric
        self.detail = detail

    def message(self, replica: str) -> pb.Absence:
        """The absence as the journal records it."""
        return pb.Absence(replica=replica, metric=self.metric, type=self.kind, detail=self.detail[:300])


def scrape_failed(detail: str) -> AbsenceError:
    """The whole page is missing."""
    return AbsenceError(pb.ABSENCE_TYPE_SCRAPE_FAILED, "", detail)


class _DeadlineSocket(socket.socket):
    """A connected socket whose every read ends by `deadline`, so that a dripping peer cannot stretch it."""

    deadline: float
    read_seconds: float

    def recv_into(self, *arguments: object, **options: object) -> int:
        self.settimeout(_time_left(self))
        return super().recv_into(*arguments, **options)  # type: ignore[arg-type]


class _DeadlineTlsSocket(ssl.SSLSocket):
    """The same with TLS."""

    deadline: float
    read_seconds: float

    def recv_into(self, *arguments: object, **options: object) -> int:
        self.settimeout(_time_left(self))
        return super().recv_into(*arguments, **options)  # type: ignore[arg-type]


def _time_left(bounded: _DeadlineSocket | _DeadlineTlsSocket) -> float:
    left = bounded.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the total deadline passed")
    return min(bounded.read_seconds, left)


def _secured(plain: _DeadlineSocket, host: str, security: Security) -> _DeadlineTlsSocket:
    context = security.ssl_context()
    context.sslsocket_class = _DeadlineTlsSocket
    # The handshake ends within one read's time, whatever the peer drips.
    secured = context.wrap_socket(plain, server_hostname=security.servername or host)
    assert isinstance(secured, _DeadlineTlsSocket)
    secured.deadline, secured.read_seconds = plain.deadline, plain.read_seconds
    return secured


def _connect(host: str, port: int, limits: ScrapeLimits) -> _DeadlineSocket:
    deadline = time.monotonic() + limits.total_seconds
    plain = socket.create_connection((host, port), timeout=min(limits.connect_seconds, limits.total_seconds))
    bounded = _DeadlineSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    bounded.deadline = deadline
    bounded.read_seconds = limits.read_seconds
    bounded.settimeout(limits.read_seconds)
    return bounded


TEXT_KINDS = frozenset({"text/plain", "application/openmetrics-text"})
"""Content types of a metrics page."""


def fetch(
    page_url: str, limits: ScrapeLimits, kinds: frozenset[str] = TEXT_KINDS, security: Security | None = None
) -> str:
    """Gets the text of a metrics page, or of what else answers by HTTP with one of these content types.

    Raises:
        AbsenceError: SCRAPE_FAILED for everything that keeps a whole, honest page from arriving: no connection, a
            deadline, another status than 200, another content, more bytes than allowed, an end in the middle.
            STALE when a cache on the way says that it is old.
    """
    url = urlsplit(page_url)
    security = security or Security()
    is_secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if is_secure else 80)
    connection = http.client.HTTPConnection(host, port)
    try:
        plain = _connect(host, port, limits)
        connection.sock = _secured(plain, host, security) if is_secure else plain
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request(
            "GET",
            target,
            headers={
                "Accept": "text/plain; version=0.0.4",
                "Accept-Encoding": "identity",
                "Connection": "close",
                **{name.title(): value for name, value in security.call_metadata()},
            },
        )
        with connection.getresponse() as response:
            _check_headers(response, kinds)
            body = _read(response, limits.page_bytes)
    except AbsenceError:
        raise
    except TimeoutError as error:
        raise scrape_failed(f"{page_url}: no whole page in time ({error})") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise scrape_failed(f"{page_url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise scrape_failed(f"the page is not UTF-8: {error}") from error


def _check_headers(response: http.client.HTTPResponse, kinds: frozenset[str]) -> None:
    if response.status != http.client.OK:
        raise scrape_failed(f"status {response.status} {response.reason}")
    kind = response.headers.get_content_type()
    if kind not in kinds:
        raise scrape_failed(f"content type {kind} instead of {max(kinds)}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise scrape_failed(f"content encoding {encoding} was not asked for")
    age = response.headers.get("Age", "0")
    if age.isdigit() and int(age) > _STALE_AGE_SECONDS:
        raise AbsenceError(pb.ABSENCE_TYPE_STALE, "", f"a cache answered with a page that is {age} s old")


def _read(response: http.client.HTTPResponse, page_bytes: int) -> bytes:
    length = response.length
    if length is not None and length > page_bytes:
        raise scrape_failed(f"{length} bytes announced; at most {page_bytes} are read")
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK_BYTES):
        size += len(chunk)
        if size > page_bytes:
            raise scrape_failed(f"more than {page_bytes} bytes")
        chunks.append(chunk)
    if length is not None and size != length:
        raise scrape_failed(f"the page ended after {size} of {length} bytes")
    return b"".join(chunks)
