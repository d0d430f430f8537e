"""`covey rollout replay`: journals and tables of counters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from covey.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "historical-canary"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rollout", "replay", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_historical_canary_and_its_explanation(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "explained.md"
    arguments = [str(EXAMPLE / "samples.csv"), "--spec", str(EXAMPLE / "plan.yaml"), "--report", str(report)]
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    told = " ".join(out.split())
    assert "HOLDING: not shown yet: error_rate < 1 %, availability > 99.9 %" in told
    assert "0 of 380 candidate requests failed; not enough evidence, needs 116 more" in told
    text = report.read_text()
    assert "cannot come from these counters" in text
    concluded, _, open_questions = text.partition("## What could not be concluded")
    assert "is at most 1.46 %" in concluded
    assert "needs 2,921 more" in open_questions


def test_programs_get_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, str(EXAMPLE / "samples.csv"), "--spec", str(EXAMPLE / "plan.yaml"), "--output", "json")
    document = json.loads(out)
    assert code == 0
    assert document["decision"] == "HOLDING"
    assert document["verdicts"][0]["needed_count"] == 116


def test_parquet_says_what_csv_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [line for line in (EXAMPLE / "samples.csv").read_text().splitlines() if not line.startswith("#")]
    plain = tmp_path / "plain.csv"
    plain.write_text("\n".join(lines))
    table = pyarrow.csv.read_csv(plain)
    pq.write_table(
        table.set_column(5, "printed_error_rate", table["printed_error_rate"].cast(pa.string())), tmp_path / "s.parquet"
    )
    told = [
        json.loads(run(capsys, str(path), "--spec", str(EXAMPLE / "plan.yaml"), "--output", "json")[1])["verdicts"]
        for path in (EXAMPLE / "samples.csv", tmp_path / "s.parquet")
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "name a journal"),
        ([str(EXAMPLE / "samples.csv")], 2, "counters need a plan"),
        (["nowhere.csv", "--spec", str(EXAMPLE / "plan.yaml")], 1, "nowhere.csv"),
        (["nowhere.json"], 1, "no such file"),
        ([str(EXAMPLE / "samples.csv"), "--spec", "nowhere.yaml"], 1, "nowhere.yaml"),
        ([str(EXAMPLE / "samples.csv"), "--spec", str(EXAMPLE / "plan.yaml"), "--operator", "me"], 2, "--operator"),
        ([str(EXAMPLE / "samples.csv"), "--spec", str(EXAMPLE / "plan.yaml"), "--begin", "soon"], 2, "--begin"),
        # Counters of intervals read as totals fall.
        ([str(EXAMPLE / "samples.csv"), "--spec", str(EXAMPLE / "plan.yaml"), "--cumulative"], 1, "row 2, column"),
    ],
)
def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    ended, out, err = run(capsys, *arguments)
    assert (ended, out) == (code, "")
    assert words in err


def test_a_live_journal_and_its_file(covey: Any, started: Callable[..., Any], plane: Any, tmp_path: Path) -> None:
    started(ticks=30)
    ran = covey("replay", "native")
    assert ran.code == 0
    assert "the same decisions, byte for byte" in ran.out
    history = covey("history", "native", "--ticks", "--output", "json").out
    path = tmp_path / "journal.json"
    path.write_text(history)
    assert "the same decisions" in covey("replay", str(path)).out
    changed = json.loads(history)
    entered = next(entry for entry in changed if "phase_entered" in entry)
    entered["phase_entered"]["candidate_weight_bp"] += 100
    path.write_text(json.dumps(changed))
    ran = covey("replay", str(path))
    assert ran.code == 1
    assert "other contents" in ran.out
    # The same plan, as another: its decisions are told.
    ran = covey("replay", "native", "--spec", str(plane.plan))
    assert ran.code == 0
    assert "begins" in ran.out
