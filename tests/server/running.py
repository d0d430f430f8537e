"""Servers to test against, and questions to ask them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from covey.v1 import (
    analyzer_pb2,
    analyzer_pb2_grpc,
    events_pb2,
    experiments_pb2_grpc,
    outcomes_pb2_grpc,
    rollouts_pb2_grpc,
)
from covey_server.config import Address, ServerConfig
from covey_server.split import Split
from covey_server.wiring import AnalyzerServer, wall_clock

FREE = Address("127.0.0.1", 0)
REFERENCE = "variants/reference"
NATIVE = "variants/native"
DAY_US = 86_400_000_000


class Stubs:
    """Channels to the ports of a server."""

    def __init__(self, data_port: int, control_port: int, metrics_port: int) -> None:
        self.data_port = data_port
        self.control_port = control_port
        self.data_port = data_port
        self.control_port = control_port
        self.metrics_port = metrics_port
        self.data_channel = grpc.insecure_channel(f"127.0.0.1:{data_port}")
        self.control_channel = grpc.insecure_channel(f"127.0.0.1:{control_port}")
        self.analyzer = analyzer_pb2_grpc.AnalyzerServiceStub(self.data_channel)
        self.outcomes = outcomes_pb2_grpc.OutcomeServiceStub(self.data_channel)
        self.experiments = experiments_pb2_grpc.ExperimentServiceStub(self.data_channel)
        self.rollouts = rollouts_pb2_grpc.RolloutServiceStub(self.control_channel)

    def close(self) -> None:
        self.data_channel.close()
        self.control_channel.close()

    def page(self) -> str:
        """The metrics page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    def samples(self, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Samples of that name whose labels include `labels`, by their other labels."""
        found = {}
        for family in text_string_to_metric_families(self.page()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    found[tuple(sorted(sample.labels.items() - labels.items()))] = sample.value
        return found

    def count(self, name: str = "covey_requests_total", **labels: str) -> float:
        """Sum of those samples."""
        return sum(self.samples(name, **labels).values())


class ServedHere(Stubs):
    """A wired server in this process, with stubs."""

    def __init__(self, **changes: Any) -> None:
        # Hundreds of servers need not set aside megabytes each.
        own = {"listen": FREE, "control_listen": FREE, "metrics_listen": FREE, "ballast_kilobytes": 64}
        self.room = AnalyzerServer(ServerConfig(**(own | changes)), wall_clock)
        super().__init__(self.room.data_port, self.room.control_port, self.room.metrics_port)

    def split(self, weight_bp: int, **changes: Any) -> Split:
        """Put a split of the native over the reference variant on the board, in force at once."""
        fields: dict[str, Any] = {
            "rollout": "rollouts/test",
            "uid": "salt",
            "phase": "canary",
            "baseline": REFERENCE,
            "candidate": NATIVE,
            "candidate_weight_bp": weight_bp,
            "effective_at": datetime(2026, 1, 1, tzinfo=UTC),
            "shadow_share": 0.0,
            "limits_seconds": (0.2,),
            "outcome_window_seconds": 60.0,
        }
        split = Split(**(fields | changes))
        self.room.board.publish(split)
        return split

    def stop(self) -> None:
        self.close()
        self.room.stop()


class ServerProcess(Stubs):
    """A server as a process of its own, ready to be called."""

    def __init__(self, data_directory: Path, ports_file: Path, arguments: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*server_command(data_directory), "--ports-file", str(ports_file), *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: ports_file.exists() or self.process.poll() is not None, 30.0)
        assert ports_file.exists(), self.process.communicate()[1]
        ports = json.loads(ports_file.read_text())
        assert ports["pid"] == self.process.pid
        super().__init__(ports["data"], ports["control"], ports["metrics"])

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)


def server_command(data_directory: Path, listen: str = "127.0.0.1:0") -> list[str]:
    """The command line of a server on free ports."""
    ports = ["--listen", listen, "--control-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    return [sys.executable, "-m", "covey_server.main", "--data-directory", os.fspath(data_directory), *ports]


def history(seed: int = 0, event_count: int = 40, newest_us: int | None = None) -> events_pb2.PackedEvents:
    """Events of the last sixty days before `newest_us` (now by default)."""
    random = np.random.default_rng(seed)
    newest = int(time.time() * 1e6) if newest_us is None else newest_us
    domains, capabilities = [f"d{number}" for number in range(4)], [f"c{number}" for number in range(12)]
    return events_pb2.PackedEvents(
        event_count=event_count,
        time_us=(newest - random.integers(0, 60 * DAY_US, event_count)).astype("<i8").tobytes(),
        domain=events_pb2.DictionaryColumn(
            values=domains, indices_uint8=random.integers(0, 4, event_count).astype("u1").tobytes()
        ),
        capability=events_pb2.DictionaryColumn(
            values=capabilities, indices_uint16=random.integers(0, 12, event_count).astype("<u2").tobytes()
        ),
        kind=random.integers(0, 5, event_count).astype("u1").tobytes(),
        action_taken=random.integers(0, 2, event_count).astype("u1").tobytes(),
        weight_float32=random.random(event_count).astype("<f4").tobytes(),
    )


def question(learner_id: str, seed: int = 0, **changes: Any) -> analyzer_pb2.AnalyzeLearnerRequest:
    """A good question about a learner."""
    if not {"packed", "rows", "dataset"} & changes.keys():
        changes["packed"] = history(seed)
    return analyzer_pb2.AnalyzeLearnerRequest(learner_id=learner_id, **changes)
