"""`covey intervene` as docs/interventions.md shows it, from made-up learners to the effect."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from controller.receivers import receiver
from typed import commands_of, run

PROJECT = Path(__file__).parents[2]


def draws(capsys: pytest.CaptureFixture[str], report: list[str], text: str, told_count: int) -> None:
    """The page's report of what was told."""
    status, out, err = run(capsys, *report)
    assert (status, err) == (0, "") and max(map(len, out.splitlines())) <= 80
    assert "welcome-back: Split as planned (p = " in out and "Written to report." in out
    told = Path("report", "report.md").read_text()
    assert f"{told_count} told, 0 waiting" in told
    assert {path.name for path in Path("report").iterdir()} == {"report.md", "effects.svg", "days-welcome-back.svg"}
    Path("other.yaml").write_text(text.replace("playbook: welcome-back", "playbook: nobody"))
    status, out, _ = run(capsys, *report, "--also", "other.yaml", "--output", "json")
    both = json.loads(out)
    assert status == 0 and set(both["playbooks"]) == {"welcome-back"} and "nobody was chosen" in both["not_measured"][0]
    assert both["playbooks"]["welcome-back"]["action_counts"] == {"told": told_count}
    assert "**Not measured:** nobody was chosen under 'nobody' yet" in Path("report", "report.md").read_text()
    status, _, err = run(capsys, "intervene", "report", "other.yaml", *report[3:])
    assert status == 1 and "nobody was chosen under 'nobody' yet" in err


def test_the_commands_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        (PROJECT / "examples" / "welcome-back.yaml").read_text().replace("min_probability: 0.2", "min_probability: 0")
    )
    Path("welcome-back.yaml").write_text(text)
    assert run(capsys, "generate", "later.parquet", "--learners", 300, "--seed", 3, "--weeks", 16)[0] == 0
    train = ["churn", "train", "later.parquet", "--fit", "logistic", "--save", "m.json"]
    assert run(capsys, *train)[0] == 0
    score = [
        "churn",
        "score",
        "later.parquet",
        "--model",
        "m.json",
        "--as-of",
        "2025-03-03",
        "--save",
        "scores.parquet",
    ]
    assert run(capsys, *score)[0] == 0
    plan, deliver, effect, report = (shlex.split(line)[1:] for line in commands_of("interventions.md"))
    status, out, err = run(capsys, *plan, "--dry-run", "--output", "json")
    dry = json.loads(out)
    assert (status, err, dry["waiting_count"]) == (0, "", 0) and dry["action_count"] > 100
    assert not Path("actions.sqlite").exists()
    status, out, _ = run(capsys, *plan)
    assert (
        status == 0 and f"{dry['action_count']} actions were planned" in out and max(map(len, out.splitlines())) <= 80
    )
    _, out, _ = run(capsys, *plan, "--output", "json")
    assert json.loads(out)["action_count"] == 0 and json.loads(out)["waiting_count"] == dry["action_count"]
    with receiver([503]) as sink:
        command = [sink.url if "http" in word else word for word in deliver]
        status, _, err = run(capsys, *command)
        assert status == 1 and "answered 503; deliver again later, nothing is lost" in err
        status, out, _ = run(capsys, *command)
        assert status == 0 and f"{dry['action_count']} actions told" in out
        assert len(set(sink.keys)) == dry["action_count"]
    other = ["other.sqlite" if word == "actions.sqlite" else word for word in (*plan, "|", *deliver)]
    assert run(capsys, *other[: len(plan)])[0] == 0
    monkeypatch.setattr("covey.interventions.outbox.MOST_REFUSALS", 1)
    with receiver([400]) as sink:
        status, _, err = run(capsys, *[sink.url if "http" in word else word for word in other[len(plan) + 1 :]])
        assert status == 1 and err.endswith("answered 400; 1 given up after too many refusals\n")
    status, out, err = run(capsys, *effect)
    assert (status, err) == (0, "") and "came back" in out and "0 learners' 28 days are not over" in out
    status, out, _ = run(capsys, *effect, "--output", "json")
    assert {own["variant"] for own in json.loads(out)["split"]["arms"]} == {"held_out", "treated"}
    draws(capsys, report, text, dry["action_count"])
    for was, now in (("outcome_days: 28", "outcome_days: 7"), ("holdout_share: 0.2", "holdout_share: 0.3")):
        assert was in text
        Path("welcome-back.yaml").write_text(text.replace(was, now))
        status, out, err = run(capsys, *effect)
        assert (status, out) == (1, "") and "is not what it was" in err and "another name" in err
    Path("welcome-back.yaml").write_text(text.replace("playbook: welcome-back", "playbook: other"))
    status, _, err = run(capsys, *effect)
    assert status == 1 and "actions.sqlite: nobody was chosen under 'other' yet. Plan first" in err
    changed = text.replace("we-miss-you", "come-back")
    Path("welcome-back.yaml").write_text(changed)
    status, _, err = run(capsys, *plan)
    assert status == 1 and "is not what it was" in err
    shutil.copy("m.json", "no.sqlite")
    for arguments, words in (
        (["plan", "welcome-back.yaml", "none.parquet", "--outbox", "o.sqlite"], "no such file"),
        (["plan", "welcome-back.yaml", "scores.parquet", "--outbox", "no.sqlite"], "no outbox"),
        (["plan", "welcome-back.yaml", "later.parquet", "--outbox", "o.sqlite"], "no column 'as_of'"),
        (["deliver", "--outbox", "actions.sqlite", "--webhook", "ftp://x"], "expected http://HOST:PORT/path"),
        (["deliver", "--outbox", "none.sqlite", "--webhook", "http://x/"], "no such file"),
        (["report", "welcome-back.yaml", "later.parquet", "--outbox", "none.sqlite", "--to", "r"], "no such file"),
    ):
        status, _, err = run(capsys, "intervene", *arguments)
        assert status == 1 and words in err, arguments
