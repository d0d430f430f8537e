"""`covey gates verify` as people run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey.cli import main
from covey.rollout.verify import run
from covey.rollout.verify.run import tasks_of


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three worlds of the smoke run."""
    names = ("healthy, 0.5 % errors, rc 100", "x3 of 0.085 % after 0 min, rc 100", "split as planned")

    def few_of(**choices: object) -> list[run.Task]:
        return [task for task in tasks_of(**choices) if task.world.name in names]  # type: ignore[arg-type]

    monkeypatch.setattr(run, "tasks_of", few_of)


@pytest.mark.usefixtures("few")
def test_it_passes_and_leaves_numbers_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, picture = tmp_path / "gates.json", tmp_path / "gates.svg"
    with pytest.raises(SystemExit) as ended:
        main(["gates", "verify", "--smoke", "--processes", "1", "--json", str(numbers), "--picture", str(picture)])
    assert not ended.value.code
    data = json.loads(numbers.read_text(encoding="utf-8"))
    assert data["holds"] is True
    assert [world["world"] for world in data["worlds"]][-1] == "split as planned"
    assert 0 <= data["worlds"][0]["rates"]["ratio"]["lower"] <= data["worlds"][0]["rates"]["ratio"]["upper"] < 0.03
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    out = capsys.readouterr().out
    assert "| healthy, 0.5 % errors, rc 100 |" in out
    assert "3,300 rollouts in" in out


@pytest.mark.usefixtures("few")
def test_broken_gates_are_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["gates", "verify", "--broken", "start-weights"])
    assert ended.value.code == 1
    assert "healthy, 0.5 % errors, rc 100" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--picture", "gates.pdf"],
        ["--broken", "nothing"],
        ["--json", "absent/gates.json"],
        ["--picture", "absent/gates.svg"],
    ],
)
def test_wrong_usage_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["gates", "verify", *arguments])
    assert ended.value.code == 2
    assert arguments[1].partition("/")[0] in capsys.readouterr().err
