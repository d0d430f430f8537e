"""What runbooks and the pages for operators tell people to type works: covey's commands are run, in their order."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import free_ports, program
from prometheus_client import generate_latest
from server.running import ServedHere
from typer.testing import CliRunner

from covey.cli import app, main
from covey.monitoring.objectives import Objectives
from covey.monitoring.rules import alerts
from covey_controller.exporter import Exporter
from covey_server.options import address

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUNBOOKS = sorted((DOCS / "runbooks").glob("*.md"))
PAGES = [*RUNBOOKS, DOCS / "operate.md", DOCS / "deploy.md", DOCS / "configuration.md"]
ALERTS = {alert.name for alert in alerts(Objectives(), "covey")}
PLAN = """
target: {target}
baseline: {baseline}
candidate: {candidate}
{more}
phases:
  - {{name: canary, traffic_share: 1 %, hold: 1h, criteria: [error_rate < 1 %]}}
  - {{name: ramp, traffic_share: 10 %, hold: 1h, criteria: [error_rate < 1 %]}}
triggers: [error_rate > 2 %]
"""
FOREIGN = """traffic: {haproxy: {routers: ['127.0.0.1:9']}}
metrics: {scrape: {baseline_urls: ['http://127.0.0.1:9/'], candidate_urls: ['http://127.0.0.1:9/x']}}
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


Run = Callable[[list[str]], int]


class Site:
    """A server of its own, with its data, a backup, tokens and rollouts where the pages say they are.

    Args:
        directory: for all of it.
        ports: three free ones.
        run: runs a command.
    """

    def __init__(self, directory: Path, ports: list[int], run: Run) -> None:
        self.directory = directory
        self._places = [f"127.0.0.1:{port}" for port in ports]
        self._server: ServedHere | None = None
        self.start()
        for name, target, arms, more in (
            ("spring", "analyzer", ("reference", "native"), ""),
            ("echo", "echo", ("127.0.0.1:1", "127.0.0.1:2"), FOREIGN),
        ):
            spec = PLAN.format(target=target, baseline=arms[0], candidate=arms[1], more=more)
            (directory / f"{name}.yaml").write_text(spec)
            assert run(["rollout", "create", str(directory / f"{name}.yaml"), "--name", name]) == 0
            assert run(["rollout", "start", name]) == 0
        assert run(["state", "backup", str(directory / "monday"), "--data-directory", str(directory / "data")]) == 0
        assert run(["token", "create", "old", "--tokens", str(directory / "tokens.json"), "--role", "viewer"]) == 0

    def start(self) -> None:
        data, control, metrics = map(address, self._places)
        self._server = ServedHere(
            data_directory=self.directory / "data", listen=data, control_listen=control, metrics_listen=metrics
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def page(self) -> str:
        assert self._server is not None
        return self._server.page()

    def here(self, line: str) -> str:
        """A line of a page, with the places of this site in it."""
        data, control, metrics = self._places
        (known, *_) = json.loads((self.directory / "tokens.json").read_text())["credentials"]
        for place, mine in (
            (r"https?://covey[\w.-]*example:9464", f"http://{metrics}"),
            (r"covey[\w.-]*example:50052", control),
            (r"covey[\w.-]*example:50051", data),
            (r" --cacert ca\.pem", ""),
            (r"/var/lib/covey", str(self.directory / "data")),
            (r"/backups/monday", str(self.directory / "monday")),
            (r"/etc/covey/", f"{self.directory}/"),
            (r"^(sudo -u covey )?/opt/covey/bin/", ""),
            (r"5f0c2a91", known["id"]),
        ):
            line = re.sub(place, mine, line)
        return line


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(arguments: list[str]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        print(*capsys.readouterr())
        return int(ended.value.code or 0)

    return typed


@pytest.fixture
def site(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    ports = free_ports(3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("COVEY_DATA", f"127.0.0.1:{ports[0]}")
    monkeypatch.setenv("COVEY_CONTROL", f"127.0.0.1:{ports[1]}")
    (configuration,) = blocks(DOCS / "configuration.md", "toml")
    (tmp_path / "covey.toml").write_text(configuration)
    made = Site(tmp_path, ports, run)
    yield made
    made.stop()


def follow(page: Path, site: Site, run: Run) -> int:
    """Type what a page says: systemd stops and starts the server; what else is not covey's own is left out."""
    typed = 0
    for line in map(site.here, commands(page)):
        if line.startswith("systemctl stop"):
            site.stop()
        elif line.startswith("systemctl start"):
            site.start()
        elif line.startswith("promtool"):
            ended = subprocess.run([program("promtool", "prometheus"), *line.split()[1:]], check=False, timeout=60)
            assert ended.returncode == (0 if Path(line.split()[-1]).exists() else 1)
        elif line.startswith("covey "):
            # No controller is here, and the default ports are not the site's: the doctor may say so.
            assert run(shlex.split(line)[1:]) in ({0, 1} if line.startswith("covey doctor") else {0}), line
            typed += 1
    return typed


CHANGING = {"rollback", "restore", "rotate-certificates", "freeze"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in CHANGING], ids=page_name)
def test_what_a_page_tells_to_do_works(page: Path, site: Site, run: Run) -> None:
    assert follow(page, site, run) > 0


def test_what_the_other_pages_tell_to_look_at_is_there(site: Site, run: Run) -> None:
    assert sum(follow(page, site, run) for page in PAGES if page.stem not in CHANGING) > 25


def test_a_command_that_does_not_work_is_found(site: Site, run: Run, tmp_path: Path) -> None:
    """The twin."""
    (tmp_path / "page.md").write_text("```sh\ncovey rollout status summer   # there is none\n```\n")
    with pytest.raises(AssertionError, match="summer"):
        follow(tmp_path / "page.md", site, run)


def test_what_is_looked_for_on_a_metrics_page_is_there(site: Site) -> None:
    shown = site.page() + generate_latest(Exporter().registry).decode()
    looked = 0
    for line in (line for page in PAGES for line in commands(page)):
        for pattern in re.findall(r"/metrics\s*\|\s*grep (?:-E )?'?([\w|^]+)'?", line):
            missing = [word for word in pattern.strip("^").split("|") if word not in shown and not word.isupper()]
            assert not missing, line
            looked += 1
    assert looked > 10
