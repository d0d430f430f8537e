"""The example of a foreign service as its page tells it: real processes, HAProxy and xDS, a good and a bad build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from programs import free_ports, program
from waiting import happens, wait_until

from covey.client import Client
from covey.rollout.spec import load_spec
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollouts_pb2 import Rollout

from .harness import COVEY

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "foreign-service"
SECONDS = 85.0
NAME = "rollouts/echo"


class Stage:
    """The processes of the example, each with a log of its own in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = dict(zip(("7000", "7001", "7002", "9001", "9002", "18000"), free_ports(6), strict=True))

    def start(self, name: str, command: Sequence[str], **environment: str) -> None:
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.directory, env={**os.environ, **environment}
            )

    def python(self, name: str, script: str, *arguments: str, **environment: str) -> None:
        self.start(name, [sys.executable, str(EXAMPLE / script), *arguments], **environment)

    def covey(self, *arguments: str) -> str:
        """A command that ends; its output."""
        done = subprocess.run(
            [str(COVEY), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=self.directory
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ports_of(self, name: str) -> dict[str, int]:
        path = self.directory / f"{name}.ports"
        wait_until(path.exists, why=lambda: self.log(name))
        found = json.loads(path.read_text())
        assert isinstance(found, dict)
        return found

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(timeout=30)

    def plan(self, file: str) -> Path:
        """The example's plan on free ports."""
        text = (EXAMPLE / file).read_text(encoding="utf-8")
        for written, port in self.ports.items():
            text = text.replace(f":{written}", f":{port}")
        path = self.directory / file
        path.write_text(text.replace("/tmp/covey-echo.sock", str(self.directory / "echo.sock")), encoding="utf-8")
        return path

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(timeout=30)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def begin(stage: Stage, router: str, fail: float) -> Client:
    """Everything of the page runs, and the rollout is started."""
    ports = stage.ports
    for version, share in (("1", 0.0), ("2", fail)):
        numbers = ("--port", str(ports[f"700{version}"]), "--metrics-port", str(ports[f"900{version}"]))
        stage.python(f"echo{version}", "echo.py", "--version", version, *numbers, "--fail", str(share))
    plan = stage.plan(f"echo-{router}.yaml")
    covey = [str(COVEY)]
    local = ("--metrics-listen", "127.0.0.1:0", "--ports-file")
    stage.start(
        "serve",
        [
            *(*covey, "serve", "--data-directory", "journal", "--listen", "127.0.0.1:0"),
            *("--control-listen", "127.0.0.1:0", *local, "serve.ports"),
        ],
    )
    control = f"127.0.0.1:{stage.ports_of('serve')['control']}"
    controller = [*covey, "controller", "--control", control, "--target", "echo", *local, "controller.ports"]
    if router == "haproxy":
        text = stage.covey("router", "haproxy", str(plan), "--listen", f"127.0.0.1:{ports['7000']}")
        (stage.directory / "haproxy.cfg").write_text(text)
        stage.start("haproxy", [program("haproxy"), "-db", "-f", "haproxy.cfg"])
        stage.start("controller", controller)
        stage.python("call", "call.py", f"127.0.0.1:{ports['7000']}")
    else:
        stage.start("controller", [*controller, "--xds-listen", f"127.0.0.1:{ports['18000']}"])
        assert stage.ports_of("controller")["xds"] == ports["18000"]
        bootstrap = stage.covey("router", "xds-bootstrap", "--control-plane", f"127.0.0.1:{ports['18000']}")
        (stage.directory / "bootstrap.json").write_text(bootstrap)
        stage.python("call", "call.py", "xds:///echo", GRPC_XDS_BOOTSTRAP="bootstrap.json")
    client = Client(control=control, actor="test")
    client.create_rollout(NAME, load_spec(plan.read_text(), plan.name))
    client.start_rollout(NAME)
    return client


def reached(client: Client, *states: Rollout.State.ValueType) -> bool:
    return happens(lambda: client.get_rollout(NAME).state in states, SECONDS)


def story(stage: Stage, client: Client) -> str:
    """What to look at when a test fails."""
    return "\n".join([str(client.get_rollout(NAME)), *(stage.log(name)[-2000:] for name in stage.processes)])


@pytest.mark.parametrize("router", ["haproxy", "xds"])
def test_a_good_build_gets_everybody(stage: Stage, router: str) -> None:
    with begin(stage, router, 0.0) as client:
        assert reached(client, Rollout.STATE_SUCCEEDED), story(stage, client)
        assert wait_until(lambda: stage.log("call").splitlines()[-1].startswith("version 2"), 30)
        entered = [e.phase_entered.phase for e in client.list_entries(NAME) if e.HasField("phase_entered")]
        assert entered == ["canary", "rollout"]


@pytest.mark.parametrize("router", ["haproxy", "xds"])
def test_a_bad_build_is_rolled_back_and_gets_nobody(stage: Stage, router: str) -> None:
    with begin(stage, router, 0.3) as client:
        assert reached(client, Rollout.STATE_ROLLED_BACK), story(stage, client)
        entries = list(client.list_entries(NAME))
        (rollback,) = (entry.rollback_started for entry in entries if entry.HasField("rollback_started"))
        assert rollback.cause == RollbackStarted.CAUSE_TRIGGER
        assert rollback.statement == "error_rate > 10 %"
        (read_back,) = entries[-1].finished.read_back
        assert read_back.candidate_weight_bp == 0
        assert wait_until(lambda: stage.log("call").splitlines()[-1].startswith("version 1: 100"), 30)


def test_a_killed_build_costs_its_own_calls_until_it_is_rolled_back(stage: Stage) -> None:
    with begin(stage, "haproxy", 0.0) as client:
        wait_until(lambda: "version 2" in stage.log("call"), SECONDS, why=lambda: story(stage, client))
        stage.kill("echo2")
        killed = time.monotonic()
        assert reached(client, Rollout.STATE_ROLLED_BACK), story(stage, client)
        print(f"killed candidate: rolled back and read back after {time.monotonic() - killed:.1f} s")
        assert wait_until(lambda: stage.log("call").splitlines()[-1].startswith("version 1: 100"), 30)
        assert "version 1" in stage.log("call").splitlines()[-2], "the baseline answered all the while"
        entries = list(client.list_entries(NAME))
        (rollback,) = (entry.rollback_started for entry in entries if entry.HasField("rollback_started"))
        assert rollback.cause in {RollbackStarted.CAUSE_TRIGGER, RollbackStarted.CAUSE_UNAVAILABLE}
