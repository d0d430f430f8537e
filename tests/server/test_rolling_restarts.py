"""Restarts under load: after the client's own retries no call has failed, and none has happened twice.

Two restarts here; COVEY_FAULTS_RESTARTS=20 for the figure of docs/access.md.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from findings import Finding
from waiting import wait_until

from covey.client import CallFailed, Client, Retry
from covey.v1.analyzer_pb2 import AnalyzeLearnerResponse

from .running import ServerProcess, history, question

RESTARTS = int(os.environ.get("COVEY_FAULTS_RESTARTS") or "2")
PATIENCE_SECONDS = 60.0
Start = Callable[..., ServerProcess]


class Load:
    """Four callers that ask about learners and one that makes datasets, each call with the client's retries."""

    def __init__(
        self,
        server: ServerProcess,
        retry: Retry,
        timeout_seconds: float = PATIENCE_SECONDS,
        *,
        make_datasets: bool = True,
    ) -> None:
        self.failures: list[str] = []
        self.answered_count = 0
        self.made: list[str] = []
        self.attempts_failed = 0
        self._retry = replace(retry, sleep=self._sleep)
        self._timeout_seconds = timeout_seconds
        self._ports = {
            "control": f"127.0.0.1:{server.control_port}",
            "data": f"127.0.0.1:{server.data_port}",
        }
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        works = [self._ask] * 4 + [self._make] * make_datasets
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_SECONDS)

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            self.attempts_failed += 1
        time.sleep(seconds)

    def _run(self, work: Callable[[Client, int], object]) -> None:
        with Client(**self._ports, timeout_seconds=self._timeout_seconds, retry=self._retry) as client:
            for number in itertools.count():
                if self._stopping.is_set():
                    return
                try:
                    work(client, number)
                except CallFailed as failure:
                    with self._lock:
                        self.failures.append(str(failure))

    def _ask(self, client: Client, number: int) -> None:
        answer: AnalyzeLearnerResponse = client.analyze_learner(question(f"learner-{number}", packed=history(0, 3)))
        with self._lock:
            self.answered_count += bool(answer.variant)

    def _make(self, client: Client, number: int) -> None:
        client.create_dataset(f"made-{number}")
        self.made.append(f"datasets/made-{number}")


def restarted(server: ServerProcess, start: Start) -> ServerProcess:
    """The next server on the same ports and directory, once the one before has drained."""
    assert server.terminate() == 0
    listen = [
        ("--listen", server.data_port),
        ("--control-listen", server.control_port),
        ("--metrics-listen", server.metrics_port),
    ]
    return start(*itertools.chain.from_iterable((option, f"127.0.0.1:{port}") for option, port in listen))


def test_no_call_fails_and_none_happens_twice(server_process: Start, finding: Finding) -> None:
    server = server_process()
    load = Load(server, Retry())
    try:
        for _ in range(RESTARTS):
            before = load.answered_count
            wait_until(lambda before=before: load.answered_count > before + 20, 60.0)  # type: ignore[misc]
            server = restarted(server, server_process)
        before = load.answered_count
        wait_until(lambda: load.answered_count > before + 20, 60.0)
    finally:
        load.stop()
    finding(f"{RESTARTS} restarts: {load.answered_count} answers, {load.attempts_failed} attempts failed")
    assert load.failures == []
    # Otherwise no call met a restart, and nothing was shown.
    assert load.attempts_failed > 0
    with Client(data=f"127.0.0.1:{server.data_port}", control="127.0.0.1:1") as client:
        assert sorted(dataset.name for dataset in client.list_datasets()) == sorted(load.made)


def test_without_retries_calls_fail(server_process: Start) -> None:
    """The twin: callers that give up at the first failure."""
    server = server_process()
    load = Load(server, Retry(first_delay_seconds=1e6, longest_delay_seconds=1e6))
    try:
        wait_until(lambda: load.answered_count > 20, 60.0)
        server = restarted(server, server_process)
        wait_until(lambda: bool(load.failures), 60.0)
    finally:
        load.stop()
    assert load.failures
