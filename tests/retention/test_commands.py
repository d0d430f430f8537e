"""`covey retention` as a person types it, and as docs/retention.md shows it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typed import commands_of, run


@pytest.fixture
def generated(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "generate", "events.parquet", "--learners", 600, "--seed", 3, "--weeks", 12)[0] == 0
    return tmp_path / "events.parquet"


def test_the_commands_of_the_page(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = commands_of("retention.md")
    assert len(commands) == 4
    for command in commands:
        status, out, err = run(capsys, *shlex.split(command)[1:])
        assert (status, err) == (0, ""), command
        if "json" not in command:
            assert max(map(len, out.splitlines())) <= 80, command
            assert "Log-rank" in out or "--by" not in command or "No test" in out
    assert b"<svg" in (generated.parent / "triangle.svg").read_bytes()[:500]
    assert b"<svg" in (generated.parent / "curves.svg").read_bytes()[:500]


def test_json_and_yaml_are_the_same_answer(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, as_json, _ = run(capsys, "retention", generated, "--days", "7,28+", "--output", "json")
    _, as_yaml, _ = run(capsys, "retention", generated, "--days", "7,28+", "--output", "yaml")
    data = json.loads(as_json)
    assert yaml.safe_load(as_yaml) == data
    assert data["all"]["learner_count"] == 600 == sum(group["learner_count"] for group in data["groups"])
    assert [cell["days"] for cell in data["all"]["intervals"]] == ["7", "28+"]
    assert data["curves"]["groups"][-1]["group"] == "all"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--away-after", 400], "a silence of 400 days cannot be told from the end of the data"),
        (["--days", "300"], "no learner has completed interval 300"),
        (["--by", "archetype", "--days", "7"], "lies within the first 14 days"),
        (["--as-of", "1999-01-01"], "every event is later than as_of"),
        (["--picture", "triangle.bmp"], "'triangle.bmp' is no picture"),
        (["--curves-picture", "c.svg", "--as-of", "2025-01-20"], "no curves to draw"),
    ],
)
def test_refusals_say_why(
    generated: Path, capsys: pytest.CaptureFixture[str], options: list[object], words: str
) -> None:
    status, _, err = run(capsys, "retention", generated, *options)
    assert status == 1
    assert words in err


@pytest.mark.data
def test_a_real_course(
    shared_data: Callable[[str], Path], oulad_mapping: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The Open University's course AAA and the part of BBB that is there, up to day 133; counted once in pandas too."""
    import pandas as pd

    path = shared_data("oulad_student_vle.parquet")
    options = [part for name, value in oulad_mapping.items() for part in (f"--{name.replace('_', '-')}", value)]
    status, out, err = run(
        capsys, "retention", path, *options, "--as-of", "1970-05-14T23:59:59.999999", "--days", "28,28-34,28+",
        "--by", "none", "--output", "json",
    )  # fmt: skip
    assert status == 0, err
    frame = pd.read_parquet(path, columns=["id_student", "date"])
    frame = frame[frame.date <= 133]
    first = frame.groupby("id_student").date.transform("min")
    offset = frame.date - first
    for cell, last, hit in zip(
        json.loads(out)["all"]["intervals"], (28, 34, 28), (offset == 28, offset.between(28, 34), offset >= 28),
        strict=True,
    ):  # fmt: skip
        complete = first + last <= 133
        assert cell["eligible_count"] == frame[complete].id_student.nunique() > 2_000
        assert cell["retained_count"] == frame[complete & hit].id_student.nunique()
