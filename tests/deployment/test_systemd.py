"""The units: taken by systemd, hardened to the score that the docs state, and within what the processes really do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from programs import program
from server.running import history
from waiting import wait_until

from covey.cli import main
from covey.client import Client
from covey.deployment.systemd import UNITS, files, is_hidden
from covey.rollout.spec import load_spec
from covey.v1 import datasets_pb2, events_pb2

HERE = Path(__file__).resolve().parents[2] / "services" / "deployment" / "systemd"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "deploy.md"
PROGRAMS = Path(sysconfig.get_path("scripts"))
NAMES = [unit.program for unit in UNITS]
LARGEST_EXPOSURE = 1.5
ANY = "127.0.0.1:0"
PLAN = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 1s
probe_interval: 1s
phases: [{name: canary, traffic_share: 50 %, hold: 1h, criteria: [{statement: error_rate < 1 %, margin: 0}]}]
triggers: [{statement: error_rate > 50 %, tolerance: 0}]
"""
# Memory that is written is never executed, for this process and all that it starts (Linux 6.3): MemoryDenyWriteExecute.
DENIED = (
    "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0; os.execv(sys.argv[1], sys.argv[1:])"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze", "systemd"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def units(tmp_path: Path) -> dict[str, Path]:
    """Of the commands that are installed here."""
    written = {}
    for name, text in files(PROGRAMS, NAMES).items():
        (tmp_path / name).write_text(text)
        written[name] = tmp_path / name
    return written


@pytest.mark.parametrize("name", NAMES)
def test_systemd_takes_the_unit(name: str, units: dict[str, Path]) -> None:
    verified = analyze("verify", str(units[f"{name}.service"]))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_unit_that_is_wrong_is_found(units: dict[str, Path]) -> None:
    """The twin."""
    unit = units["covey-server.service"]
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystm=strict"))
    assert "ProtectSystm" in analyze("verify", str(unit)).stderr


def exposure(unit: Path) -> float:
    said = analyze("security", "--offline=true", "--no-pager", str(unit)).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    return float(found[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_unit_is_hardened_as_the_page_says(name: str, units: dict[str, Path]) -> None:
    (stated,) = re.findall(rf"^\| {name}\.service \| ([\d.]+) \|$", PAGE.read_text(), re.M)
    assert exposure(units[f"{name}.service"]) <= float(stated) <= LARGEST_EXPOSURE


def test_a_unit_without_its_hardening_is_exposed(units: dict[str, Path]) -> None:
    """The twin."""
    unit = units["covey-server.service"]
    unit.write_text(re.sub(r"^(Protect|Private|Restrict|SystemCall|Capability).*\n", "", unit.read_text(), flags=re.M))
    assert exposure(unit) > 5


def test_the_committed_units_are_those_that_the_command_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "systemd", "--directory", str(tmp_path / "units"), "--prefix", "/opt/covey"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert "systemctl enable --now covey-server covey-controller covey-dashboard" in out
    assert not err
    written = {path.name: path.read_text() for path in (tmp_path / "units").iterdir()}
    assert written == {path.name: path.read_text() for path in HERE.iterdir()}


def test_the_sample_configuration_is_good(units: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", "check", "--config", str(units["covey.toml"])])
    assert ended.value.code == 0


def test_a_place_that_units_cannot_see_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_hidden(Path("/home/ada/venv/bin"))
    assert not is_hidden(Path("/opt/covey/bin"))
    with pytest.raises(SystemExit):
        main(["deploy", "systemd", "--directory", str(tmp_path), "--prefix", "/root/venv"])
    assert "cannot see /root/venv/bin" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "systemd", "--directory", "/proc/units"])
    assert ended.value.code == 1


def calls_of(sets: str) -> set[str]:
    """System calls of filter sets, with the sets in them."""
    found: set[str] = set()
    for name in sets.split():
        for line in analyze("syscall-filter", "--no-pager", name).stdout.splitlines()[1:]:
            word = line.strip()
            found |= calls_of(word) if word.startswith("@") else {word} - {""}
    return found


def allowed(unit: str) -> set[str]:
    """System calls that a unit's filters leave: as systemd reads them, in their order."""
    left: set[str] = set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        words = value.removeprefix("~")
        named = set().union(*(calls_of(word) if word.startswith("@") else {word} for word in words.split()))
        left = left - named if value.startswith("~") else left | named
    return left


def taken_away(unit: str) -> set[str]:
    """System calls of the sets that a unit takes away from what services usually have, less its exceptions."""
    (sets,) = re.findall(r"^SystemCallFilter=~(.*)$", unit, re.M)
    return calls_of(sets) - allowed(unit)


@contextmanager
def confined(name: str, directory: Path, unit: str, *arguments: str) -> Iterator[tuple[dict[str, int], Path]]:
    """A process that meets what its unit does to it, and a file of the system calls that it made by its end.

    It may execute nothing that it wrote, and what the unit takes away fails with EPERM.
    """
    ports, counts = directory / f"{name}.json", directory / f"{name}.calls"
    refused = ",".join(f"?{call}" for call in sorted(taken_away(unit)))
    command = [program("strace"), "-f", "-c", "-U", "calls,name", "-e", f"inject={refused}:error=EPERM"]
    command += ["-o", str(counts), sys.executable, "-c", DENIED]
    command += [str(PROGRAMS / name), *arguments, "--ports-file", str(ports)]
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    pid = 0
    try:
        wait_until(lambda: ports.exists() or process.poll() is not None, 60)
        assert ports.exists(), (directory / f"{name}.log").read_text()
        found = json.loads(ports.read_text())
        pid = found["pid"]
        yield found, counts
        os.kill(pid, signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        if pid and process.poll() is None:  # the tracer's end would leave it
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait(timeout=30)


def made(counts: Path) -> set[str]:
    lines = [line.split() for line in counts.read_text().splitlines()]
    return {words[1] for words in lines if len(words) == 2 and words[0].isdigit()} - {"total"}


@pytest.mark.e2e
def test_the_processes_work_with_what_their_units_leave_them(tmp_path: Path, units: dict[str, Path]) -> None:
    texts = {name: units[f"{name}.service"].read_text() for name in NAMES}
    places = ("--data-directory", str(tmp_path / "data"), "--listen", ANY, "--control-listen", ANY)
    with confined("covey-server", tmp_path, texts["covey-server"], *places, "--metrics-listen", ANY) as (ports, served):
        control, data = f"127.0.0.1:{ports['control']}", f"127.0.0.1:{ports['data']}"
        replica = f"data={data},metrics=http://127.0.0.1:{ports['metrics']}/metrics"
        arguments = ("--control", control, "--metrics-listen", ANY, "--replica", replica)
        with Client(control=control, data=data, actor="ada", timeout_seconds=30) as client:
            client.create_rollout("rollouts/x", load_spec(PLAN, "plan"))
            client.start_rollout("rollouts/x")
            with confined("covey-controller", tmp_path, texts["covey-controller"], *arguments) as (_, driven):
                _discover(client)
                wait_until(lambda: client.get_rollout("rollouts/x").HasField("last_tick_time"), 60)
                client.abort_rollout("rollouts/x", reason="seen enough")
        pages = ("--listen", ANY, "--control", control, "--data", data)
        with confined("covey-dashboard", tmp_path, texts["covey-dashboard"], *pages) as (found, shown):
            _look(f"http://127.0.0.1:{found['pages']}")
    for name, counts in (("covey-server", served), ("covey-controller", driven), ("covey-dashboard", shown)):
        assert len(made(counts)) > 30
        # Beyond what fails above, a call is not even known to the filters, but for the wrapper's own.
        assert made(counts) - allowed(texts[name]) - taken_away(texts[name]) <= {"prctl", "execve", "arch_prctl"}
    assert "setpriority" in made(served)
    without = texts["covey-server"].replace("SystemCallFilter=setpriority\n", "")
    assert "setpriority" in made(served) & taken_away(without), "the twin"


def _look(url: str) -> None:
    """The page of the rollout, as somebody sees it who gave a name."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
        secret = re.search(r'name="form_token" value="([^"]+)"', browser.get("/login").text)
        assert secret
        assert browser.post("/login", data={"name": "ada", "form_token": secret[1]}).status_code == 200
        wait_until(lambda: "seen enough" in browser.get("/rollouts/x").text, 60)


def _discover(client: Client) -> None:
    client.create_dataset("d")
    first = datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="a")
    chunks = []
    for number in range(1, 4):
        packed = events_pb2.PackedEvents()
        packed.CopyFrom(history(number))
        packed.learner_id_dictionary.values.append(f"learner-{number}")
        packed.learner_id_dictionary.indices_uint8 = bytes(packed.event_count)
        chunks.append(datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed))
    list(client.append_events([first, *chunks], timeout_seconds=30))
    spec = datasets_pb2.DiscoverySpec(dataset="datasets/d", variant="variants/native", cohort_count=2)
    job = client.discover_cohorts(spec)
    *_, last = client.watch_job(job.name, timeout_seconds=60)
    assert last.state == datasets_pb2.Job.STATE_SUCCEEDED, last
