"""`covey evolve` as a person types it, as docs/evolution.md shows it, and the example."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typed import commands_of, run

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def generated(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "generate", "events.parquet", "--learners", 300, "--seed", 3, "--weeks", 10)[0] == 0
    return tmp_path / "events.parquet"


def test_the_commands_of_the_page(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = commands_of("evolution.md")
    assert len(commands) == 4
    for command in commands:
        status, out, err = run(capsys, *shlex.split(command)[1:])
        assert (status, err) == (0, ""), command
        if "json" not in command:
            assert max(map(len, out.splitlines())) <= 80, command
    report = (generated.parent / "report" / "report.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\((\S+\.svg)\)", report):
        assert b"<svg" in (generated.parent / "report" / name).read_bytes()[:500]
    assert "Next cohort: right for" in report and "How often to assign anew" in report
    table = pq.read_table(generated.parent / "states.parquet")
    assert table.column_names == ["learner_id", "as_of", "cohort"]
    assert len(set(zip(table["learner_id"].to_pylist(), table["as_of"].to_pylist(), strict=True))) == table.num_rows


def test_json_and_yaml_are_the_same_answer(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--every", 7, "--k", 2, "--schedule", "1,2"]
    _, as_json, _ = run(capsys, "evolve", generated, *options, "--output", "json")
    _, as_yaml, _ = run(capsys, "evolve", generated, *options, "--output", "yaml")
    data = json.loads(as_json)
    assert yaml.safe_load(as_yaml) == data
    assert data["learner_count"] == 300
    for item in data["snapshots"]:
        assert sum(item["learner_counts"]) + item["not_there_yet_count"] == 300
    moves = sum(map(sum, data["transitions"]["counts"]))
    assert moves == sum(sum(item["learner_counts"]) for item in data["snapshots"][:-1])


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--every", 400], 1, "a snapshot every 400 days gives 1"),
        (["--k", 900], 1, "k is 900"),
        (["--first", "1999-01-01", "--every", 28], 1, "is before every event"),
        (["--every", 28, "--forecast"], 1, "leave nothing to judge a forecast by"),
        (["--every", 7, "--schedule", "1,9"], 1, "too few to judge an assignment every 9"),
        (["--schedule", "weekly"], 2, "no list of whole numbers"),
    ],
)
def test_refusals_say_why(
    generated: Path, capsys: pytest.CaptureFixture[str], options: list[object], status: int, words: str
) -> None:
    found, _, err = run(capsys, "evolve", generated, *options)
    assert found == status
    assert words in " ".join(err.replace("│", "").split())


@pytest.mark.data
def test_the_example_says_what_the_page_says(
    shared_data: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = shared_data("oulad_student_vle.parquet").parent
    monkeypatch.setattr(sys, "argv", ["oulad_evolution.py", str(data), str(tmp_path)])
    runpy.run_path(str(PROJECT / "examples" / "oulad_evolution.py"), run_name="__main__")
    out = capsys.readouterr().out
    page = (PROJECT / "docs" / "evolution.md").read_text(encoding="utf-8")
    gain = re.search(r"by \+(\S+) points", out)
    assert gain is not None and abs(float(gain[1]) - 0.5) < 0.4
    right = re.search(r"right for (\S+) % of 4,536 moves .* one is, (\S+) %", out)
    assert right is not None and abs(float(right[1]) - 88.6) < 0.4
    assert (
        right[2] == "88.1" and "| stays where it is | 88.1 % |" in page and "| logistic regression | 88.6 % |" in page
    )
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for row in ("| 28 days | 13.8 % | 0.069 | 0.206 | +0.074 to +0.091 |", "| 91 days | 26.9 % | 0.031 | 0.300 |"):
        assert row in report and row in page
    assert (tmp_path / "flows-monthly.png").stat().st_size > 20_000
