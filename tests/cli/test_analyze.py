"""`covey analyze` and `covey generate` as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyarrow.csv import write_csv

from covey.cli import COMMANDS, main


def run(capsys, *arguments):
    """Exit status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return left.value.code or 0, captured.out, captured.err


@pytest.fixture
def generated(tmp_path, capsys):
    path = tmp_path / "events.parquet"
    status, out, _ = run(capsys, "generate", path, "--learners", 400, "--seed", 6, "--with-kinds")
    assert (status, "events of 400 learners" in out) == (0, True)
    return path


def test_a_table_in_80_columns(generated, capsys):
    status, out, err = run(capsys, "analyze", generated, "--k", 3)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].startswith(f"{pq.read_metadata(generated).num_rows:,} rows, 400 learners; as of 2025-03-0")
    assert max(len(line) for line in lines) <= 80
    assert "\x1b" not in out
    assert "archetype" in out and "silhouette" in out and "fingerprint" in out


def test_json_and_yaml_are_the_same_answer(generated, capsys, engine):
    _, as_json, _ = run(capsys, "analyze", generated, "--engine", engine, "--output", "json")
    _, as_yaml, _ = run(capsys, "analyze", generated, "--engine", engine, "--output", "yaml")
    data = json.loads(as_json)
    assert yaml.safe_load(as_yaml) == data
    assert data["learner_count"] == 400 == sum(cohort["learner_count"] for cohort in data["cohorts"])
    assert data["engine"] == engine
    assert data["k"] == len(data["cohorts"])
    assert len(data["fingerprint"]) == 64


def test_a_csv_file_is_the_same_answer(generated, capsys):
    text = generated.with_suffix(".csv")
    write_csv(pq.read_table(generated), text)
    answers = [run(capsys, "analyze", path, "--k", 3, "--output", "json")[1] for path in (generated, text)]
    assert json.loads(answers[0]) == json.loads(answers[1])


def test_saved_cohorts(generated, capsys, tmp_path):
    saved = tmp_path / "cohorts.parquet"
    _, out, _ = run(capsys, "analyze", generated, "--k", 2, "--save", saved, "--output", "json")
    table = pq.read_table(saved)
    assert table.num_rows == 400
    sizes = [table["cohort"].to_pylist().count(cohort) for cohort in (0, 1)]
    assert sizes == [cohort["learner_count"] for cohort in json.loads(out)["cohorts"]]
    status, _, err = run(capsys, "analyze", generated, "--k", 2, "--save", tmp_path / "no" / "such.parquet")
    assert (status, "No such file or directory" in err) == (1, True)


def test_a_folder_within_a_budget(capsys, tmp_path):
    status, out, _ = run(capsys, "generate", tmp_path / "events", "--learners", 400, "--seed", 6)
    assert (status, (tmp_path / "events" / "part-00000.parquet").is_file()) == (0, True)
    status, out, err = run(capsys, "analyze", tmp_path / "events", "--k", 3, "--memory", "430MiB", "--output", "json")
    assert (status, err) == (0, "")
    assert json.loads(out)["learner_count"] == 400


def test_as_of_ignores_later_events(generated, capsys):
    _, out, _ = run(capsys, "analyze", generated, "--as-of", "2025-01-20", "--output", "json")
    data = json.loads(out)
    assert data["as_of"] == "2025-01-20T00:00:00Z"
    assert 0 < data["ignored_event_count"] < data["row_count"]
    _, out, _ = run(capsys, "analyze", generated, "--as-of", "2025-01-20", "--k", 2)
    assert "later events ignored" in out.splitlines()[0]


