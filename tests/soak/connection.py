"""Channels to a server whose every call is counted by method and code."""

from __future__ import annotations

import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from covey.v1 import (
    access_pb2_grpc,
    analyzer_pb2_grpc,
    churn_pb2_grpc,
    evolution_pb2_grpc,
    experiments_pb2_grpc,
    federation_pb2_grpc,
    interventions_pb2_grpc,
    outcomes_pb2_grpc,
    retention_pb2_grpc,
    rollouts_pb2_grpc,
    together_pb2_grpc,
    tuning_pb2_grpc,
)


class Counted(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Counts how calls end, safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes: dict[str, Counter[str]] = defaultdict(Counter)

    def codes(self) -> dict[str, dict[str, int]]:
        """Calls by method and code."""
        with self._lock:
            return {method: dict(sorted(codes.items())) for method, codes in sorted(self._codes.items())}

    def _counted(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        method = details.method.rpartition("/")[2]

        def end(call: Any) -> None:
            with self._lock:
                self._codes[method][call.code().name] += 1

        call = continuation(details, request)
        call.add_done_callback(end)
        return call

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _counted


class Server:
    """The ports of a server under load.

    Args:
        data: address of the data port.
        control: address of the control port.
        metrics: URL of the metrics page.
    """

    def __init__(self, data: str, control: str, metrics: str) -> None:
        self.counted = Counted()
        self._data, self._metrics = data, metrics
        self._channels = [self._channel(data), self._channel(control)]
        data_channel, control_channel = self._channels
        self.analyzer = analyzer_pb2_grpc.AnalyzerServiceStub(data_channel)
        self.outcomes = outcomes_pb2_grpc.OutcomeServiceStub(data_channel)
        self.churn = churn_pb2_grpc.ChurnServiceStub(data_channel)
        self.evolution = evolution_pb2_grpc.EvolutionServiceStub(data_channel)
        self.experiments = experiments_pb2_grpc.ExperimentServiceStub(data_channel)
        self.federation = federation_pb2_grpc.FederationServiceStub(data_channel)
        self.interventions = interventions_pb2_grpc.InterventionServiceStub(data_channel)
        self.retention = retention_pb2_grpc.RetentionServiceStub(data_channel)
        self.together = together_pb2_grpc.TogetherServiceStub(data_channel)
        self.tuning = tuning_pb2_grpc.TuningServiceStub(data_channel)
        self.health = health_pb2_grpc.HealthStub(data_channel)
        self.access = access_pb2_grpc.AccessServiceStub(control_channel)
        self.rollouts = rollouts_pb2_grpc.RolloutServiceStub(control_channel)
        self.raw = data_channel.unary_unary("/covey.v1.AnalyzerService/AnalyzeLearner")
        self.unknown = data_channel.unary_unary("/covey.v1.AnalyzerService/NoSuchMethod")

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def another(self) -> grpc.Channel:
        """A connection of its own to the data port, for the caller to close."""
        return self._channel(self._data, own=True)

    def page(self) -> str:
        """The metrics page."""
        with urllib.request.urlopen(self._metrics, timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def _channel(self, address: str, *, own: bool = False) -> grpc.Channel:
        options = [("grpc.use_local_subchannel_pool", int(own)), ("grpc.max_send_message_length", -1)]
        return grpc.intercept_channel(grpc.insecure_channel(address, options), self.counted)
