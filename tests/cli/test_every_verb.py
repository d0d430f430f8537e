"""Every verb: its help fits 80 columns and names its options, and what it answers is also JSON and YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from covey.cli import COMMANDS, main

PROJECT = Path(__file__).resolve().parents[2]
PROCESSES = {"serve", "controller", "dashboard"}
# They print the configuration of another program, in that program's own form, or a page.
OTHER_FORMS = {
    "router haproxy",
    "router xds-bootstrap",
    "monitoring rules",
    "monitoring dashboard",
    "deploy systemd",
    "config reference",
    "experiment report",
}
EXAMPLE = str(PROJECT / "examples" / "demo-plan.yaml")


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb as one types it, and its command."""
    for name, home in COMMANDS.items():
        module, _, application = home.path.partition(":")
        command = get_command(getattr(import_module(module), application))
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield name, command
        else:
            yield from ((f"{name} {verb}", each) for verb, each in subcommands.items())


VERBS = dict(verbs())


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in PROCESSES])
def test_help_fits_80_columns_and_says_what_every_option_is_for(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *verb.split(), "--help")
    assert (code, err) == (0, "")
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out
    visible = [option for option in VERBS[verb].params if not getattr(option, "hidden", False)]
    assert [option.name for option in visible if not option.help] == []
    shown = " ".join(out.split())
    assert all(option.opts[0] in shown for option in visible if option.opts[0].startswith("--"))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in PROCESSES | OTHER_FORMS])
def test_every_verb_answers_in_every_form(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *verb.split(), "--output", "xml")
    assert code == 2
    assert {"'xml'", "'table'", "'json'", "'yaml'"} <= set(re.findall(r"'\w+'", err))


def same(json_text: str, yaml_text: str) -> Any:
    """What both say."""
    document = json.loads(json_text)
    assert yaml.safe_load(yaml_text) == document
    return document


@pytest.mark.parametrize(
    "arguments",
    [
        ("rollout", "check", EXAMPLE, "--rate", "200/s"),
        ("rollout", "plan", EXAMPLE, "--rate", "200/s"),
        ("rollout", "simulate", EXAMPLE, "--rate", "200/s", "--seeds", "1"),
        ("state", "failpoints"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_verbs_without_a_server(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, table, _ = run(capsys, *arguments)
    assert code == 0
    assert max(len(line) for line in table.splitlines()) <= 80
    assert same(run(capsys, *arguments, "-o", "json")[1], run(capsys, *arguments, "-o", "yaml")[1])


def test_generated_events_and_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events, tokens = tmp_path / "events.parquet", str(tmp_path / "tokens.json")
    _, out, _ = run(capsys, "generate", str(events), "--learners", "50", "-o", "json")
    assert json.loads(out)["learner_count"] == 50
    _, out, _ = run(capsys, "token", "create", "ada", "--tokens", tokens, "--role", "viewer", "-o", "json")
    made = json.loads(out)
    assert made["token"].startswith("covey_")
    _, out, _ = run(capsys, "token", "revoke", made["id"], "--tokens", tokens, "-o", "yaml")
    assert yaml.safe_load(out) == {"id": made["id"], "revoked": True}


LOOKS = [
    ("status",),
    ("schedule",),
    ("list",),
    ("explain",),
    ("history",),
    ("incident",),
    ("report", "--directory", "report"),
]


def test_verbs_that_look_fit_80_columns_and_are_data_too(
    covey: Any, started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started(ticks=4)
    for name, *options in LOOKS:
        arguments = [name, *([] if name == "list" else ["native"]), *options]
        table = covey(*arguments)
        assert table.code == 0, table.err
        assert max(len(line.rstrip()) for line in table.out.splitlines()) <= 80, name
        assert "\x1b" not in table.out
        as_json, as_yaml = covey(*arguments, "-o", "json").out, covey(*arguments, "-o", "yaml").out
        if name in {"list", "status", "history", "incident"}:
            same(as_json, as_yaml)
        else:  # what they say may name the instant
            assert type(json.loads(as_json)) is type(yaml.safe_load(as_yaml)) is dict


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("rollout", "status", "absent", "--control", "127.0.0.1:1"), r"covey serve|--control"),
        (("rollout", "check", "absent.yaml"), r"expected a plan in YAML, see examples/"),
        (("rollout", "start", "x", "--timeout", "soon"), r"--timeout"),
        (("rollout", "report"), r"name one rollout, or give --journal FILE"),
        (("analyze", "absent.parquet"), r"no such file"),
        (("analyze", EXAMPLE), r"expected an intact Parquet file"),
        (("state", "backup", "folder", "--data-directory", "absent"), r"absent"),
        (("audit", "verify", "--data-directory", "absent"), r"absent"),
        (("demo", "--fault", "nonsense"), r"expected one of"),
        (("rollouts",), r"rollout"),
        (("rollout", "statsu", "x"), r"status"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_errors_say_what_to_do_next(
    arguments: tuple[str, ...], remedy: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code in {1, 2, 5}
    assert out == ""
    assert re.search(remedy, " ".join(err.split())), err
    assert "Traceback" not in err