def test_shares_of_an_outcome(generated, capsys, tmp_path):
    _, out, _ = run(capsys, "analyze", generated, "--k", 2, "--save", tmp_path / "c.parquet", "--output", "json")
    cohorts = pq.read_table(tmp_path / "c.parquet")
    in_first = [cohort == 0 for cohort in cohorts["cohort"].to_pylist()]
    outcome = {
        "id": [str(number) for number in cohorts["learner_id"].to_pylist()] + ["nobody"],
        "result": ["Pass" if first else "Fail" for first in in_first] + ["Pass"],
        "run": ["new"] * 401,
    }
    pq.write_table(pa.table(outcome), tmp_path / "outcome.parquet")
    join = f"{tmp_path / 'outcome.parquet'}:id:result=Pass|Distinction"
    _, out, _ = run(capsys, "analyze", generated, "--k", 2, "--join-share", join, "--output", "json")
    data = json.loads(out)
    assert [cohort["outcome_share"] for cohort in data["cohorts"]] == [1.0, 0.0]
    assert data["outcome"] == {
        "name": "result=Distinction,Pass",
        "known_learner_count": 400,
        "ambiguous_learner_count": 0,
    }
    _, out, _ = run(capsys, "analyze", generated, "--k", 2, "--outcome", join, "--join-where", "run=new")
    assert "100.0%" in out and "known of 400 learners" in out
    status, _, err = run(capsys, "analyze", generated, "--k", 2, "--outcome", join, "--join-where", "run=old")
    assert (status, "no learner has a row there" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["{path}", "--k", "401"], 1, "only 400 learners"),
        (["{path}", "--k", "few"], 2, "neither a number nor 'auto'"),
        (["{path}", "--as-of", "today"], 2, "ISO 8601"),
        (["{path}", "--as-of", "1999-01-01"], 1, "every event is later"),
        (["{path}", "--engine", "quick"], 2, "quick"),
        (["{path}", "--threads", "0"], 2, "threads"),
        (["{path}", "--learner", "lerner_id"], 1, "did you mean 'learner_id'"),
        (["{path}", "--time-unit", "day"], 1, "knows its unit"),
        (["{path}", "--join-share", "x=y"], 1, "FILE:KEY:COLUMN=VALUE"),
        (["{path}", "--join-where", "x=y"], 1, "needs --join-share"),
        (["{path}", "--join-share", "{path}:learner_id:result=1"], 1, "no such column"),
        (["{path}.absent"], 1, "no such file"),
        (["{path}", "--memory", "1KiB"], 1, "MiB at least"),
        (["{path}", "--memory", "some"], 1, "no amount of memory"),
        ([], 2, "path"),
        (["{path}", "--colour"], 2, "--colour"),
    ],
)
def test_failures_say_why_in_few_lines(generated, capsys, arguments, status, words):
    found, out, err = run(capsys, "analyze", *(argument.format(path=generated) for argument in arguments))
    assert found == status
    assert words.lower() in err.lower()
    assert out == ""
    assert "Traceback" not in err
    assert status == 2 or err.count("\n") <= 2


def test_unknown_commands_and_the_version(capsys):
    status, _, err = run(capsys, "analyse")
    assert (status, "No such command" in err) == (2, True)
    status, out, _ = run(capsys, "--version")
    assert (status, out.startswith("covey ")) == (0, True)
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)


def test_help_loads_no_command():
    script = (
        "import sys; from covey.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    modules = found.stdout.splitlines()[-1]
    for heavy in ("pyarrow", "numpy", "grpc", "scipy", "matplotlib", "covey.cli.analyze"):
        assert f"'{heavy}'" not in modules


def test_a_reader_that_goes_away_is_no_error(generated):
    command = f"{sys.executable} -m covey.cli analyze {generated} --k 2 --output json | head -c 10"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.startswith("{")
    assert found.stderr == ""


def test_the_real_learners(shared_data, oulad_mapping, capsys, engine):
    arguments = [shared_data("oulad_student_vle.parquet"), "--engine", engine, "--k", "auto", "--output", "json"]
    for name, value in oulad_mapping.items():
        arguments += [f"--{name.replace('_', '-')}", value]
    outcome = f"{shared_data('oulad_student_info.parquet')}:id_student:final_result=Pass,Distinction"
    arguments += [
        "--outcome",
        outcome,
        "--join-where",
        "code_presentation=2013J",
        "--join-where",
        "code_module=AAA,BBB",
    ]
    status, out, _ = run(capsys, "analyze", *arguments)
    data = json.loads(out)
    assert status == 0
    assert (data["row_count"], data["learner_count"]) == (475_993, 2_243)
    assert data["outcome"]["known_learner_count"] == 2_243
    shares = [cohort["outcome_share"] for cohort in data["cohorts"]]
    assert max(shares) - min(shares) > 0.15
