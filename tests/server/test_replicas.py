"""Several processes behind one address: who answers, what is started again, what ends with what."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from waiting import PATIENCE_SECONDS, happens, wait_until

from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, rollouts_pb2, rollouts_pb2_grpc
from covey_server.config import Address, ServerConfig, parse
from covey_server.failures import StartError
from covey_server.ports.addresses import check_free
from covey_server.replicas.told import replicas_of

from .postgres import Cluster
from .test_rolling_restarts import Load, Retry

COUNT = 2
# One after the other, on a machine that is busy with other tests.
START_SECONDS = 3 * PATIENCE_SECONDS


class Replicas:
    """`covey-server --replicas 2` on free ports."""

    def __init__(self, directory: Path, store_url: str) -> None:
        self._ports_file = directory / "ports.json"
        free = [word for option in ("", "control-", "metrics-") for word in (f"--{option}listen", "127.0.0.1:0")]
        command = [sys.executable, "-m", "covey_server.main", "--data-directory", str(directory / "data"), *free]
        options = ["--replicas", str(COUNT), "--store-url", store_url, "--ports-file", str(self._ports_file)]
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*command, *options], stderr=log)
        wait_until(
            lambda: self._ports_file.exists() or self.process.poll() is not None, START_SECONDS, self.log.read_text
        )
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        ports = self.ports()
        assert ports["pid"] == self.process.pid
        # As those of a server that is restarted have them.
        self.data_port, self.control_port = ports["data"], ports["control"]

    def ports(self) -> dict[str, Any]:
        ports: dict[str, Any] = json.loads(self._ports_file.read_text())
        return ports

    def pids(self) -> list[int]:
        return [replica.get("pid", 0) for replica in self.ports()["replicas"]]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_SECONDS) is not None


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path) -> Iterator[Replicas]:
    started = Replicas(tmp_path, cluster.database())
    yield started
    started.kill()


def asked(port: int) -> analyzer_pb2.GetServerInfoResponse:
    """What a new connection to a data port is told."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        stub = analyzer_pb2_grpc.AnalyzerServiceStub(channel)
        return stub.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=PATIENCE_SECONDS, wait_for_ready=True)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def answering(replicas: Replicas) -> set[str]:
    """Who answers at the shared address, once as many do as there should be."""
    found: set[str] = set()

    def all_do() -> bool:
        # The kernel deals connections by a hash of their ports: 2 ** -60 that one of two gets none of sixty.
        found.add(asked(replicas.data_port).replica)
        return len(found) >= COUNT

    wait_until(all_do)
    return found


def test_one_address_many_processes(replicas: Replicas) -> None:
    """One set for all of it: who answers, who is started again, one after the other, and the end."""
    own = {asked(ports["data"]).replica for ports in replicas.ports()["replicas"]}
    assert answering(replicas) == own
    assert len(own) == COUNT
    with grpc.insecure_channel(f"127.0.0.1:{replicas.control_port}") as channel:
        rollouts = rollouts_pb2_grpc.RolloutServiceStub(channel)
        assert not rollouts.ListRollouts(rollouts_pb2.ListRolloutsRequest(), timeout=PATIENCE_SECONDS).rollouts
    # Nobody else gets in between by mistake: the address is taken for whoever did not say that it is shared.
    with pytest.raises(StartError, match="in use"):
        check_free(Address("127.0.0.1", replicas.data_port), "--listen")
    _one_after_the_other(replicas)
    _one_dies(replicas)
    pids = children_of(replicas.process.pid)
    replicas.process.send_signal(signal.SIGTERM)
    assert replicas.process.wait(PATIENCE_SECONDS) == 0, replicas.log.read_text()
    assert len(pids) == COUNT
    assert not any(map(is_alive, pids))


def _one_after_the_other(replicas: Replicas) -> None:
    before = replicas.pids()
    load = Load(replicas, Retry(), make_datasets=False)  # type: ignore[arg-type]
    try:
        wait_until(lambda: load.answered_count > 20)
        replicas.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not set(before) & set(replicas.pids()) and all(replicas.pids()), START_SECONDS)
        answered = load.answered_count
        wait_until(lambda: load.answered_count > answered + 20)
    finally:
        load.stop()
    print(f"{load.answered_count} answers, {load.attempts_failed} attempts failed")
    assert load.failures == []


