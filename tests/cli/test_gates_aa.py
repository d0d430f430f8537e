"""`covey gates aa`: honest outcomes pass, broken ones are named, and bad input is an error in a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey.cli import main

LEARNERS = 4000


def run(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["gates", "aa", *(str(argument) for argument in arguments)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("aa") / "events.parquet"
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(path), "--learners", "400", "--seed", "5"])
    assert not ended.value.code
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("aa") / "outcomes.parquet"
    columns = {
        "learner_id": [f"learner-{number}" for number in random.permutation(LEARNERS)],
        "spend": random.lognormal(1.0, 0.5, LEARNERS),
        "paid": random.random(LEARNERS) < 0.3,
        "name": ["x"] * LEARNERS,
        "still": np.ones(LEARNERS),
        "torn": np.r_[np.nan, random.random(LEARNERS - 1)],
        "holey": pa.array([1.0, None] + [2.0] * (LEARNERS - 2)),
        "rare": np.r_[1e6, np.zeros(LEARNERS - 1)] + random.random(LEARNERS),
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_honest_outcomes(table: Path, capsys) -> None:
    status, out, err = run(capsys, "--outcomes", table, "--metric", "spend", "--metric", "paid", "--output", "json")
    data = json.loads(out)
    assert (status, err, data["problems"]) == (0, "", [])
    assert (data["learner_count"], data["split_count"], data["candidate_share"]) == (LEARNERS, 1000, 0.5)
    assert [metric["name"] for metric in data["metrics"]] == ["spend", "paid"]
    for metric in data["metrics"]:
        low, high = metric["rejection_band"]
        assert 20 < low <= metric["rejection_count"] <= high < 80
        assert abs(metric["drift"]) < metric["drift_margin"] < metric["detectable_effect"] / 5
    spend = data["metrics"][0]
    # cv 0.53 of 4,000 learners in halves.
    assert spend["detectable_effect"] == pytest.approx(2.8 * 0.533 * np.sqrt(4 / LEARNERS), rel=0.05)
    status, out, _ = run(
        capsys, "--outcomes", table, "--metric", "spend", "--inject", f"{100 * spend['detectable_effect']:.4f} %",
        "--output", "json",
    )  # fmt: skip
    assert json.loads(out)["metrics"][0]["detection_rate"] == pytest.approx(0.8, abs=0.05)


def test_one_learner_that_outweighs_all_others_is_seen(table: Path, capsys) -> None:
    status, out, _ = run(capsys, "--outcomes", table, "--metric", "rare")
    assert status == 1
    assert "problem: rare: the p values are not uniform" in out


def test_metrics_of_events(events: Path, capsys) -> None:
    arguments = [events, "--seeds", "400", "--seed", "3", "--threads", "1"]
    names = ("event_count", "weight", "active_days", "retention_strength", "momentum")
    for name in names:
        arguments += ["--metric", name]
    status, out, _ = run(capsys, *arguments)
    assert status == 0, out
    assert all(name in out for name in names)
    assert "400 learners, 400 splits of 50 %" in out
    assert max(map(len, out.splitlines())) <= 100
    assert run(capsys, *arguments)[1] == out


def test_weights_are_summed(events: Path) -> None:
    from covey.cli.gates_aa_outcomes import outcomes_of_events
    from covey.events import Events
    from covey.events_mapping import EventMapping

    found = outcomes_of_events(events, EventMapping(), ["weight", "event_count"])
    loaded = Events.from_parquet(events)
    index = loaded.learner_index_of_rows()
    weights = np.ones(len(loaded)) if loaded.weight is None else loaded.weight.astype(np.float64)
    for learner in (0, 7, len(found.learner_ids) - 1):
        assert found.metrics["weight"][learner] == pytest.approx(weights[index == learner].sum())
        assert found.metrics["event_count"][learner] == (index == learner).sum()


def test_another_share_and_order_of_rows(table: Path, capsys, tmp_path: Path) -> None:
    turned = tmp_path / "turned.parquet"
    rows = pq.read_table(table, columns=["learner_id", "spend"])
    pq.write_table(rows.take(np.arange(LEARNERS)[::-1]).rename_columns(["who", "spend"]), turned)
    first = run(capsys, "--outcomes", table, "--metric", "spend", "--share", "10 %", "--output", "json")
    second = run(capsys, "--outcomes", turned, "--learner", "who", "--share", "0.1", "--output", "json")
    assert first == second
    assert json.loads(first[1])["candidate_share"] == 0.1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--outcomes", "{table}", "--metric", "spent"], 1, "Did you mean 'spend'"),
        (["--outcomes", "{table}", "--metric", "name"], 1, "expected numbers"),
        (["--outcomes", "{table}", "--metric", "still"], 1, "it is 1 for all 4,000 learners"),
        (["--outcomes", "{table}", "--metric", "torn"], 1, "it is nan for learner 'learner-"),
        (["--outcomes", "{table}", "--metric", "holey"], 1, "row 1 (counted from 0): a value is missing"),
        (["--outcomes", "{table}", "--learner", "name", "--metric", "spend"], 1, "learner 'x' is there twice"),
        (["--outcomes", "{few}"], 1, "there are 99 learners"),
        (["--outcomes", "{table}.absent"], 1, "no such file"),
        (["{events}", "--metric", "event_cont"], 1, "Did you mean 'event_count'"),
        (["{events}", "--metric", "happiness"], 1, "The metrics of events are"),
        (["{events}", "--outcomes", "{table}"], 2, "either events"),
        ([], 2, "either events"),
        (["{events}", "--seeds", "3"], 2, "seeds"),
        (["{events}", "--share", "100 %"], 2, "without learners"),
        (["{events}", "--share", "much"], 2, "--share: 'much' is not a share"),
        (["{events}", "--inject", "nan"], 2, "--inject: 'nan' is not a share"),
        (["{events}", "--alpha", "0"], 2, "no error rate"),
        (["{events}", "--inject", "0 %"], 2, "no effect"),
    ],
)
def test_bad_input(table: Path, events: Path, tmp_path: Path, capsys, arguments, status, words) -> None:
    few = tmp_path / "few.parquet"
    pq.write_table(pa.table({"learner_id": list(range(99)), "spend": np.arange(99.0)}), few)
    found, out, err = run(capsys, *(text.format(table=table, events=events, few=few) for text in arguments))
    assert (found, out) == (status, "")
    assert words in " ".join(err.replace("│", " ").split())


def test_the_real_learners(shared_data, oulad_mapping, capsys) -> None:
    arguments = [shared_data("oulad_student_vle.parquet"), "--output", "json"]
    for name, value in oulad_mapping.items():
        arguments += [f"--{name.replace('_', '-')}", value]
    for name in ("event_count", "weight", "active_days", "retention_strength"):
        arguments += ["--metric", name]
    status, out, _ = run(capsys, *arguments)
    data = json.loads(out)
    assert (status, data["problems"], data["learner_count"]) == (0, [], 2243)
    by_name = {metric["name"]: metric for metric in data["metrics"]}
    # Two thousand learners of such spread do not show 2 %.
    assert 0.05 < by_name["weight"]["detectable_effect"] < 0.3
    assert by_name["weight"]["detection_rate"] < 0.3
