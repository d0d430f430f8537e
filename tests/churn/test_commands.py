"""`covey churn` as a person types it, as docs/churn.md shows it."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typed import commands_of, run


@pytest.fixture
def generated(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("events", 3), ("autumn", 4)):
        assert run(capsys, "generate", f"{name}.parquet", "--learners", 300, "--seed", seed, "--weeks", 16)[0] == 0
    return tmp_path


def test_the_commands_of_the_page(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = commands_of("churn.md")
    assert len(commands) == 5
    for command in commands:
        status, out, err = run(capsys, *shlex.split(command)[1:])
        assert (status, err) == (0, ""), command
        if "json" not in command.rpartition("--output")[1]:
            assert max(map(len, out.splitlines())) <= 80, command
    report = (generated / "report" / "report.md").read_text(encoding="utf-8")
    assert b"<svg" in (generated / "report" / "quality.svg").read_bytes()[:500]
    assert "![Calibration and gains](quality.svg)" in report and "who left for good" in report
    table = pq.read_table(generated / "scores.parquet")
    assert {"learner_id", "as_of", "probability", "variant", "reasons"} <= set(table.column_names)
    assert len(set(table["variant"].to_pylist())) == 2
    assert len(set(table["learner_id"].to_pylist())) == table.num_rows


def test_json_and_yaml_are_the_same_answer(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--fit", "logistic", "--save", "m.json"]
    _, trained, _ = run(capsys, "churn", "train", "events.parquet", *options, "--output", "json")
    model = json.loads((generated / "m.json").read_text())
    assert json.loads(trained)["digest"] == model["digest"]
    _, as_json, _ = run(capsys, "churn", "score", "events.parquet", "--model", "m.json", "--output", "json")
    _, as_yaml, _ = run(capsys, "churn", "score", "events.parquet", "--model", "m.json", "--output", "yaml")
    assert yaml.safe_load(as_yaml) == json.loads(as_json)
    said = json.loads(as_json)["learners"]
    assert [own["probability"] for own in said] == sorted((own["probability"] for own in said), reverse=True)
    _, judged, _ = run(
        capsys, "churn", "report", "events.parquet", "--model", "m.json", "--to", "r", "--output", "json"
    )
    assert "These are the rows that it was trained on" in json.loads(judged)["caution"]
    _, judged, _ = run(
        capsys, "churn", "report", "autumn.parquet", "--model", "m.json", "--to", "r", "--output", "json"
    )
    assert json.loads(judged)["caution"] == "" and json.loads(judged)["auc"] > 0.7


def test_given_dates_say_who_left(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = pq.read_table("events.parquet")
    last = events.group_by("learner_id").aggregate([("time", "max")]).to_pylist()
    end = max(own["time_max"] for own in last)
    left = [own for own in last if (end - own["time_max"]).days > 20]
    rows = {"who": [own["learner_id"] for own in left], "on": [own["time_max"] for own in left]}
    pq.write_table(pa.table(rows), "left.parquet")
    options = ["--save", "m.json", "--fit", "logistic", "--outcomes", "left.parquet:who:on"]
    status, out, err = run(capsys, "churn", "train", "events.parquet", *options)
    assert (status, err) == (0, "") and "the given date falls in the next 28 days" in " ".join(out.split())
    for outcomes, words in (
        ("left.parquet:who:when", "no column 'when'"),
        ("left.csv:who:on", "expected PATH.parquet:LEARNER:DATE"),
        ("right.parquet:who:on", "no such file"),
        ("left.parquet:on:who", "expected timestamps or dates"),
    ):
        status, _, err = run(capsys, "churn", "train", "events.parquet", "--save", "x.json", "--outcomes", outcomes)
        assert status == 1 and words in err
    pq.write_table(pa.table({"who": [-5], "on": [datetime(2025, 3, 1, tzinfo=UTC)]}), "left.parquet")
    status, _, err = run(capsys, "churn", "train", "events.parquet", *options)
    assert status == 1 and "no outcome is of a learner with events" in err
    assert not Path("x.json").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["train", "events.parquet", "--save", "m.json", "--horizon", 400], 1, "who leaves within 400 days cannot be"),
        (["train", "events.parquet", "--save", "m.json", "--name", "a b"], 1, "a name without"),
        (["score", "events.parquet", "--model", "events.parquet"], 1, "no model of churn"),
        (["score", "events.parquet", "--model", "none.json"], 1, "No such file"),
        (["train", "events.parquet"], 2, "--save"),
    ],
)
def test_refusals_say_why(
    generated: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], status: int, words: str
) -> None:
    found, _, err = run(capsys, "churn", *arguments)
    assert found == status
    assert words in " ".join(err.replace("│", "").split())
