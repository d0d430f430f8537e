"""`covey experiment` and `covey segments` as a person types them, and the commands of their pages."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from docs.reading import commands
from pyarrow.csv import write_csv

from covey.cli import main

PROJECT = Path(__file__).resolve().parents[2]
MAKE = PROJECT / "examples" / "course-experiment" / "make.py"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("course") / "course.parquet"
    spec = importlib.util.spec_from_file_location("make_course", MAKE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pq.write_table(module.course(), path)
    return path


REVENUE = ("--outcome", "revenue=mean:revenue;cuped=revenue_before;worth=1 EUR;minimum=2%")
KEPT = ("--outcome", "kept=proportion:kept")
LEFT = ("--outcome", "left=time:days,left")


def test_a_table_in_80_columns(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "experiment", "analyze", course, *REVENUE, *KEPT, *LEFT)
    assert (status, err) == (0, "")
    assert out.startswith("40,000 units. improved: revenue by guided, ")
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out
    words = " ".join(out.split())
    assert "EUR for 100,000 learners: +" in words
    assert "always valid may claim a difference at any look" in words
    assert "finding the minimum effect takes" in words


def test_json_yaml_and_csv_are_the_same_answer(
    course: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = tmp_path / "course.csv"
    write_csv(pq.read_table(course), text)
    _, as_json, _ = run(capsys, "experiment", "analyze", course, *REVENUE, *LEFT, "--output", "json")
    _, as_yaml, _ = run(capsys, "experiment", "analyze", course, *REVENUE, *LEFT, "--output", "yaml")
    _, of_csv, _ = run(capsys, "experiment", "analyze", text, *REVENUE, *LEFT, "--output", "json")
    data = json.loads(as_json)
    assert data == yaml.safe_load(as_yaml) == json.loads(of_csv)
    assert [one["verdict"] for one in data["comparisons"]] == ["IMPROVED", "IMPROVED"]
    assert {reading["kind"] for reading in data["comparisons"][0]["readings"]} == {
        "FIXED",
        "GROUP_SEQUENTIAL",
        "ALWAYS_VALID",
    }


def test_segments_say_whom_it_harms(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = ("--segment", "region", "--segment", "tenure:q4")
    status, out, err = run(capsys, "segments", course, *REVENUE, *LEFT, *parts)
    assert (status, err) == (0, "")
    assert "1. Keep region = islands on the control: guided makes revenue worse there" in " ".join(out.split())
    assert max(len(line) for line in out.splitlines()) <= 80
    _, as_json, _ = run(capsys, "segments", course, *REVENUE, *parts, "--output", "json")
    data = json.loads(as_json)
    verdicts = {row["name"]: row["verdict"] for row in data["tables"][0]["segments"]}
    assert [name for name, verdict in verdicts.items() if verdict == "HARMED"] == ["islands"]
    assert len(data["tables"]) == 2


def test_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--outcome", "kept:share=62%,minimum=2%", "--per-day", 3000, "--units", 40_000)
    status, out, _ = run(capsys, "experiment", "plan", *arguments)
    assert status == 0
    assert "find" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    _, as_json, _ = run(capsys, "experiment", "plan", *arguments, "--output", "json")
    (line,) = json.loads(as_json)["outcomes"]
    assert line["fixed_unit_count"] < line["group_sequential_unit_count"] < line["always_valid_unit_count"]
    assert line["expected_unit_count"] < line["fixed_unit_count"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("analyze", "{course}", "--outcome", "y=mean:revenu"),
            "column 'revenu': there is no such column. Did you mean",
        ),
        (("analyze", "{course}", "--outcome", "y"), "'y' is no outcome; expected NAME=KIND:COLUMN"),
        (("analyze", "missing.parquet", *KEPT), "there is no such file"),
        (("analyze", "{make}", *KEPT), "cannot be read as parquet"),
        (("analyze", "{course}", *KEPT, "--decide-by", "never"), "decide_by is 'never'"),
        (("analyze", "{course}", *KEPT, "--split", "control"), "'control' is no split"),
        (("plan", "--outcome", "y:mean=1"), "says too little or too much"),
        (("plan", "--outcome", "y"), "is no outcome to plan"),
        (("report", "{course}", *KEPT, "--to", "/nowhere/at/all.html"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[str, ...], message: str, course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(course=course, make=MAKE) if "{" in word else word for word in arguments]
    status, out, err = run(capsys, "experiment", *filled)
    assert (status, out) == (1, "")
    assert message in err


def test_a_report_is_one_file_with_its_pictures(
    course: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    status, out, _ = run(
        capsys, "experiment", "report", course, *REVENUE, *KEPT, *LEFT, "--segment", "region", "--to", page,
        "--title", "A <b>course</b>",
    )  # fmt: skip
    assert status == 0
    assert f"written to {page}" in out
    text = page.read_text()
    assert text.count("<svg ") == 1 + 3
    assert "A &lt;b&gt;course&lt;/b&gt;" in text
    assert "<script" not in text
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for word in ("What to do", "Three readings", "In the units of the business", "By segment", "islands"):
        assert word in text


@pytest.mark.parametrize("page", ["experiments", "segments"])
def test_the_commands_of_the_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [one.bare for one in commands(PROJECT / "docs" / f"{page}.md") if not one.bare.startswith("grpcurl")]
    assert len(typed) >= 3
    monkeypatch.chdir(tmp_path)
    for command in typed:
        words: list[Any] = shlex.split(command)
        if words[0] == "python":
            subprocess.run([sys.executable, str(PROJECT / words[1]), *words[2:]], check=True, timeout=120)
            continue
        assert words[0] == "covey"
        status, out, err = run(capsys, *words[1:])
        assert (status, err) == (0, ""), command
        assert out
