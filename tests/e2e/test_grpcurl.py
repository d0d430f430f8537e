"""A generic gRPC client lists, describes and calls every service by reflection, with no proto file at hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse

from covey.demo.stack import Ports, Stack
from covey.demo.supervisor import Supervisor
from covey.v1 import (
    analyzer_pb2,
    analyzer_pb2_grpc,
    datasets_pb2,
    events_pb2,
    evolution_pb2,
    outcomes_pb2,
    retention_pb2,
    rollouts_pb2,
)

pytestmark = pytest.mark.e2e

DATA_SERVICES = {
    "covey.v1.AnalyzerService",
    "covey.v1.OutcomeService",
    "covey.v1.ExperimentService",
    "covey.v1.EvolutionService",
    "covey.v1.RetentionService",
    "covey.v1.TogetherService",
    "covey.v1.ChurnService",
    "covey.v1.InterventionService",
    "covey.v1.TuningService",
    "covey.v1.FederationService",
    "grpc.health.v1.Health",
}
CONTROL_SERVICES = {"covey.v1.AccessService", "covey.v1.RolloutService", "grpc.health.v1.Health"}


class Grpcurl:
    """The real thing."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"grpcurl ({self.path})"

    def services(self, address: str) -> set[str]:
        return set(run(self.path, "-plaintext", address, "list").split())

    def methods(self, address: str, service: str) -> set[str]:
        text = run(self.path, "-plaintext", address, "describe", service)
        assert f"service {service.rpartition('.')[2]} {{" in text
        return {line.split()[1] for line in text.splitlines() if line.strip().startswith("rpc ")}

    def call(self, address: str, method: str, request: dict[str, Any]) -> str:
        return run(self.path, "-plaintext", "-d", json.dumps(request), address, method)


class BufCurl:
    """The same from the PyPI package buf-bin."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"buf curl ({self.path})"

    def _run(self, address: str, *arguments: str, method: str = "") -> str:
        url = f"http://{address}/{method}".rstrip("/")
        return run(self.path, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments, url)

    def services(self, address: str) -> set[str]:
        return set(self._run(address, "--list-services").split())

    def methods(self, address: str, service: str) -> set[str]:
        listed = self._run(address, "--list-methods").split()
        return {name.rpartition("/")[2] for name in listed if name.startswith(f"{service}/")}

    def call(self, address: str, method: str, request: dict[str, Any]) -> str:
        return self._run(address, "--data", json.dumps(request), method=method)


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def tool() -> Grpcurl | BufCurl:
    given = os.environ.get("COVEY_GRPCURL") or shutil.which("grpcurl")
    if given:
        return Grpcurl(given)
    return BufCurl(str(Path(sysconfig.get_path("scripts")) / "buf"))


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    directory = tmp_path_factory.mktemp("server")
    with Supervisor(directory) as supervisor:
        stack = Stack(supervisor, directory, restarts=0)
        stack.launch_server()
        yield stack.await_server()


def test_every_service_is_listed_described_and_called(
    tool: Grpcurl | BufCurl, ports: Ports, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n  called by {tool} ", end="")
    assert tool.services(ports.data_address) >= DATA_SERVICES
    assert tool.services(ports.control_address) >= CONTROL_SERVICES
    assert {"AnalyzeLearner", "AnalyzeLearners", "AppendEvents", "DiscoverCohorts", "GetServerInfo"} <= tool.methods(
        ports.data_address, "covey.v1.AnalyzerService"
    )
    assert tool.methods(ports.data_address, "covey.v1.OutcomeService") == {"ReportOutcomes"}
    assert tool.methods(ports.data_address, "covey.v1.RetentionService") == {"GetRetention"}
    assert tool.methods(ports.data_address, "covey.v1.EvolutionService") == {"GetEvolution"}
    assert tool.methods(ports.data_address, "covey.v1.TogetherService") == {"FindSimilarLearners", "FormGroups"}
    assert tool.methods(ports.data_address, "covey.v1.TuningService") == {"TuneAnalyzer"}
    assert {"AbortRollout", "GetRollout", "ListEntries", "CommitDecision", "WatchRollout"} <= tool.methods(
        ports.control_address, "covey.v1.RolloutService"
    )

    analyzer = "covey.v1.AnalyzerService"
    info = Parse(tool.call(ports.data_address, f"{analyzer}/GetServerInfo", {}), analyzer_pb2.GetServerInfoResponse())
    assert info.stable_variant == "variants/reference"
    assert info.replica == "demo"
    history = {"rows": [{"time": "2026-01-05T09:00:00Z", "domain": "maths", "capability": "sums"}]}
    request = {"learnerId": "ada", "rows": history, "asOf": "2026-01-06T00:00:00Z"}
    text = tool.call(ports.data_address, f"{analyzer}/AnalyzeLearner", request)
    answer = Parse(text, analyzer_pb2.AnalyzeLearnerResponse())
    assert answer.learner_id == "ada"
    assert answer.variant == "variants/reference"
    assert answer.traits.event_count == 1
    outcome = {"learnerId": "ada", "metric": "engagement", "value": 1.0, "time": "2026-01-06T00:00:00Z"}
    request = {"outcomes": [outcome], "requestId": "9c5b94b1-35ad-49bb-b118-8e8fc24abf80"}
    text = tool.call(ports.data_address, "covey.v1.OutcomeService/ReportOutcomes", request)
    assert Parse(text, outcomes_pb2.ReportOutcomesResponse()).stored_count == 1
    text = tool.call(ports.control_address, "covey.v1.RolloutService/ListRollouts", {})
    assert not Parse(text, rollouts_pb2.ListRolloutsResponse()).rollouts
    for address in (ports.data_address, ports.control_address):
        assert json.loads(tool.call(address, "grpc.health.v1.Health/Check", {})) == {"status": "SERVING"}


def test_studies_of_a_dataset_are_called(tool: Grpcurl | BufCurl, ports: Ports) -> None:
    """Three learners, by hand: one comes back on day 1, one on day 2, one never; the third day has ended."""
    analyzer = "covey.v1.AnalyzerService"
    tool.call(ports.data_address, f"{analyzer}/CreateDataset", {"datasetId": "few", "requestId": "few"})
    rows = events_pb2.EventRows()
    for learner, day in (("ada", 1), ("ada", 2), ("ben", 1), ("ben", 3), ("cleo", 1), ("dan", 4)):
        row = rows.rows.add(learner_id=learner, domain="maths", capability="sums")
        row.time.FromJsonString(f"2026-01-0{day}T00:00:00Z")
    request = datasets_pb2.AppendEventsRequest
    chunks = [request(dataset="datasets/few", append_id="a"), request(chunk_sequence=1, rows=rows)]
    with grpc.insecure_channel(ports.data_address) as channel:
        list(analyzer_pb2_grpc.AnalyzerServiceStub(channel).AppendEvents(iter(chunks), timeout=30))
    asked = {"dataset": "datasets/few", "grouping": "GROUPING_NONE", "intervals": [{"firstDay": 1, "lastDay": 1}]}
    text = tool.call(ports.data_address, "covey.v1.RetentionService/GetRetention", asked)
    cell = Parse(text, retention_pb2.GetRetentionResponse()).total.cells[0]
    assert (cell.eligible_count, cell.retained_count) == (3, 1)
    asked = {"dataset": "datasets/few", "everyDays": 1, "cohortCount": 1}
    text = tool.call(ports.data_address, "covey.v1.EvolutionService/GetEvolution", asked)
    assert len(Parse(text, evolution_pb2.GetEvolutionResponse()).snapshots) == 4
