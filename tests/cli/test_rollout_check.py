"""`covey rollout check`: findings with their place, and what a plan takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from covey.cli import main

PLAN = """\
target: analyzer
baseline: reference
candidate: native
phases:
  - name: canary
    traffic_share: 1 %
    hold: 2h
    approvals: {roles: [engineering, operations]}
    criteria:
      - {statement: error_rate < 1 %, margin: 0}
      - statement: availability > 99.9 %
      - {statement: p99 < 200 ms, alpha: 1 %}
      - mismatch < 0.1 %
      - statement: revenue > -3 %
        accept_by: finance
  - name: rollout
    traffic_share: 100 %
    hold: 1h
    criteria: [{statement: error_rate < 0.1 %, margin: 0}]
triggers:
  - {statement: error_rate > 1.5 %, tolerance: 0, sustained: 2m}
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rollout", "check", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def test_a_plan_says_what_it_takes(capsys: pytest.CaptureFixture[str], plan: Path) -> None:
    code, out, err = run(capsys, str(plan))
    assert (code, err) == (0, "")
    rows = [line.rstrip() for line in out.splitlines()]
    assert any("availability > 99.9 %" in row and row.endswith(" 3,301") for row in rows)
    assert any(row.startswith("canary   1 %      2 h   error_rate < 1 %") and row.endswith(" 496") for row in rows)
    assert "Approvals before canary: engineering, operations" in out
    assert "error_rate > 1.5 % (for 2 min)" in out.replace("\n", " ")
    assert "0 errors, 0 warnings" in out


def test_everything_fits_80_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN)
    # The last line names the file, whose path may be as long as it likes.
    for arguments in ([str(path)], [str(path), "--rate", "42/s"]):
        _, out, _ = run(capsys, *arguments)
        assert max(len(line) for line in out.splitlines()[:-1]) <= 80
        assert "\x1b" not in out


def test_a_rate_says_what_is_out_of_reach(capsys: pytest.CaptureFixture[str], plan: Path) -> None:
    code, out, _ = run(capsys, str(plan), "--rate", "42/s")
    assert code == 0
    # The default canary at 42 requests/s: 3,024 candidate requests, and 3,301 are needed.
    assert "3,024: NO, needs 2.2 h" in out
    assert "out of reach at this rate" in out
    _, out, _ = run(capsys, str(plan), "--rate", "6000/min")
    assert "7,200: after 55 min" in out
    _, out, _ = run(capsys, str(plan), "--rate", "0")
    assert "0: NO, never" in out
    assert "Randomised: learners; the service splits learners, who stay" in out


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_the_same(capsys: pytest.CaptureFixture[str], plan: Path, form: str) -> None:
    code, out, _ = run(capsys, str(plan), "--rate", "0", "--output", form)
    document = json.loads(out) if form == "json" else yaml.safe_load(out)
    assert code == 0
    assert document["usable"] is True
    assert document["randomised_unit"] == "learner"
    needed = {row["statement"]: row for row in document["criteria"] if row["phase"] == "canary"}
    assert needed["availability > 99.9 %"]["clean_count"] == 3301
    assert needed["availability > 99.9 %"]["reachable"] is False
    assert needed["availability > 99.9 %"]["seconds"] is None
    assert needed["mismatch < 0.1 %"]["trials_name"] == "comparisons"
    assert needed["revenue > -3 %"]["clean_count"] is None
    assert needed["p99 < 200 ms"]["alpha"] == 0.01


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("hold: 2h", "holt: 2h", 7, "unknown key 'holt'"),
        ("error_rate < 1 %", "error_rat < 1 %", 10, "did you mean error_rate"),
        ("traffic_share: 1 %", "traffic_share: 120 %", 6, "outside 0 to 100 %"),
        ("availability > 99.9 %", "availability > 100 %", 11, "strictly between 0 and 100 %"),
        ("accept_by: finance", "defer: later", 15, "no later phase"),
    ],
)
def test_errors_have_their_line(
    capsys: pytest.CaptureFixture[str], plan: Path, wrong: str, right: str, line: int, words: str
) -> None:
    plan.write_text(PLAN.replace(wrong, right, 1))
    code, out, _ = run(capsys, str(plan))
    assert code == 1
    assert f"{plan}:{line}: error: " in out
    assert words in out
    assert "1 error, " in out
    code, out, _ = run(capsys, str(plan), "--output", "json")
    document = json.loads(out)
    assert code == 1
    assert document["usable"] is False
    assert document["criteria"] == []
    assert document["findings"][0]["place"] == f"{plan}:{line}"


def test_segments_by_cohort_are_named_and_asked_for(capsys: pytest.CaptureFixture[str], plan: Path) -> None:
    said = "Segments: cohorts by the model of"
    assert said not in run(capsys, str(plan))[1]
    plan.write_text(f"segment_source: stable_cohort\n{plan.read_text()}")
    code, out, _ = run(capsys, str(plan))
    assert code == 0
    assert said in out
    plan.write_text(plan.read_text().replace("stable_cohort", "cohort"))
    code, out, _ = run(capsys, str(plan))
    assert code == 1
    assert "plan.yaml:1: error" in out
    assert "stable_cohort" in out


def test_warnings_do_not_fail(capsys: pytest.CaptureFixture[str], plan: Path) -> None:
    plan.write_text(PLAN.partition("triggers:")[0])
    code, out, _ = run(capsys, str(plan))
    assert code == 0
    assert "warning: " in out
    assert "1 warning" in out


def test_what_is_no_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    code, _, err = run(capsys, str(missing))
    assert code == 1
    assert f"{missing}: No such file" in err
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    code, _, err = run(capsys, str(binary))
    assert code == 1
    assert "no UTF-8" in err
    (tmp_path / "empty.yaml").write_text("")
    code, out, _ = run(capsys, str(tmp_path / "empty.yaml"))
    assert code == 1
    assert "empty" in out


@pytest.mark.parametrize("rate", ["fast", "-1", "3/week", "inf"])
def test_a_wrong_rate_is_wrong_usage(capsys: pytest.CaptureFixture[str], plan: Path, rate: str) -> None:
    code, _, err = run(capsys, str(plan), "--rate", rate)
    assert code == 2
    assert "42/s" in err


CALENDAR = """calendar:
  time_zone: Europe/Berlin
  freezes: [{name: for good, start_time: 2000-01-01T00:00:00Z, end_time: 2099-01-04T08:00:00Z}]
  emergency: {roles: [engineering, operations], quorums: [{role: operations, people_count: 2}], valid_for: 24h}
"""


def test_the_check_says_when_each_phase_can_begin(capsys: pytest.CaptureFixture[str], plan: Path) -> None:
    plan.write_text(PLAN + CALENDAR)
    code, out, _ = run(capsys, str(plan))
    assert code == 0
    shown = " ".join(out.split())
    assert "canary begins never: freeze 'for good'" in shown
    assert "rollout begins never: after a phase that cannot begin" in shown
    assert "In spite of the calendar by: engineering, 2 people of operations; each valid for 1 d" in shown
    plan.write_text(PLAN + CALENDAR.replace("2099-01-04", "2001-01-04"))
    assert "canary begins never" not in run(capsys, str(plan))[1]


def test_a_zone_that_is_none_is_an_error_of_the_plan(capsys: pytest.CaptureFixture[str], plan: Path) -> None:
    plan.write_text(PLAN + CALENDAR.replace("Europe/Berlin", "Europe/Berlim"))
    code, out, _ = run(capsys, str(plan))
    assert code == 1
    assert "'Europe/Berlim' is no time zone; expected an IANA name such as Europe/Berlin" in " ".join(out.split())
