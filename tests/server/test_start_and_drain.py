"""The server as a process: ready, reachable, refused with one clear line, drained."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from waiting import wait_until

import covey.v1
from covey.v1 import analyzer_pb2
from covey_server.ports.health import DATA_PORT_SERVICES

from .running import NATIVE, ServedHere, ServerProcess, question, server_command

Start = Callable[..., ServerProcess]


def test_both_ports_list_their_services_and_are_healthy(server: ServedHere) -> None:
    expected = {
        server.data_channel: set(DATA_PORT_SERVICES),
        server.control_channel: {"covey.v1.AccessService", "covey.v1.RolloutService"},
    }
    for channel, services in expected.items():
        listed = set(ProtoReflectionDescriptorDatabase(channel).get_services())
        assert services | {"grpc.health.v1.Health"} <= listed
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", *services):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_descriptor_set_ships_with_the_package() -> None:
    path = Path(covey.v1.__path__[0]) / "covey.binpb"
    files = FileDescriptorSet.FromString(path.read_bytes()).file
    services = {f"{file.package}.{service.name}" for file in files for service in file.service}
    assert services == {
        f"covey.v1.{name}Service"
        for name in (
            "Access",
            "Analyzer",
            "Churn",
            "Evolution",
            "Experiment",
            "Federation",
            "Intervention",
            "Outcome",
            "Retention",
            "Rollout",
            "Together",
            "Tuning",
        )
    }
    assert "google/rpc/status.proto" in {file.name for file in files}


def test_every_method_of_the_data_port_is_served(server: ServedHere) -> None:
    for method in analyzer_pb2.DESCRIPTOR.services_by_name["AnalyzerService"].methods:
        assert method.name in dir(server.analyzer)
    listed = server.analyzer.ListVariants(analyzer_pb2.ListVariantsRequest(), timeout=10)
    assert [variant.name for variant in listed.variants] == ["variants/native", "variants/reference"]


def test_a_process_serves_drains_and_starts_again(server_process: Start, tmp_path: Path) -> None:
    first = server_process("--replica", "one")
    info = first.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=10)
    assert info.replica == "one"
    first.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="kept", request_id="r"), timeout=10)
    assert first.terminate() == 0
    assert not (tmp_path / "ports0.json").exists()
    second = server_process()
    assert second.analyzer.GetDataset(analyzer_pb2.GetDatasetRequest(name="datasets/kept"), timeout=10).name
    assert second.terminate() == 0


def answered_through_a_stop(server: ServerProcess) -> list[int]:
    """How many learners each answer has of a call that was under way when the server was told to stop."""
    # Slow is what a rollout's candidate computes; a stream with many learners is long without one.
    message = analyzer_pb2.AnalyzeLearnersRequest(requests=[question(str(number)) for number in range(1000)])
    answers: list[analyzer_pb2.AnalyzeLearnersResponse] = []

    def ask() -> None:
        try:
            answers.extend(server.analyzer.AnalyzeLearners(iter([message]), timeout=60))
        except grpc.RpcError:
            answers.clear()

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: server.count(method="AnalyzeLearners") > 0)
    assert server.terminate() == 0
    asking.join(60)
    assert all(result.status.code == 0 for answer in answers for result in answer.results)
    return [len(answer.results) for answer in answers]


def test_a_drain_finishes_the_calls_in_flight(server_process: Start) -> None:
    slow = ("--enable-faults", "--fault", "latency=1s@1", "--call-deadline", "10", "--threads", "2")
    assert answered_through_a_stop(server_process(*slow)) == [1000]


def test_a_draining_server_says_so_before_it_goes(start_server: Callable[..., ServedHere]) -> None:
    server = start_server()
    statuses: list[int] = []
    watching = health_pb2_grpc.HealthStub(server.data_channel).Watch(health_pb2.HealthCheckRequest())
    statuses.append(next(watching).status)
    stopping = threading.Thread(target=server.room.stop)
    stopping.start()
    statuses.append(next(watching).status)
    stopping.join(30)
    assert statuses == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


def failed_start(*command: str, **environment: str) -> tuple[int, str]:
    """Exit status and last line of a server that does not start."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | environment, check=False
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("option", ["--listen", "--control-listen", "--metrics-listen"])
def test_a_port_in_use_is_one_clear_line(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, line = failed_start(*server_command(tmp_path / "data"), option, address)
    assert status == 1
    assert line == (
        f"covey-server: {option} {address}: the port is in use; stop what listens there, or choose another port "
        "(0 picks a free one)"
    )


def test_a_data_directory_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    status, line = failed_start(*server_command(tmp_path / "file"))
    assert status == 1
    assert line.startswith("covey-server: ")
    assert "--data-directory" in line


def test_a_data_directory_in_use_is_one_clear_line(server_process: Start, tmp_path: Path) -> None:
    server = server_process()
    status, line = failed_start(*server_command(tmp_path / "data"))
    assert status == 1
    assert "another live server" in line
    assert str(server.process.pid) in line


def test_an_instruction_set_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    status, line = failed_start(*server_command(tmp_path / "data"), COVEY_ISA="abacus")
    assert status == 1
    assert "COVEY_ISA" in line
    assert "abacus" in line


def test_a_ports_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    status, line = failed_start(*server_command(tmp_path / "data"), "--ports-file", str(tmp_path / "no" / "ports.json"))
    assert status == 1
    assert line.startswith("covey-server: --ports-file ")


def test_an_unknown_stable_variant_is_one_clear_line(tmp_path: Path) -> None:
    status, line = failed_start(*server_command(tmp_path / "data"), "--stable", "nobody")
    assert status == 1
    assert "variants/nobody" in line


def test_a_crashing_candidate_aborts_the_process(server_process: Start) -> None:
    server = server_process("--enable-faults", "--fault", "candidate-crashes")
    # Nothing is a candidate without a rollout: the fault stays away.
    for number in range(25):
        metadata = [("covey-probe-variant", NATIVE)]
        server.analyzer.AnalyzeLearner(question(str(number)), metadata=metadata, timeout=10)
    assert server.process.poll() is None


def test_the_server_imports_in_less_than_800_ms() -> None:
    """Of a processor, which others do not take from it; on a slow one in six times what it takes by itself to import
    what no server is without."""

    def import_seconds(modules: str) -> float:
        code = f"import time; start = time.process_time(); import {modules}; print(time.process_time() - start)"
        run = [sys.executable, "-c", code]
        return min(
            float(subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout) for _ in range(3)
        )

    assert import_seconds("covey_server.main") < max(0.8, 6 * import_seconds("grpc, numpy"))


def test_the_import_leaves_the_heavy_libraries_alone() -> None:
    code = "import json, sys, covey_server.main; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"sqlalchemy", "pyarrow", "scipy", "matplotlib", "rich", "pandas"}


def test_a_closed_port_is_refused_after_the_stop(start_server: Callable[..., ServedHere]) -> None:
    server = start_server()
    server.room.stop()
    with pytest.raises(grpc.RpcError) as refused:
        server.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
