"""A foreign gRPC service in this process: an echo with a metrics page, which remembers who called it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

METHOD = "/echo.Echo/Say"
HEADER = "x-covey-learner"
NOBODY = ""


class Echo:
    """Serves until closed.

    Attributes:
        learners: who called, by the header; NOBODY without one.
        fails: whether every call fails with INTERNAL.
    """

    def __init__(self, port: int = 0) -> None:
        self.learners: list[str] = []
        self.fails = False
        registry = CollectorRegistry()
        self._handled = Counter("grpc_server_handled", "Calls by code.", ["grpc_code"], registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "Time.", buckets=(0.05, 0.1, 0.25, 0.5, 1.0), registry=registry
        )
        Gauge("process_start_time_seconds", "Start.", registry=registry).set(time.time())
        self._http, self._http_thread = start_http_server(0, "127.0.0.1", registry=registry)
        self.metrics_url = f"http://127.0.0.1:{self._http.server_address[1]}/metrics"
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4)
        self._server = grpc.server(self._pool)
        handler = grpc.unary_unary_rpc_method_handler(self._say)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"Say": handler}),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        self._server.start()

    def _say(self, request: bytes, context: Any) -> bytes:
        began = time.perf_counter()
        learner = str(dict(context.invocation_metadata()).get(HEADER, NOBODY))
        with self._lock:
            self.learners.append(learner)
        code = "INTERNAL" if self.fails else "OK"
        self._seconds.observe(time.perf_counter() - began)
        self._handled.labels(code).inc()
        if self.fails:
            context.abort(grpc.StatusCode.INTERNAL, "it fails on purpose")
        return request

    def close(self) -> None:
        self._server.stop(None).wait()
        self._pool.shutdown(wait=True)
        self._http.shutdown()
        self._http.server_close()
        self._http_thread.join(timeout=5)


@contextmanager
def two_echos() -> Iterator[tuple[Echo, Echo]]:
    """Baseline and candidate."""
    baseline, candidate = Echo(), Echo()
    try:
        yield baseline, candidate
    finally:
        baseline.close()
        candidate.close()


def say(channel: grpc.Channel, learners: Iterable[str]) -> list[grpc.StatusCode]:
    """One call per learner, many under way at once; NOBODY sends no header. Their codes, in order."""
    call = channel.unary_unary(METHOD)
    futures = [
        call.future(b"hello", timeout=60, metadata=((HEADER, learner),) if learner else ()) for learner in learners
    ]
    return [future.code() for future in futures]
