"""Health and reflection, which every client and load balancer expects at a port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

DATA_PORT_SERVICES = (
    "covey.v1.AnalyzerService",
    "covey.v1.ChurnService",
    "covey.v1.FederationService",
    "covey.v1.EvolutionService",
    "covey.v1.ExperimentService",
    "covey.v1.InterventionService",
    "covey.v1.OutcomeService",
    "covey.v1.RetentionService",
    "covey.v1.TogetherService",
    "covey.v1.TuningService",
)


class Health:
    """Health v1 of the data port: NOT_SERVING until `serving`, and again from `draining` on."""

    def __init__(self, server: grpc.Server, services: Sequence[str] = DATA_PORT_SERVICES) -> None:
        self._servicer = _Servicer()
        self._services = ("", *services)
        self._set(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.is_serving = False
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def serving(self) -> None:
        """The server answers calls from now on."""
        self._set(health_pb2.HealthCheckResponse.SERVING)
        self.is_serving = True

    def draining(self) -> None:
        """The server is on its way out: load balancers send new calls elsewhere, and those who watch are told."""
        self.is_serving = False
        self._servicer.enter_graceful_shutdown()
        self._servicer.end_watches()

    def _set(self, status: int) -> None:
        for service in self._services:
            self._servicer.set(service, status)


class _Servicer(health.HealthServicer):
    """The library's, whose watches last for ever: here they end with the server, so that a drain need not wait."""

    def __init__(self) -> None:
        super().__init__()
        self._watches_lock = threading.Lock()
        self._watches: set[_Watch] = set()

    def Watch(self, request: Any, context: Any, send_response_callback: Any = None) -> Any:  # noqa: N802
        watch = _Watch(send_response_callback)
        with self._watches_lock:
            self._watches = {known for known in self._watches if not known.has_ended} | {watch}
        return super().Watch(request, context, watch)

    def end_watches(self) -> None:
        with self._watches_lock:
            watches = list(self._watches)
        for watch in watches:
            watch(None)


class _Watch:
    """Sends statuses until None ends it; the library may end it once more when the call is over."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self.has_ended = False

    def __call__(self, response: Any) -> None:
        with self._lock:
            if self.has_ended:
                return
            self.has_ended = response is None
        self._send(response)


def enable_reflection(server: grpc.Server, services: Sequence[str] = DATA_PORT_SERVICES) -> None:
    """Let clients such as grpcurl list and describe the services of this port."""
    names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
