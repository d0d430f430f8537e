"""The data port: AnalyzerService, OutcomeService, ExperimentService and studies on threads; health and reflection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import grpc

from covey.v1 import (
    analyzer_pb2_grpc,
    churn_pb2_grpc,
    evolution_pb2_grpc,
    experiments_pb2_grpc,
    federation_pb2_grpc,
    interventions_pb2_grpc,
    outcomes_pb2_grpc,
    retention_pb2_grpc,
    together_pb2_grpc,
    tuning_pb2_grpc,
)
from covey_server.access.limits import RateLimits
from covey_server.answering.admission import Arrival, StreamPlaces, WorkerPool
from covey_server.answering.budget import MemoryBudget
from covey_server.answering.histories import INLINE_HISTORY_BYTE_LIMIT
from covey_server.answering.online import read_question, read_questions, written
from covey_server.metrics.counters import METHODS, NO_VARIANT, RequestBook
from covey_server.ports.addresses import ageing, bind
from covey_server.ports.health import Health, enable_reflection
from covey_server.ports.interceptors import CallInterceptor, Codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from covey_server.access.gate import Gate
    from covey_server.config import ServerConfig

_SERVICE = "/covey.v1.AnalyzerService/"
_COUNTED = {f"{_SERVICE}{method}": method for method in METHODS}
# A little more than a history may have: what is just too large still gets an answer that says what to do instead.
MESSAGE_BYTE_LIMIT = INLINE_HISTORY_BYTE_LIMIT + (64 << 10)
# Beyond this the transport itself refuses; far above the queue, which refuses with an explanation.
_MOST_CONCURRENT_CALLS = 4096
_LEAST_PENDING_CALLS = 256
_KEEPALIVE = (
    # A caller whose machine is gone is noticed within a minute; callers may ping as often as every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class DataPort:
    """Holds its address from the start, serves from `serve` until `stop`.

    Args:
        config: address and threads.
        book: counts calls that never reach their method.
        pool: the threads that serve calls.
        gate: who may call what.
        credentials: for TLS; None: plaintext.
        only_variant: the one that answers everybody now; `NO_VARIANT` where it depends on the learner.

    Raises:
        StartError: the address cannot be used.
    """

    def __init__(
        self,
        config: ServerConfig,
        book: RequestBook,
        pool: WorkerPool,
        gate: Gate,
        credentials: grpc.ServerCredentials | None,
        only_variant: Callable[[], str],
    ) -> None:
        self._pool = pool
        self.budget = MemoryBudget(config.memory_megabytes << 20)
        self._interceptor = CallInterceptor(
            gate,
            RateLimits(config.calls_per_second or None),
            self.budget,
            StreamPlaces(max(1, config.threads // 2)),
            frozenset(_COUNTED),
            lambda arrival: count_unserved(book, arrival, only_variant()),
            pool.turn,
            {
                f"{_SERVICE}AnalyzeLearner": Codec(read_question, written),
                f"{_SERVICE}AnalyzeLearners": Codec(read_questions, written),
                f"{_SERVICE}AppendEvents": Codec(None, written),
            },
        )
        self._server = grpc.server(
            self._pool,  # type: ignore[arg-type] # has what the server uses of an executor
            interceptors=[self._interceptor],
            options=(
                # A port in use is an error, not a second server on it, where nobody said that it is shared.
                ("grpc.so_reuseport", int(config.shared_listen is not None)),
                *ageing(config.connection_age_seconds),
                ("grpc.max_receive_message_length", MESSAGE_BYTE_LIMIT),
                ("grpc.max_send_message_length", MESSAGE_BYTE_LIMIT),
                *_pending_limits(config.queue_limit),
                *_KEEPALIVE,
            ),
            maximum_concurrent_rpcs=_MOST_CONCURRENT_CALLS,
        )
        self.health = Health(self._server)
        enable_reflection(self._server)
        self.port = bind(self._server, config.listen, "--listen", credentials)
        self._shared_address, self._credentials = config.shared_listen, credentials

    def serve(
        self,
        analyzer: analyzer_pb2_grpc.AnalyzerServiceServicer,
        outcomes: outcomes_pb2_grpc.OutcomeServiceServicer,
        experiments: experiments_pb2_grpc.ExperimentServiceServicer,
        retention: retention_pb2_grpc.RetentionServiceServicer,
        evolution: evolution_pb2_grpc.EvolutionServiceServicer,
        together: together_pb2_grpc.TogetherServiceServicer,
        churn: churn_pb2_grpc.ChurnServiceServicer,
        tuning: tuning_pb2_grpc.TuningServiceServicer,
        interventions: interventions_pb2_grpc.InterventionServiceServicer,
        federation: federation_pb2_grpc.FederationServiceServicer,
    ) -> None:
        """Answer calls from now on.

        Raises:
            StartError: the shared address cannot be used.
        """
        analyzer_pb2_grpc.add_AnalyzerServiceServicer_to_server(analyzer, self._server)
        outcomes_pb2_grpc.add_OutcomeServiceServicer_to_server(outcomes, self._server)
        experiments_pb2_grpc.add_ExperimentServiceServicer_to_server(experiments, self._server)
        retention_pb2_grpc.add_RetentionServiceServicer_to_server(retention, self._server)
        evolution_pb2_grpc.add_EvolutionServiceServicer_to_server(evolution, self._server)
        together_pb2_grpc.add_TogetherServiceServicer_to_server(together, self._server)
        churn_pb2_grpc.add_ChurnServiceServicer_to_server(churn, self._server)
        tuning_pb2_grpc.add_TuningServiceServicer_to_server(tuning, self._server)
        interventions_pb2_grpc.add_InterventionServiceServicer_to_server(interventions, self._server)
        federation_pb2_grpc.add_FederationServiceServicer_to_server(federation, self._server)
        if self._shared_address is not None:
            # Not before there is somebody to answer: whoever connects from here on may be given to this server.
            bind(self._server, self._shared_address, "--shared-listen", self._credentials, is_shared=True)
        self._server.start()

    def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let those in flight finish within the grace, end the rest."""
        stopped: threading.Event = self._server.stop(grace_seconds)
        stopped.wait(grace_seconds + 5.0)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._interceptor.shutdown()


def worker_pool(config: ServerConfig, book: RequestBook) -> WorkerPool:
    """The threads of the data port."""
    return WorkerPool(
        config.threads,
        config.queue_limit,
        lambda arrival, late: count_unserved(book, arrival, NO_VARIANT, was_late=late),
    )


def count_unserved(book: RequestBook, arrival: Arrival, variant: str, *, was_late: bool = True) -> None:
    """Count a call that ended before its learner was read: shed, unless its caller simply went away."""
    method = _COUNTED.get(arrival.method)
    if method is not None:
        code = "RESOURCE_EXHAUSTED" if was_late else "CANCELLED"
        book.count(method, variant, code, time.monotonic() - arrival.submitted)


def _pending_limits(queue_limit: int) -> tuple[tuple[str, int], ...]:
    """How many calls the transport keeps before this process looks at them: beyond it refuses them itself.

    To say no costs the interpreter something, too, and calls that wait in the transport for that grow old before they
    are answered. In a storm the transport ends them at once, as CANCELLED and without an explanation: some from the
    first limit on, all from the second. Crowds that the queue can take, or this process refuse, are far below.
    """
    fewest = max(_LEAST_PENDING_CALLS, 4 * queue_limit)
    return ("grpc.server.max_pending_requests", fewest), ("grpc.server.max_pending_requests_hard_limit", 2 * fewest)
