"""A running dashboard: the rooms put together, started in order, stopped in the reverse order."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn

from covey.access.certificates import Certificates
from covey.errors import InputError
from covey_dashboard.config import Config, ConfigError
from covey_dashboard.following import Followers
from covey_dashboard.gateway import Gateway
from covey_dashboard.http.application import application
from covey_dashboard.http.desk import Desk
from covey_dashboard.listing import Listing
from covey_dashboard.news import News
from covey_dashboard.pages import Pages
from covey_dashboard.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CONNECTIONS = 256
_DRAIN_SECONDS = 3
_LONGEST_HEADERS_BYTES = 32 * 1024


class Dashboard:
    """Serves pages from its making until `stop`.

    Args:
        config: as it was asked to run.
        clock: the time, aware.
        monotonic: seconds of a clock that never goes back.

    Attributes:
        port: number of the port of its pages.
        desk: the rooms, for tests in the same process.

    Raises:
        ConfigError: a certificate cannot be used.
        OSError: the address cannot be used.
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            certificates = None if config.tls is None else Certificates(config.tls)
        except InputError as error:
            raise ConfigError(f"--tls-cert, --tls-key: {error}") from error
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        self._socket = socket.create_server((config.host, config.port), family=family, backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._config = config
        gateway = Gateway(config.control, config.data, config.security, config.call_seconds)
        news = News()
        self.desk = Desk(
            gateway=gateway,
            listing=Listing(gateway, news.tell, clock, monotonic),
            followers=Followers(gateway, news.tell),
            sessions=Sessions(monotonic),
            news=news,
            pages=Pages(),
            clock=clock,
            # Browsers let nobody but a page over TLS set this one, and for no other host.
            cookie="__Host-covey" if certificates else f"covey-{self.port}",
            speaks_tls=certificates is not None,
        )
        self._server = uvicorn.Server(self._served(certificates))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="pages", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        if config.ports_file is not None:
            self._write_ports()

    @property
    def url(self) -> str:
        """Where browsers find it."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        return f"{'https' if self.desk.speaks_tls else 'http'}://{host}:{self.port}/"

    def stop(self) -> None:
        """End the streams, finish the answers under way, and end every thread."""
        self.desk.is_stopping = True
        self.desk.news.tell_everybody()
        self._server.should_exit = True
        self._thread.join(_DRAIN_SECONDS + 5.0)
        self.desk.followers.stop()
        self.desk.listing.stop()
        self._socket.close()
        if self._config.ports_file is not None:
            with suppress(OSError):
                self._config.ports_file.unlink()

    def _served(self, certificates: Certificates | None) -> uvicorn.Config:
        return uvicorn.Config(
            application(self.desk, self._config.hosts),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            h11_max_incomplete_event_size=_LONGEST_HEADERS_BYTES,
            ssl_context_factory=None if certificates is None else _context_factory(certificates),
        )

    def _write_ports(self) -> None:
        """Says where the pages are; whole or not at all."""
        path = self._config.ports_file
        assert path is not None
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(json.dumps({"pages": self.port, "pid": os.getpid()}) + "\n", encoding="utf-8")
        temporary.replace(path)


def _context_factory(certificates: Certificates) -> Any:
    """Every handshake takes the certificate that the files hold by then."""

    def make(_: uvicorn.Config, __: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        context = certificates.ssl_context()

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = certificates.ssl_context()

        context.sni_callback = choose
        return context

    return make
