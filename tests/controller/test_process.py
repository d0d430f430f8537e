"""`covey-controller` as a process: it starts without a server, says where its metrics are, and stops when told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import programs
import pytest
from waiting import wait_until


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "covey_controller.main", *arguments]


@pytest.fixture
def free_port() -> int:
    return programs.free_port()


@pytest.fixture
def controller(tmp_path: Path, free_port: int) -> Iterator[subprocess.Popen[str]]:
    """A controller whose server is away."""
    address = f"127.0.0.1:{free_port}"
    arguments = command("--control", address, "--replica", f"data={address},metrics=http://{address}/metrics")
    arguments += ["--metrics-listen", "127.0.0.1:0", "--ports-file", str(tmp_path / "ports")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert wait_until((tmp_path / "ports").exists, 20)
            yield process
        finally:
            process.kill()


def test_it_waits_for_its_server_and_stops_on_sigterm(controller: subprocess.Popen[str], tmp_path: Path) -> None:
    ports = json.loads((tmp_path / "ports").read_text())
    assert ports["pid"] == controller.pid
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['metrics']}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    assert "covey_controller_lease_epoch 0.0" in page
    assert "# TYPE covey_controller_probe_total counter" in page
    assert "# TYPE covey_controller_last_tick_timestamp_seconds gauge" in page
    assert controller.stderr is not None
    first = json.loads(controller.stderr.readline())
    assert "does not answer" in first["message"]
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(timeout=10) == 0


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        result = subprocess.run(
            command("--metrics-listen", address), capture_output=True, text=True, timeout=30, check=False
        )
    assert result.returncode == 1
    assert address in result.stderr
    assert "--metrics-listen" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_replica_is_wrong_usage() -> None:
    result = subprocess.run(command("--replica", "somewhere"), capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2
    assert "expected data=HOST:PORT,metrics=" in result.stderr
