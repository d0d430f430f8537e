"""Health and reflection, which every client and load balancer expects at a port."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

DATA_PORT_SERVICES = ("covey.v1.AnalyzerService", "covey.v1.OutcomeService")


class Health:
    """Health v1 of the data port: NOT_SERVING until `serving`, and again from `draining` on."""

    def __init__(self, server: grpc.Server, services: Sequence[str] = DATA_PORT_SERVICES) -> None:
        self._servicer = health.HealthServicer()
        self._services = ("", *services)
        self._set(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.is_serving = False
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def serving(self) -> None:
        """The server answers calls from now on."""
        self._set(health_pb2.HealthCheckResponse.SERVING)
        self.is_serving = True

    def draining(self) -> None:
        """The server is on its way out: load balancers send new calls elsewhere."""
        self.is_serving = False
        self._servicer.enter_graceful_shutdown()

    def _set(self, status: int) -> None:
        for service in self._services:
            self._servicer.set(service, status)


def enable_reflection(server: grpc.Server, services: Sequence[str] = DATA_PORT_SERVICES) -> None:
    """Let clients such as grpcurl list and describe the services of this port."""
    names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
