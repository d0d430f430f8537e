"""The lists of the real processes: every option can be said in every way, and the page is written from them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from covey.cli import main
from covey.configuration.options import Section
from covey.configuration.page import page
from covey.configuration.settings import read_settings
from covey_controller.config import Config, parse_arguments
from covey_controller.options import SECTION as CONTROLLER
from covey_dashboard import config as dashboard
from covey_dashboard.options import SECTION as DASHBOARD
from covey_server.config import ServerConfig, parse
from covey_server.options import SECTION as SERVER

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
FILE = """
[server]
data_directory = "/var/lib/covey"
store_url = "postgresql://covey:hunter2@db/covey"
threads = 4

[controller]
webhook = "https://hooks.example/T0KEN"
poll_seconds = 0.5

[dashboard]
listen = "127.0.0.1:9090"
host = ["Covey.Example", "covey"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "covey.toml"
    path.write_text(FILE)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["config", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page([SERVER, CONTROLLER, DASHBOARD]), "covey config reference > docs/configuration.md"


def test_defaults_are_those_of_the_objects() -> None:
    """Said twice, for programs and for people: they must not drift apart."""
    assert parse(["--data-directory", "d"], {}) == ServerConfig(Path("d"))
    made, bare = parse_arguments([], {}), Config("127.0.0.1:50052", ())
    for field in dataclasses.fields(Config):
        if field.name not in {"replicas", "holder"}:
            assert getattr(made, field.name) == getattr(bare, field.name)
    assert dashboard.parse_arguments([], {}) == dashboard.Config()


@pytest.mark.parametrize("section", [SERVER, CONTROLLER, DASHBOARD])
def test_names_are_unambiguous(section: Section) -> None:
    variables = [section.variable_of(option) for option in section.options]
    assert len(set(variables)) == len(variables)
    assert len({option.key for option in section.options}) == len(variables)
    assert all(option.help and option.help[0] not in "(." for option in section.options)


def test_a_file_says_the_same_as_flags(file: Path) -> None:
    flags = [
        "--data-directory",
        "/var/lib/covey",
        "--threads",
        "4",
        "--store-url",
        "postgresql://covey:hunter2@db/covey",
    ]
    assert parse(["--config", str(file)], {}) == parse(flags, {})
    assert parse_arguments(["--config", str(file)], {}).poll_seconds == 0.5
    pages = ["--listen", "127.0.0.1:9090", "--host", "Covey.Example", "--host", "covey"]
    assert dashboard.parse_arguments(["--config", str(file)], {}) == dashboard.parse_arguments(pages, {})
    variables = {"COVEY_DASHBOARD_LISTEN": "127.0.0.1:9090", "COVEY_DASHBOARD_HOST": "Covey.Example covey"}
    assert dashboard.parse_arguments([], variables) == dashboard.parse_arguments(pages, {})


def test_show_says_what_holds_and_from_where(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("COVEY_WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("COVEY_SERVER_QUEUE_LIMIT", "99")
    code, out, _ = run(capsys, "show", "server", "--config", str(file), "--call-deadline", "3")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "flag --call-deadline" in out
    assert "COVEY_SERVER_QUEUE_LIMIT" in out
    code, out, _ = run(capsys, "show", "--config", str(file), "--output", "json")
    shown = {(one["section"], one["key"]): one for one in json.loads(out)}
    assert shown["server", "threads"] == {
        "section": "server", "key": "threads", "value": "4", "source": f"{file}:5",
    }  # fmt: skip
    assert shown["controller", "webhook_secret"]["value"] == "(set)"
    assert len(shown) == len(SERVER.options) + len(CONTROLLER.options) + len(DASHBOARD.options)


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_no_secret_is_ever_shown(
    file: Path, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVEY_WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("COVEY_TOKEN", "covey_t0ps3cret")
    _, out, err = run(capsys, "show", "--config", str(file), "--output", output)
    assert not [secret for secret in ("hush", "t0ps3cret", "hunter2", "T0KEN") if secret in out + err]


def test_check_is_content_or_says_what_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", "--config", str(file))
    assert (code, out.count("all good")) == (0, 3)
    for change, said in (
        ("threads = 4", "tls_cert = 'c.pem'"),
        ("threads = 4", "listen = '0.0.0.0:50051'"),
        ("poll_seconds = 0.5", "poll_seconds = 0"),
        ("poll_seconds = 0.5", "webhook_secret_file = '/nowhere'"),
        ("threads = 4", "fault = ['nonsense']"),
        ("threads", "thread"),
        ("127.0.0.1:9090", "0.0.0.0:9090"),
        ("127.0.0.1:9090", "9090"),
        ("host", "hots"),
    ):
        file.write_text(FILE.replace(change, said))
        code, out, err = run(capsys, "check", "--config", str(file))
        assert code == 1, said
        assert err.startswith("covey: ")
        assert "Traceback" not in err
    file.write_text("[controller]\n")
    assert run(capsys, "check", "--config", str(file))[0] == 0, "nothing is asked of a server that the file leaves out"


def test_usage_is_told_apart_from_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", "kitchen")[0] == 2
    assert run(capsys, "show", "--threads", "3")[0] == 2
    assert run(capsys, "show", "server", "--threads", "x")[0] == 2


@pytest.mark.parametrize("module", ["covey_server", "covey_controller", "covey_dashboard"])
def test_the_processes_themselves_refuse_a_wrong_file(module: str, file: Path) -> None:
    file.write_text(
        FILE.replace("threads = 4", "treads = 4").replace("poll_seconds", "pol_seconds").replace("host =", "hots =")
    )
    command = [sys.executable, "-m", f"{module}.main", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert ended.returncode == 2
    assert "did you mean" in ended.stderr
    assert read_settings(SERVER, ["--data-directory", "d"], {})["threads"] == 8
