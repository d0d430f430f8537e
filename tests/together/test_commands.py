"""`covey similar` and `covey groups` as a person types them, as docs/together.md shows them."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typed import commands_of, run

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def generated(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "generate", "events.parquet", "--learners", 300, "--seed", 3, "--weeks", 8)[0] == 0
    ids = sorted(set(pq.read_table("events.parquet")["learner_id"].to_pylist()))
    towns = ["Bonn" if at % 3 else "Ulm" for at in range(len(ids))]
    pq.write_table(pa.table({"id": ids, "town": towns}), "learners.parquet")
    Path("friends.csv").write_text("a,b\n" + "".join(f"{ids[at]},{ids[at + 3]}\n" for at in range(0, 60, 4)))
    return tmp_path / "events.parquet"


def learner_of(events: Path, position: int = 7) -> str:
    return str(sorted(set(pq.read_table(events)["learner_id"].to_pylist()))[position])


def test_the_commands_of_the_page(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = commands_of("together.md")
    assert len(commands) == 6
    for command in commands:
        typed = command.replace("learner-7", learner_of(generated))
        status, out, err = run(capsys, *shlex.split(typed)[1:])
        assert (status, err) == (0, ""), command
        if "json" not in command:
            assert max(map(len, out.splitlines())) <= 80, command
    report = (generated.parent / "report" / "report.md").read_text(encoding="utf-8")
    assert "of 300 learners" in report and "out of mixture" in report
    assert b"<svg" in (generated.parent / "report" / "groups.svg").read_bytes()[:500]
    assert pq.read_table("groups.parquet").num_rows == 300
    table = pq.read_table("neighbours.parquet")
    assert table.column_names == ["learner_id", "rank", "neighbour_id", "distance"] and table.num_rows == 3000


def test_a_table_about_learners_and_a_list_of_friends(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--about", "learners.parquet:id", "--same", "town", "--output", "json"]
    status, out, _ = run(capsys, "similar", generated, "--of", learner_of(generated, 6), *options)
    towns = dict(zip(*(pq.read_table("learners.parquet")[name].to_pylist() for name in ("id", "town")), strict=True))
    near = json.loads(out)["learners"][0]["neighbours"]
    assert status == 0 and len(near) == 10
    assert {towns[type(next(iter(towns)))(own["learner_id"])] for own in near} == {"Ulm"}
    kept = ["--friends", "friends.csv:a:b", "--friendship", "keep"]
    status, out, _ = run(capsys, "groups", generated, *options, *kept)
    assert status == 0
    data = json.loads(out)
    assert data["quality"]["friendships"]["value"] == 1.0
    assert {own["shares"] for own in data["groups"]} == {"town Bonn", "town Ulm"}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["similar"], 2, "name learners with --of ID"),
        (["similar", "--of", "nobody"], 1, "learner 'nobody' has no events"),
        (["similar", "--of", "SOMEBODY", "--max-distance", "0.000001"], 1, "so that nobody is named"),
        (["similar", "--of", "SOMEBODY", "--same", "town"], 1, "Name a table about the learners with --about"),
        (["similar", "--of", "SOMEBODY", "--where", "town"], 2, "is not of the form COLUMN=VALUE"),
        (["similar", "--of", "SOMEBODY", "--about", "learners.parquet"], 2, "is not of the form PATH:LEARNER"),
        (["groups", "--smallest", "200", "--largest", "250"], 1, "are too few for 2 of at least 200"),
        (["groups", "--most", "3"], 1, "at most 3 groups are allowed, and 10 would be needed"),
        (["groups", "--friends", "friends.csv:a:c"], 1, "column 'c': there is no such column"),
    ],
)
def test_refusals_say_why(
    generated: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    typed = [learner_of(generated) if own == "SOMEBODY" else own for own in arguments]
    found, _, err = run(capsys, typed[0], generated, *typed[1:])
    assert found == status
    assert words in " ".join(err.replace("│", "").split())


@pytest.mark.data
def test_the_example_says_what_the_page_says(
    shared_data: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = shared_data("mooc_dlt1_edgelist.parquet").parent
    monkeypatch.setattr(sys, "argv", ["mooc_together.py", str(data), str(tmp_path)])
    runpy.run_path(str(PROJECT / "examples" / "mooc_together.py"), run_name="__main__")
    out = capsys.readouterr().out
    page = (PROJECT / "docs" / "together.md").read_text(encoding="utf-8")
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    for row in rows:
        assert row in page
    assert "426 of 426 learners (100.0 %) in 19 groups of 22 to 23, of people alike." in out
    spreads = [float(own) for own in re.findall(r"spread (\S+),", out)]
    kept = [float(own) for own in re.findall(r"friendships (\S+),", out)]
    assert (round(spreads[0], 3), round(spreads[1], 3)) == (0.052, 0.043)
    assert (round(kept[0], 2), round(kept[1], 2)) == (0.24, 0.13)
    assert (tmp_path / "groups.png").stat().st_size > 20_000
