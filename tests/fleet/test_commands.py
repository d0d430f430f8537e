"""`covey fleet` as a person types it, and as docs/regions.md shows it, over three real control ports."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covey.cli import main
from covey.v1.rollouts_pb2 import Rollout

from .conftest import Regions
from .fleets import EXAMPLE

PAGE = Path(__file__).parents[2] / "docs" / "regions.md"
APPROVALS = "hold: 100s\n      approvals: {roles: [operations]}"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.fixture
def regions(regions_of: Callable[..., Regions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Regions:
    """Three regions and their file, fleet.yaml, in the folder where one is."""
    made = regions_of(waves=(1, 2, 2), tolerated=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("COVEY_ACTOR", "ada")
    Path("fleet.yaml").write_text(made.text.replace("hold: 100s", APPROVALS, 1))
    Path("examples").mkdir()
    Path("examples/fleet.yaml").write_text(EXAMPLE.read_text())
    return made


def drive(regions: Regions) -> None:
    """What the regions' controllers do while nobody types: to the end."""
    for name, client in regions.clients.items():
        if client.get_rollout("three").HasField("start_time"):
            regions.go_on(name, 80)


def test_the_commands_of_the_page(regions: Regions, capsys: pytest.CaptureFixture[str]) -> None:
    """In the page's order; `run` and `watch` go on until the end there, so that the regions get there first."""
    text = PAGE.read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
                for line in block.strip().splitlines() if line.startswith("covey fleet")]  # fmt: skip
    assert len(commands) == 9
    said: dict[str, tuple[int, str, str]] = {}
    for command in commands:
        words = shlex.split(command)[1:]
        if words[1] == "run":
            assert run(capsys, *words, "--once", "--interval", "1s")[0] == 0
            drive(regions)
            assert run(capsys, *words, "--once")[0] == 0
            # One of its people takes the second wave's last region back; the page's own abort of it then comes late.
            assert (
                run(capsys, "fleet", "abort", "fleet.yaml", "--region", "ap", "--reason", "a strike", "--yes")[0] == 0
            )
            sign(regions, "us")
            drive(regions)
        said[" ".join(words[1:2] + words[3:4])] = run(capsys, *words)
    assert said["check"][0] == 0 and "wave 2: us, ap" in said["check"][1]
    assert said["create"][0] == 0 and "DRAFT" in said["create"][1]
    assert "eu: operations signed phase canary" in said["approve --wave"][1]
    assert said["run"][0] == 0 and "SUCCEEDED" in said["run"][1]
    assert said["status"][0] == 0 and "ABORTED" in said["status"][1]
    assert max(map(len, said["status"][1].splitlines())) <= 80
    assert "SUCCEEDED" in said["watch"][1]
    assert Path("reports/fleet.html").stat().st_size > 3000 and Path("reports/fleet.md").exists()
    assert said["abort --region"][0] == 0, "asked again in the same words, it answers as the first time"
    assert said["abort --reason"][0] == 0, "everybody has ended, which changes nothing"


def sign(regions: Regions, name: str) -> None:
    regions.clients[name].approve_rollout("three", "canary", "operations", reason="looked at it")


def test_status_as_json(regions: Regions, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fleet", "status", "fleet.yaml", "--output", "json")
    data = json.loads(out)
    assert (code, data["state"]) == (0, "PLANNED")
    assert [it["name"] for it in data["regions"]] == ["eu", "us", "ap"]
    assert {it["verb"] for it in data["next"]} == {"create"}


def test_abort_of_everything_says_who_was_not_reached(regions: Regions, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fleet", "run", "fleet.yaml", "--once")[0] == 0
    regions.cut("us")
    code, out, err = run(capsys, "fleet", "abort", "fleet.yaml", "--reason", "a law", "--yes", "--timeout", "2s")
    assert code == 5 and "us did not answer" in err
    assert "ROLLING BACK" in out
    assert regions.clients["eu"].get_rollout("three").state == Rollout.STATE_ABORTED
    regions.heal("us")
    code, out, _ = run(capsys, "fleet", "run", "fleet.yaml")
    assert (code, regions.clients["us"].get_rollout("three").state) == (3, Rollout.STATE_ABORTED)
    assert "us: abort-all" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("status", "nowhere.yaml"), 1, "nowhere.yaml"),
        (("approve", "fleet.yaml", "--wave", "7", "--role", "operations"), 2, "--wave 7"),
        (("abort", "fleet.yaml", "--reason", " ", "--yes"), 2, "--reason"),
        (("abort", "fleet.yaml", "--reason", "x", "--region", "mars", "--yes"), 2, "the regions are eu, us, ap"),
        (("status", "fleet.yaml", "--timeout", "soon"), 2, "--timeout"),
    ],
)
def test_what_is_wrong_is_said(
    regions: Regions, capsys: pytest.CaptureFixture[str], arguments: Any, code: int, says: str
) -> None:
    ended, _, err = run(capsys, "fleet", *arguments)
    assert (ended, says in err) == (code, True), err


def test_a_file_with_a_mistake_is_refused_with_its_line(regions: Regions, capsys: pytest.CaptureFixture[str]) -> None:
    Path("fleet.yaml").write_text(regions.text.replace("wave: 1", "wave: first"))
    code, _, err = run(capsys, "fleet", "check", "fleet.yaml")
    assert code == 2 and re.search(r"fleet\.yaml:\d+:", err)
