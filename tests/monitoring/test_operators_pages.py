"""Runbooks and the pages for operators are whole: a page for each alert, verbs and options and links that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from server.running import ServedHere
from typer.testing import CliRunner

from covey.cli import app
from covey.client import Client
from covey.monitoring.objectives import Objectives
from covey.monitoring.rules import alerts
from covey.rollout.spec import load_spec
from covey_controller.exporter import Exporter

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUNBOOKS = sorted((DOCS / "runbooks").glob("*.md"))
PAGES = [*RUNBOOKS, DOCS / "operate.md", DOCS / "deploy.md", DOCS / "configuration.md"]
ALERTS = {alert.name for alert in alerts(Objectives(), "covey")}
PLAN = """
target: analyzer
baseline: reference
candidate: native
phases: [{name: canary, traffic_share: 1 %, hold: 1h, criteria: [error_rate < 1 %]}]
"""


def blocks(page: Path, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Lines to type, without their comments, continued ones joined."""
    text = "\n".join(blocks(page)).replace("\\\n", " ")
    return [line for raw in text.splitlines() if (line := re.sub(r"(^|\s+)# .*$", "", raw).strip())]


def page_name(page: Path) -> str:
    return page.stem


def test_every_alert_has_a_runbook_and_every_runbook_is_listed() -> None:
    named = {page.stem for page in RUNBOOKS}
    assert named >= ALERTS
    assert {name for name in named if name.startswith("Covey")} == ALERTS
    listed = (DOCS / "operate.md").read_text()
    assert [name for name in named if f"(runbooks/{name}.md)" not in listed] == []


@pytest.mark.parametrize("page", RUNBOOKS, ids=page_name)
def test_a_runbook_fits_on_a_screen_and_says_what_to_do(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) <= 45
    if page.stem in ALERTS:
        assert text.startswith(f"# {page.stem}\n")
        assert re.findall(r"^## (Look|Do)$", text, re.M) == ["Look", "Do"]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def spoken(page: Path) -> list[str]:
    """Commands within sentences."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`(covey [a-z][^`]*)`", text)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_options_and_verbs_that_are_named_exist(page: Path) -> None:
    for line in [*spoken(page), *(line for line in commands(page) if line.startswith("covey "))]:
        words = line.split()[1:]
        verbs = [words[0]]
        if len(words) > 1 and words[0] not in {"doctor", "serve", "controller"} and not words[1].startswith("-"):
            verbs.append(words[1])
        told = CliRunner().invoke(app, [*verbs, "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0, line
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in told.output]
        assert not unknown or verbs[0] in {"serve", "controller"}, line


def test_what_is_looked_for_on_a_metrics_page_is_there(tmp_path: Path) -> None:
    server = ServedHere(data_directory=tmp_path / "data")
    try:
        with Client(control=f"127.0.0.1:{server.control_port}") as client:
            client.create_rollout("rollouts/spring", load_spec(PLAN, "plan.yaml"))
            client.start_rollout("rollouts/spring")
        shown = server.page()
    finally:
        server.stop()
    shown += generate_latest(Exporter().registry).decode()
    looked = 0
    for line in (line for page in PAGES for line in commands(page)):
        for pattern in re.findall(r"/metrics\s*\|\s*grep (?:-E )?'?([\w|^]+)'?", line):
            missing = [word for word in pattern.strip("^").split("|") if word not in shown and not word.isupper()]
            assert not missing, line
            looked += 1
    assert looked > 10
