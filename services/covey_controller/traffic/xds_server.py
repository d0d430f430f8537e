"""The control plane's port: an ADS server on asyncio in a thread of its own, where a client costs no thread."""
# ruff: noqa: N802 - methods have the names of the API

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any as AnyType

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from covey_controller.traffic.setting import StaleEpochError
from covey_controller.traffic.xds_resources import Snapshot
from covey_controller.traffic.xds_stream import ClientStream, weight_taken

MOST_CLIENTS = 4096
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_GRACE_SECONDS = 1.0

_log = logging.getLogger("covey_controller")


class XdsPortError(Exception):
    """The port cannot be had."""


class _Servicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    """Lives on the loop alone: nothing here is locked."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.streams: dict[ClientStream, asyncio.Event] = {}
        self.is_over = False

    async def StreamAggregatedResources(
        self, requests: AsyncIterator[discovery_pb2.DiscoveryRequest], context: AnyType
    ) -> AsyncIterator[discovery_pb2.DiscoveryResponse]:
        """Tells a client what it asks for, and whatever of it changes."""
        stream, woken, ended = ClientStream(), asyncio.Event(), asyncio.Event()
        self.streams[stream] = woken
        reading = asyncio.create_task(self._read(requests, stream, woken, ended))
        try:
            while not ended.is_set() and not self.is_over:
                await woken.wait()
                woken.clear()
                if self.snapshot is not None and not self.is_over:
                    for response in stream.due(self.snapshot):
                        yield response
        finally:
            reading.cancel()
            del self.streams[stream]

    async def _read(
        self,
        requests: AsyncIterator[discovery_pb2.DiscoveryRequest],
        stream: ClientStream,
        woken: asyncio.Event,
        ended: asyncio.Event,
    ) -> None:
        try:
            async for request in requests:
                before = stream.refusal
                stream.heard(request)
                if stream.refusal and stream.refusal != before:
                    _log.error("a client refuses the split", extra={"client": stream.node, "detail": stream.refusal})
                woken.set()
        finally:
            ended.set()
            woken.set()

    def end(self) -> None:
        """Lets every stream end by itself."""
        self.is_over = True
        for woken in self.streams.values():
            woken.set()

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for woken in self.streams.values():
            woken.set()


class XdsServer:
    """A running control plane.

    Args:
        address: HOST:PORT to listen at; port 0 takes a free one.

    Attributes:
        address: where it listens.

    Raises:
        XdsPortError: when the port cannot be had.
    """

    def __init__(self, address: str) -> None:
        self._servicer = _Servicer()
        self._published: Snapshot | None = None
        self.start_time_seconds = time.time()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        bound: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(address, bound),), name="covey-xds", daemon=True
        )
        self._thread.start()
        host = address.rpartition(":")[0]
        try:
            self.address = f"{host}:{bound.result(_START_SECONDS)}"
        except (RuntimeError, TimeoutError) as error:
            self._thread.join(_STOP_SECONDS)
            raise XdsPortError(f"cannot serve xDS at {address}: {error}") from error

    async def _serve(self, address: str, bound: Future[int]) -> None:
        # Two processes on one port would share its clients, and neither would know them all.
        server = grpc.aio.server(maximum_concurrent_rpcs=MOST_CLIENTS, options=[("grpc.so_reuseport", 0)])
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self._servicer, server)
        try:
            port = server.add_insecure_port(address)
            await server.start()
        except Exception as error:  # the library raises RuntimeError, and others on addresses that are none
            bound.set_exception(error)
            return
        bound.set_result(port)
        await self._stopping.wait()
        self._servicer.end()
        await server.stop(grace=_GRACE_SECONDS)

    def publish(self, snapshot: Snapshot) -> None:
        """Tells every client; returns before they have heard.

        Raises:
            StaleEpochError: a snapshot under a later epoch, or a later one under this, is out already.
        """
        before = self._published
        if before is not None and snapshot.setting < before.setting:
            raise StaleEpochError(f"it was set under epoch {before.setting.epoch}, this is {snapshot.setting.epoch}")
        self._published = snapshot
        self._loop.call_soon_threadsafe(self._servicer.publish, snapshot)

    @property
    def published(self) -> Snapshot | None:
        """The snapshot that is out."""
        return self._published

    def weight_taken(self) -> int:
        """The candidate's weight as clients apply it now, basis points; 0 before anything was published."""

        async def ask() -> int:
            snapshot = self._published
            return 0 if snapshot is None else weight_taken(list(self._servicer.streams), snapshot)

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(_STOP_SECONDS)

    def close(self) -> None:
        """Ends every stream; clients go on with the split that they have."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()
