"""`covey demo` as a newcomer runs it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from faults.amounts import amount

from .harness import COVEY, SHORT_PLAN, processes_of, report_of, run_demo

pytestmark = pytest.mark.e2e


def plan_in_a_hurry(directory: Path) -> list[str]:
    """Twelve seconds of holds with the default plan's signatures; `make faults` has the minute of the default plan."""
    if amount("DEMO_PLAN", 0):
        return []
    path = directory / "plan.yaml"
    roles = "roles: [engineering, operations, product, finance]"
    path.write_text(SHORT_PLAN.read_text().replace("roles: [engineering]", roles))
    return ["--plan", str(path)]


def test_the_demo_succeeds_and_the_candidate_is_stable(tmp_path: Path) -> None:
    plan = plan_in_a_hurry(tmp_path)
    result = run_demo(tmp_path, *plan)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SUCCEEDED" in result.stdout
    assert "stable variant variants/native; share of variants/native: 100 %" in result.stdout
    assert plan or "3,301" in result.stdout, "the demo says that it asks for less than the default plan"
    report = report_of(tmp_path)
    assert report["decision"] == "SUCCEEDED"
    assert [phase["name"] for phase in report["phases"]] == ["canary", "ramp", "rollout"]
    assert {approval["role"] for approval in report["approvals"]} >= {"engineering", "operations", "product", "finance"}
    for name in ("report.html", "report.md"):
        assert (tmp_path / "report" / name).stat().st_size > 1000
    assert not processes_of(tmp_path), "a process outlived the demonstration"


def test_without_traffic_it_holds_and_never_advances(tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--traffic", "0", "--plan", str(SHORT_PLAN), "--patience", "5", "--dashboard")
    assert result.returncode == 4, result.stdout + result.stderr
    assert "http://127.0.0.1:" in result.stdout, "where the pages are"
    assert "HOLDING: " in result.stdout
    assert "stable variant variants/reference;" in result.stdout
    report = report_of(tmp_path)
    entered = [event["text"] for event in report["timeline"] if event["kind"] == "phase_entered"]
    assert len(entered) == 1, entered
    assert not processes_of(tmp_path)


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "something").touch()
    result = run_demo(tmp_path)
    assert result.returncode == 2
    assert "not empty" in result.stderr
    assert not (tmp_path / "report").exists()


def test_a_report_that_could_not_be_written_is_said_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file, not a folder")
    result = run_demo(tmp_path)
    assert result.returncode == 1
    assert "--report" in result.stderr
    assert "rollouts/" not in result.stdout
    assert not processes_of(tmp_path)


def test_a_plan_with_an_unknown_key_is_refused_with_its_line(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(SHORT_PLAN.read_text().replace("shadow_share:", "shadow_part:"))
    result = run_demo(tmp_path, "--plan", str(plan))
    assert result.returncode == 2
    assert "plan.yaml:6" in result.stderr
    assert "shadow_part" in result.stderr
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_everything(number: signal.Signals, tmp_path: Path) -> None:
    command = [str(COVEY), "demo", "--keep", str(tmp_path / "kept"), "--report", str(tmp_path / "report")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        said = ""
        for line in process.stdout:
            said += line
            if "RUNNING canary" in line:
                break
        assert "3,301" in said, "the demo says that it asks for less than the default plan"
        assert len(processes_of(tmp_path)) >= 3, "server, controller and load are at work"
        process.send_signal(number)
        assert process.wait(timeout=30) == 130
        assert "everything is stopped" in process.stderr.read()
    assert not processes_of(tmp_path)
