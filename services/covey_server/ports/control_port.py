"""The control port: an asyncio gRPC server in a thread of its own, so that no storm on the data port starves it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from covey.v1.access_pb2_grpc import add_AccessServiceServicer_to_server
from covey.v1.rollouts_pb2_grpc import add_RolloutServiceServicer_to_server
from covey_server.access.gate import Gate
from covey_server.access.service import AccessServicer
from covey_server.ports.control_interceptor import AccessInterceptor
from covey_server.rollouts.journal import Journal
from covey_server.rollouts.service import RolloutServicer

SERVICE_NAME = "covey.v1.RolloutService"
ACCESS_SERVICE_NAME = "covey.v1.AccessService"
LARGEST_MESSAGE_BYTES = 4 << 20
MOST_CALLS = 512
"""Calls that are served at the same time, watchers included; more are refused with RESOURCE_EXHAUSTED."""
_STOP_MARGIN_SECONDS = 5.0

_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", MOST_CALLS),
    # A watcher whose machine is gone is noticed within a minute; watchers may ping as often as every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

_log = logging.getLogger("covey_server.control_port")


class PortError(Exception):
    """An address that cannot be listened on."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"cannot listen on {address}: it is in use, or not an address of this machine. Stop the other program, or"
            " choose another address (port 0 takes a free one)"
        )


class ControlPort:
    """A running control port. Made by `start_control_port`.

    Attributes:
        port: number that it listens on.
    """

    def __init__(
        self,
        address: str,
        journal: Journal,
        gate: Gate,
        credentials: grpc.ServerCredentials | None,
        shared_address: str | None = None,
        options: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.port = 0
        self._started: Future[int] = Future()
        self._stopping: asyncio.Event | None = None
        self._grace_seconds: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(
            target=self._run,
            args=(address, journal, gate, credentials, shared_address, options),
            name="control-port",
            daemon=True,
        )
        self._thread.start()
        self.port = self._started.result()

    def stop(self, grace: float | None = None) -> None:
        """Refuse new calls, end the watchers, give calls in hand `grace` seconds and end the thread.

        The second call does nothing.
        """
        loop, stopping = self._loop, self._stopping
        if loop is None or stopping is None or not self._thread.is_alive():
            return
        self._grace_seconds = grace
        loop.call_soon_threadsafe(stopping.set)
        self._thread.join((grace or 0.0) + _STOP_MARGIN_SECONDS)

    def _run(self, *arguments: Any) -> None:
        try:
            asyncio.run(self._serve(*arguments))
        except BaseException as error:
            if self._started.done():
                _log.critical("the control port has failed", exc_info=error)
            else:
                self._started.set_exception(error)

    async def _serve(
        self,
        address: str,
        journal: Journal,
        gate: Gate,
        credentials: grpc.ServerCredentials | None,
        shared_address: str | None,
        options: Sequence[tuple[str, int]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = grpc.aio.server(
            interceptors=(AccessInterceptor(gate),),
            options=(
                # Two servers on one port take turns in answering; where nobody said so the second must fail instead.
                ("grpc.so_reuseport", int(shared_address is not None)),
                *_OPTIONS,
                *options,
            ),
            maximum_concurrent_rpcs=MOST_CALLS,
        )
        servicer = RolloutServicer(journal, self._loop)
        try:
            add_RolloutServiceServicer_to_server(servicer, server)
            add_AccessServiceServicer_to_server(AccessServicer(), server)
            health_servicer = health.aio.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
            names = (SERVICE_NAME, ACCESS_SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
            port = _bound(server, address, credentials)
            if shared_address is not None:
                _bound(server, shared_address, credentials)
            await server.start()
            for service in ("", SERVICE_NAME, ACCESS_SERVICE_NAME):
                await health_servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
            self._started.set_result(port)
            servicer.warm_up()
            await self._stopping.wait()
            await health_servicer.enter_graceful_shutdown()
            servicer.hub.close()
            await server.stop(self._grace_seconds)
        finally:
            servicer.close()


def _bound(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError as error:
        raise PortError(address) from error


def start_control_port(
    address: str,
    journal: Journal,
    gate: Gate,
    credentials: grpc.ServerCredentials | None = None,
    *,
    shared_address: str | None = None,
    options: Sequence[tuple[str, int]] = (),
) -> ControlPort:
    """Serve RolloutService, AccessService, health and reflection at an address such as "127.0.0.1:50052".

    Args:
        address: port 0 takes a free one.
        journal: loaded, and past the crash-loop breaker.
        gate: who may call what.
        credentials: for TLS; None: plaintext.
        shared_address: another one, which other servers of this machine may answer, too.
        options: of the server, beside its own.

    Raises:
        PortError: an address cannot be listened on.
    """
    return ControlPort(address, journal, gate, credentials, shared_address, options)
