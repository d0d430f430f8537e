"""The load generator against a real server, and against one that goes away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from covey.demo.stack import Stack
from covey.demo.supervisor import Supervisor
from covey.generate import GenerationPlan, write_parquet

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    write_parquet(GenerationPlan(learner_count=100, weeks=2), path)
    return path


def load(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "covey.demo.load", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert isinstance(summary, dict)
    return summary


def test_calls_are_sent_at_their_rate_and_all_answered(tmp_path: Path, events: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        stack = Stack(supervisor, tmp_path, restarts=0)
        stack.launch_server()
        ports = stack.await_server()
        summary = load(
            "--data", ports.data_address, "--events", str(events), "--rate", "100", "--seconds", "2",
            "--arrivals", "constant",
        )  # fmt: skip
    assert summary["codes"] == {"OK": 200}
    assert summary["sent"] == 200
    assert summary["not_sent"] == summary["in_flight"] == 0
    assert 1.9 < summary["seconds"] < 6
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["max"]


def test_a_server_that_restarts_costs_its_calls_and_no_more(tmp_path: Path, events: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        stack = Stack(supervisor, tmp_path, restarts=3)
        stack.launch_server()
        stack.await_server()
        child = stack.start_load(events, rate=100.0, seconds=600.0, learners=100)
        with stack.client("test") as client:
            assert stack.server is not None
            before = client.get_server_info().start_time.ToNanoseconds()
            assert stack.server.process is not None
            stack.server.process.kill()
            assert wait_until(lambda: bool(supervisor.check()))
            assert client.get_server_info().start_time.ToNanoseconds() > before
            variant = 'covey_requests_total{method="AnalyzeLearner",variant="variants/reference",code="OK"}'
            assert wait_until(lambda: counted(stack, variant) > 50)
        supervisor.stop(child)
        summary = stack.load_summary()
    codes = summary["codes"]
    assert isinstance(codes, dict)
    assert codes["OK"] > 50
    assert codes["UNAVAILABLE"] > 0
    assert set(codes) <= {"OK", "UNAVAILABLE", "CANCELLED"}


def counted(stack: Stack, series: str) -> float:
    """A series of the metrics page; labels in any order."""
    import urllib.request

    from prometheus_client.parser import text_string_to_metric_families

    assert stack.ports is not None
    with urllib.request.urlopen(stack.ports.metrics_url, timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    wanted = next(iter(next(iter(text_string_to_metric_families(f"{series} 0\n"))).samples))
    for family in families:
        for sample in family.samples:
            if sample.name == wanted.name and sample.labels == wanted.labels:
                return float(sample.value)
    return 0.0


def test_impossible_settings_are_refused(events: Path) -> None:
    command = [sys.executable, "-m", "covey.demo.load", "--data", "127.0.0.1:1", "--events", str(events), "--rate", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "--rate" in result.stderr
