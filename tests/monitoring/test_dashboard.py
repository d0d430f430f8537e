"""The dashboard can be drawn: nothing overlaps, everything is named; and the command writes what was tested."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from covey.cli import main
from covey.monitoring.dashboard import dashboard
from covey.monitoring.objectives import Objectives
from covey.monitoring.rules import groups

BOARD = dashboard(Objectives())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def test_panels_lie_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_every_panel_has_a_name_and_a_number_of_its_own() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert all(panel["targets"] for panel in PANELS)


def test_panels_use_recorded_series_that_the_rules_record() -> None:
    recorded = {
        rule["record"] for group in groups(Objectives())["groups"] for rule in group["rules"] if "record" in rule
    }
    used = {name for panel in PANELS for one in panel["targets"] for name in re.findall(r"\w+:\w+:\w+", one["expr"])}
    assert used
    assert used <= recorded


def test_only_variables_that_there_are_are_used() -> None:
    known = {variable["name"] for variable in BOARD["templating"]["list"]}
    text = json.dumps(BOARD).replace("$__all", "")
    assert set(re.findall(r"\$\{?(\w+)", text)) <= known | {"1"}


def test_the_command_writes_both(tmp_path: Path) -> None:
    for what, arguments in (("rules", ["--job", "prod", "--objective", "99.5"]), ("dashboard", [])):
        with pytest.raises(SystemExit) as ended:
            main(["monitoring", what, "--file", str(tmp_path / what), *arguments])
        assert ended.value.code == 0
    assert json.loads((tmp_path / "dashboard").read_text()) == BOARD
    written = yaml.safe_load((tmp_path / "rules").read_text())
    assert written == groups(Objectives(answered_share=0.995), job="prod")


def test_what_the_option_was_called_still_works_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output` is a form everywhere else."""
    for verb, option, now in (
        (["monitoring", "dashboard"], tmp_path / "board.json", "--file"),
        (["deploy", "systemd"], tmp_path / "units", "--directory"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*verb, "--output", str(option)])
        assert ended.value.code == 0
        assert f"--output is called {now} here" in capsys.readouterr().err
        assert option.exists()
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "systemd"])
    assert (ended.value.code, "--directory is missing" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--objective", "100"], 2, "--objective is 100"),
        (["--latency-objective", "0"], 2, "--latency-objective is 0"),
        (["--latency", "soon"], 2, "--latency"),
        (["--latency", "2h"], 2, "1 ms to 60 s"),
        (["--period-days", "0"], 2, "more than 0"),
        (["--file", "/nowhere/rules.yaml"], 1, "--file /nowhere/rules.yaml"),
    ],
)
def test_mistakes_are_named(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["monitoring", "rules", *arguments])
    assert ended.value.code == code
    assert said in capsys.readouterr().err
