"""docs/clients.md against a real server: its Python runs as it stands, and the Go client does what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covey.demo.stack import Ports, Stack
from covey.demo.supervisor import Supervisor

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "clients.md").read_text(encoding="utf-8")
PLAN = PROJECT / "examples" / "demo-plan.yaml"


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    directory = tmp_path_factory.mktemp("server")
    with Supervisor(directory) as supervisor:
        stack = Stack(supervisor, directory, restarts=0)
        stack.launch_server()
        yield stack.await_server()


@pytest.fixture(scope="module")
def rollout(ports: Ports) -> str:
    """A rollout that was created and started, waiting for approval."""
    from covey.client import Client
    from covey.rollout.spec import load_spec

    with Client(control=ports.control_address, data=ports.data_address, actor="ada") as client:
        client.create_rollout("autumn", load_spec(PLAN.read_text(encoding="utf-8"), str(PLAN)))
        client.start_rollout("autumn")
    return "autumn"


def test_the_python_of_the_page_runs(ports: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    names: dict[str, Any] = {"data_address": ports.data_address, "control_address": ports.control_address}
    for block in blocks:
        exec(block, names)
    out = capsys.readouterr().out
    assert "variants/reference" in out
    assert "NOT_FOUND" in out, "there is no rollout of that name, and the failure says so"


@pytest.fixture(scope="module")
def go_client() -> str:
    """The program that `examples/go-client/generate.py` builds; CI builds it where Go is."""
    given = os.environ.get("COVEY_GO_CLIENT") or shutil.which("covey-go", path=str(PROJECT / ".cache" / "bin"))
    if given is None:
        pytest.skip("no Go client; build it with `python examples/go-client/generate.py`")
    return given


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_go_asks_and_reports(go_client: str, ports: Ports, tmp_path: Path) -> None:
    data = ("-data", ports.data_address)
    info = json.loads(run(go_client, *data, "info").stdout)
    assert info["stable_variant"] == "variants/reference"
    history = tmp_path / "history.csv"
    history.write_text("2026-01-05T09:00:00Z,maths,sums\n2026-01-06T09:00:00Z,maths,sums\n")
    answer = json.loads(run(go_client, *data, "analyze", "ada", str(history)).stdout)
    assert (answer["learner_id"], answer["variant"]) == ("ada", "variants/reference")
    assert int(answer["traits"]["event_count"]) == 2
    stored = json.loads(run(go_client, *data, "outcome", "", "ada", "engagement", "1.5").stdout)
    assert stored["stored_count"] == 1


def test_go_watches_and_aborts(go_client: str, ports: Ports, rollout: str) -> None:
    control = ("-control", ports.control_address, "-as", "grace")
    seen = json.loads(run(go_client, *control, "status", rollout).stdout)
    assert seen["name"] == f"rollouts/{rollout}"
    aborted = json.loads(run(go_client, *control, "abort", rollout, "tried from Go").stdout)
    assert aborted["state"] == "STATE_ABORTED"
    watched = run(go_client, *control, "watch", rollout)
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.startswith("ABORTED ")


def test_go_says_what_to_do(go_client: str, ports: Ports, tmp_path: Path) -> None:
    absent = run(go_client, "-control", ports.control_address, "abort", "nothing-like-it", "why")
    assert absent.returncode == 1
    assert "NotFound" in absent.stderr
    refused = run(go_client, "-data", ports.data_address, "outcome", "", "", "engagement", "1")
    assert refused.returncode == 1
    assert "InvalidArgument" in refused.stderr and "learner_id" in refused.stderr
    history = tmp_path / "history.csv"
    history.write_text("2026-01-05T09:00:00Z,maths\n")
    assert "line 1: expected TIME,DOMAIN,CAPABILITY" in run(go_client, "analyze", "ada", str(history)).stderr
    assert run(go_client, "analyze").returncode == 2
    silent = run(go_client, "-data", "127.0.0.1:1", "-timeout", "1s", "info")
    assert silent.returncode == 1
    assert "what to do: start one with `covey serve`" in silent.stderr
