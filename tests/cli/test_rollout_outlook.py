"""`covey rollout plan`, and what it adds to `check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey.cli import main

DEFAULT = str(Path(__file__).parents[2] / "examples" / "default-plan.yaml")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rollout", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(out.split()), err


def test_the_default_plan(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", DEFAULT, "--rate", "42/s", "--baseline-error", "0.0008"]
    outcome = ["--learners", "50000", "--outcome-cv", "1", "--paying-share", "2 %"]
    code, out, _ = run(capsys, *arguments, *outcome)
    assert code == 0
    assert "availability > 99.9 %: 3,024 requests in its time show it never; traffic_share: 5 % or hold: 6" in out
    assert "outcome 1 %: 5 % of a budget of 5 %" in out
    assert "5,000 candidate learners see changes of" in out
    assert "ramp: to roll back, revenue < -5 %: 5,000 candidate learners see falls of" in out
    code, out, _ = run(capsys, *arguments, "--output", "json")
    document = json.loads(out)
    assert document["false_rollback"]["total"] == pytest.approx(0.05)
    assert document["criteria"][0]["trials"] == 3024


def test_an_impossible_gate_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    bad = ["--rate", "42/s", "--baseline-error", "2 %"]
    for verb in ("plan", "check"):
        code, out, _ = run(capsys, verb, DEFAULT, *bad)
        assert code == 1
        assert "error: canary: error_rate < 1 %: impossible: the baseline itself, at 2 %" in out
    code, out, err = run(capsys, "create", DEFAULT, *bad)  # before any server is asked
    assert (code, out) == (1, "")
    assert "error: canary: error_rate < 1 %: impossible: the baseline itself, at 2 %" in err
    assert "was not created: no traffic opens the gates above" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "many"], "--rate"),
        (["--rate", "1/s", "--baseline-error", "1.5"], "--baseline-error"),
        (["--rate", "1/s", "--baseline-slow", "x"], "--baseline-slow"),
        (["--rate", "1/s", "--paying-share", "x"], "--paying-share"),
        (["--rate", "1/s", "--paying-share", "0"], "--paying-share"),
        (["--rate", "1e12/s"], "expected at most 1e+09"),
        (["--rate", "1e300/s"], "expected at most 1e+09"),
    ],
)
def test_wrong_usage_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, _, err = run(capsys, "plan", DEFAULT, *arguments)
    assert code == 2
    assert words in err


SHORT = """\
target: analyzer
baseline: reference
candidate: native
tick_interval: 1s
phases:
  - {name: all, traffic_share: 100 %, hold: 10s, criteria: [{statement: error_rate < 2 %, margin: 0}]}
triggers:
  - error_rate > 3 %
"""


def test_simulate_tells_how_a_plan_ends(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(SHORT)
    code, out, _ = run(capsys, "simulate", str(path), "--rate", "200/s", "--seeds", "3", "--candidate-error", "0.3")
    assert code == 0
    assert "ROLLED BACK all error_rate > 3 % 100 %" in out
    _, out, _ = run(capsys, "simulate", str(path), "--rate", "200/s", "--seeds", "2", "--output", "json")
    assert [ending["outcome"] for ending in json.loads(out)["endings"]] == ["SUCCEEDED", "SUCCEEDED"]
    assert run(capsys, "simulate", str(path), "--rate", "200/s", "--candidate-error", "2")[0] == 2
    assert run(capsys, "simulate", str(path), "--rate", "200/s", "--onset", "soon")[0] == 2
    for option, value in (("--operator", "bob"), ("--candidate-error", "nan"), ("--baseline-error", "1")):
        code, _, err = run(capsys, "simulate", str(path), "--rate", "200/s", option, value)
        assert code == 2
        assert option in err


def test_simulate_holds_harmless_rollouts_against_the_ledger(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(SHORT)
    few = ("simulate", str(path), "--rate", "200/s", "--seeds", "3", "--within-ledger")
    code, _, err = run(capsys, *few)
    assert code == 1
    assert "0 of 3, at most 78 % with 99 % confidence: not shown to be within the ledger's" in err
    code, _, err = run(capsys, *few, "--candidate-error", "0.3")
    assert code == 2
    assert "answers as the baseline does" in err