def _one_dies(replicas: Replicas) -> None:
    first, second = replicas.ports()["replicas"]
    os.kill(first["pid"], signal.SIGKILL)
    assert asked(second["data"]).replica
    wait_until(lambda: not is_alive(first["pid"]) and len(children_of(replicas.process.pid)) == COUNT)
    answering(replicas)


CHILD = (
    "from covey_server.replicas.parent import end_with_parent; end_with_parent(); print('here', flush=True); input()"
)
PARENT = f"""
import os, subprocess, sys
own = {{"COVEY_REPLICA_PARENT": str(os.getpid())}}
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=os.environ | own)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_a_replica_ends_with_who_looks_after_it(is_told: bool) -> None:
    """And the twin: one that does not know whose it is stays."""
    program = PARENT if is_told else PARENT.replace("COVEY_REPLICA_PARENT", "COVEY_NOTHING")
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        said = {process.stdout.readline().strip(), process.stdout.readline().strip()}
        child = int(min(said))  # digits come before letters
        assert said == {str(child), "here"}
        process.kill()
        process.wait()
        if is_told:
            wait_until(lambda: not is_alive(child))
        else:
            assert not happens(lambda: not is_alive(child), 0.5)
            os.kill(child, signal.SIGKILL)


def test_ports_and_directories_of_their_own(tmp_path: Path) -> None:
    config = ServerConfig(tmp_path, replicas=3, replica="name")
    told = replicas_of(config, config.listen, config.control_listen, ["--threads", "4"])
    parsed = [parse([*one.arguments, "--store-url", "postgresql://covey@/covey"], {}) for one in told]
    assert [str(one.listen) for one in parsed] == ["127.0.0.1:50061", "127.0.0.1:50071", "127.0.0.1:50081"]
    assert [str(one.control_listen) for one in parsed] == ["127.0.0.1:50062", "127.0.0.1:50072", "127.0.0.1:50082"]
    assert [str(one.metrics_listen) for one in parsed] == ["127.0.0.1:9474", "127.0.0.1:9484", "127.0.0.1:9494"]
    assert {str(one.shared_listen) for one in parsed} == {"127.0.0.1:50051"}
    assert {str(one.shared_control_listen) for one in parsed} == {"127.0.0.1:50052"}
    assert [one.replica for one in parsed] == ["name-1", "name-2", "name-3"]
    assert len({one.data_directory for one in parsed}) == len({one.ports_file for one in parsed}) == 3
    assert {one.threads for one in parsed} == {4}
    high = ServerConfig(tmp_path, replicas=2, listen=Address("127.0.0.1", 65_530))
    with pytest.raises(StartError, match="replica 1 would have port 65540"):
        replicas_of(high, high.listen, high.control_listen, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--replicas", "2"], "goes with --store-url postgresql"),
        (["--replicas", "2", "--store-url", "sqlite:////tmp/covey.db"], "an SQLite file has one server"),
        (
            ["--replicas", "2", "--store-url", "postgresql://covey@/c", "--shared-listen", "127.0.0.1:1"],
            "goes without --shared-listen",
        ),
    ],
)
def test_what_cannot_be_is_refused(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--data-directory", "data", *options], {})
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_connections_age_where_there_are_replicas() -> None:
    store = ["--data-directory", "data", "--store-url", "postgresql://covey@/covey"]
    assert parse(store, {}).connection_age_seconds == 0
    assert parse([*store, "--replicas", "2"], {}).connection_age_seconds == 60
    assert parse([*store, "--replicas", "2", "--connection-age", "0"], {}).connection_age_seconds == 0


def test_a_port_in_use_by_somebody_else_is_said(tmp_path: Path, cluster: Cluster) -> None:
    from covey_server.replicas.supervisor import Supervisor

    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(tmp_path, replicas=2, listen=Address("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(StartError, match=r"--listen .* in use"):
            Supervisor(config, [])
