"""What README.md tells people to type and run is true."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from covey.cli import app

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for named, block in fenced if named == language]


def test_the_python_of_the_readme_runs(shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    shared_data("oulad_student_vle.parquet")
    monkeypatch.chdir(PROJECT)
    snippets = blocks("python")
    assert snippets
    for snippet in snippets:
        names: dict[str, Any] = {}
        exec(snippet, names)
        assert names["cohorts"].to_arrow().num_rows > 0


def test_the_table_of_the_readme_is_what_the_command_prints(
    shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_data("oulad_student_vle.parquet")
    monkeypatch.chdir(PROJECT)
    (command,) = [block for block in blocks("sh") if block.startswith("covey analyze ../shared")]
    shown = [block.rstrip() for block in blocks("") if "archetype" in block]
    words = shlex.split(command.replace("\\\n", " "))[1:]
    earlier = re.search(r"With `(--as-of \S+)` \(day 120\) and `(--k 5)`", README)
    assert earlier
    for added, table in zip(([], [*earlier[1].split(), *earlier[2].split()]), shown, strict=True):
        told = CliRunner().invoke(app, [*words, *added], env={"COLUMNS": "80"})
        assert told.exit_code == 0, told.output
        assert table in told.stdout


def test_every_option_of_the_readme_exists() -> None:
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    lines = re.findall(r"(?:^|\s)covey ((?:analyze|demo|generate|rollout|gates) [^#\n]*)", text)
    assert len(lines) > 10
    for line in lines:
        words = line.split()
        verbs = words[:2] if words[0] in {"rollout", "gates"} else words[:1]
        told = CliRunner().invoke(app, [*verbs, "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0, told.output
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in told.output]
        assert not unknown, f"covey {line}"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_the_commands_of_the_terminals_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    page = (PROJECT / "docs" / "terminal.md").read_text(encoding="utf-8")
    lines = [line.split("#")[0].split() for line in re.findall(r"^covey .*$", page, re.MULTILINE)]
    assert len(lines) == 4
    for _, *words in lines:
        asked = ["--help"] if words[0].startswith("--install") else words
        # No shell need be among the processes above a test: it is named where a person's is found.
        asked = [*asked, "bash"] if words[0].startswith("--show") else asked
        told = CliRunner().invoke(app, asked)
        assert told.exit_code == 0, told.output
        assert told.output
