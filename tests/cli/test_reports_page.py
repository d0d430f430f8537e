"""docs/reports.md: its commands do what it says, against a real server and from a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    lines = re.findall(r"^covey rollout (.*?)\s*(?:[#>].*)?$", PAGE, re.MULTILINE)
    return [line.replace("NAME", "native").split() for line in lines]


def test_the_page_shows_every_verb_that_tells() -> None:
    assert [words[0] for words in commands()] == ["report", "schedule", "postmortem"]


@pytest.fixture
def rolled_back(started: Any, covey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journal of a rollout that was aborted, in a file; the folder of the test is the working one."""
    monkeypatch.chdir(tmp_path)
    controller = started(ticks=3)
    assert covey("abort", "native", "--reason", "checkout is slow", "--yes").code == 0
    controller.tick("native", 2)
    journal = tmp_path / "journal.json"
    journal.write_text(covey("history", "native", "--ticks", "--output", "json").out, encoding="utf-8")
    return journal


def test_every_command_of_the_page_runs(rolled_back: Path, covey: Any) -> None:
    for words in commands():
        told = covey(*words)
        assert told.code == 0, told.err
        assert told.out
    assert {path.name for path in Path("report").iterdir()} >= {"report.html", "report.md", "report.json"}
    from_file = covey("postmortem", "--journal", str(rolled_back)).out
    assert from_file == covey("postmortem", "native").out
    assert "checkout is slow" in from_file
    assert json.loads(covey("postmortem", "native", "-o", "json").out)["markdown"].rstrip() == from_file.rstrip()


def test_the_schedule_of_a_rollout_on_its_way(started: Any, covey: Any) -> None:
    started(ticks=2)
    told = covey("schedule", "native")
    assert told.code == 0
    lines = told.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("canary, 10 %: in force to ")
    assert lines[-1] == "on call: ada; after 15 min grace; after 30 min edsger"
    phases = json.loads(covey("schedule", "native", "-o", "json").out)["phases"]
    assert [phase["phase"] for phase in phases] == ["canary", "ramp", "rollout"]


def test_what_cannot_be_told_is_said(started: Any, covey: Any) -> None:
    started(ticks=1)
    told = covey("postmortem", "native")
    assert (told.code, told.out) == (1, "")
    assert "no rollback and no incident" in told.err
    assert covey("schedule").code == 2
