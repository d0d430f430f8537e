"""`covey tune` as a person types it, as docs/tuning.md shows it, and the plan that it leaves."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from google.protobuf.json_format import ParseDict
from typed import commands_of, run

from covey.parameters import TRAIT_NAMES
from covey.v1 import datasets_pb2, variants_pb2

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def generated(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "generate", "events.parquet", "--learners", 240, "--seed", 3, "--weeks", 8)[0] == 0
    ids = sorted(set(pq.read_table("events.parquet")["learner_id"].to_pylist()))
    passed = np.random.default_rng(0).integers(0, 2, len(ids))
    Path("outcomes.csv").write_text(
        "learner,passed\n" + "".join(f"{i},{p}\n" for i, p in zip(ids, passed, strict=True))
    )
    return tmp_path / "events.parquet"


def test_the_commands_of_the_page(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = commands_of("tuning.md")
    assert len(commands) == 4
    for command in commands:
        status, out, err = run(capsys, *shlex.split(command)[1:])
        assert (status, err) == (0, ""), (command, err)
        if "json" in command:
            data = json.loads(out)
            assert 3 <= data["best"]["cohort_count"] <= 6
        elif "tune" in command:
            assert max(map(len, out.splitlines())) <= 80, command
    report = Path("report/report.md").read_text(encoding="utf-8")
    assert "# Tuned for separation: events" in report and "## Each fold" in report and "## Segments" not in report
    drawn = re.findall(r"\]\((\S+\.svg)\)", report)
    assert drawn == ["gain.svg", "search.svg"]
    assert all(b"<svg" in (Path("report") / name).read_bytes()[:500] for name in drawn)
    variant = ParseDict(yaml.safe_load(Path("tuned/variant.yaml").read_text()), variants_pb2.Variant())
    assert (variant.name, variant.engine) == ("variants/tuned", "native")
    assert variant.trait_parameters.velocity_alpha > 0
    spec = ParseDict(yaml.safe_load(Path("tuned/discovery.yaml").read_text()), datasets_pb2.DiscoverySpec())
    assert sum(getattr(spec.trait_weights, name) for name in TRAIT_NAMES) == pytest.approx(1, abs=1e-6)
    plan = yaml.safe_load(Path("tuned/rollout.yaml").read_text())
    assert (plan["baseline"], plan["candidate"]) == ("variants/native", "variants/tuned")
    assert {"statement": "engagement > 0 %"} in plan["phases"][1]["criteria"]


BEFORE = ["--as-of", "2025-02-17T00:00:00Z"]
QUICK = ["--turn", "k", "--trials", "24", "--folds", "3"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["outcome", *BEFORE, *QUICK], 1, "outcomes are not given"),
        (
            ["outcome", "--outcome", "outcomes.csv:learner:grade", *BEFORE, *QUICK],
            1,
            "column 'grade': there is no such column",
        ),
        (
            ["outcome", "--outcome", "outcomes.csv:learner:passed", *QUICK],
            2,
            "needs --as-of: say until when events are",
        ),
        (["separation", "--cohorts", "few", *QUICK], 2, "no range of numbers of cohorts"),
        (["separation", "--by", "town", *QUICK], 2, "give both"),
        (["separation", "--anyway", "--directory", "d", "--prove", "p99 < 3 ms", *QUICK], 1, "is about no outcome"),
        (["separation", "--anyway", "--directory", "d", "--prove", "joy", *QUICK], 1, "'joy' is no statement"),
        (
            ["separation", "--anyway", "--directory", "d", "--baseline", "variants/tuned", *QUICK],
            1,
            "cannot be planned",
        ),
        (
            ["outcome", "--outcome", "outcomes.csv:learner:passed", *BEFORE, "--directory", "d", *QUICK],
            3,
            "no gain was shown",
        ),
    ],
)
def test_refusals_say_why(
    generated: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    found, _, err = run(capsys, "tune", generated, *arguments)
    assert found == status
    assert words in " ".join(err.replace("│", "").split())
    assert not Path("d").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prove", "engagement < 0 %"], "claims nothing good"),
        (["--prove", "p99 < 3 ms"], "is about no outcome"),
        (["--name", "Tuned Up"], "cannot be planned: candidate: 'variants/Tuned Up' is no variant"),
        (["--name", "a: b: c"], "cannot be planned"),
        (["--baseline", "variants/tuned"], "cannot be planned: candidate: it is the baseline"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    broken = tmp_path / "events.parquet"
    broken.write_bytes(b"no Parquet")
    status, _, err = run(capsys, "tune", broken, "separation", "--directory", tmp_path / "d", *arguments, *QUICK)
    assert status == 1
    assert words in " ".join(err.replace("│", "").split())
    status, _, err = run(capsys, "tune", broken, "separation", "--directory", tmp_path / "d", *QUICK)
    assert status == 1 and "parquet" in err.lower() and "planned" not in err


@pytest.mark.data
def test_the_example_says_what_the_page_says(
    shared_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quicker course, with fewer trials: separation is gained and the outcome is not foretold better."""
    data = shared_data("oulad_student_vle.parquet").parent
    example = runpy.run_path(str(PROJECT / "examples" / "oulad_tuning.py"), run_name="example")
    from covey.tune import Configuration, Goal, Knobs, tune

    page = (PROJECT / "docs" / "tuning.md").read_text(encoding="utf-8")
    for goal in (Goal.separation, Goal.outcome):
        found = tune(example["problem_of"](data, "AAA", goal), Knobs(Configuration.default(4)), trials=36)
        row = (
            f"| AAA | {goal} ({found.problem.unit}) | {len(found.problem.known):,} | {found.gain.default.mean():.3f} |"
        )
        assert row in page
        assert found.gain.is_shown == (goal is Goal.separation)
