"""`covey audit` and `covey state`: on a live server, on a data directory and on a copy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covey.cli import main
from covey.failpoints import POINTS
from covey_server.store.migrations import NEWEST_VERSION

Verb = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], plane: Any) -> Verb:
    """`covey ...` against the control port, as (exit code, output, errors)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_a_live_journal_is_shown_and_verified(run: Verb, started: Verb, plane: Any) -> None:
    started(ticks=3)
    control = ("--control", f"127.0.0.1:{plane.port.port}")
    code, out, err = run("audit", "verify", *control)
    assert (code, err) == (0, "")
    assert out.startswith("rollouts/native: ")
    assert "each as it was written; head " in out
    head = out.split()[-1]
    code, out, _ = run("audit", "show", "native", "--ticks", "--output", "json", *control)
    rows = json.loads(out)
    assert code == 0
    assert rows[0]["what"] == "created"
    assert rows[-1]["digest"] == head
    assert [row["evidence_digest"] for row in rows[1:]] == [row["digest"] for row in rows[:-1]]
    assert {row["spec_digest"] for row in rows if row["what"] != "tick"} == {rows[0]["spec_digest"]}
    assert all(row["who"] and row["version"] for row in rows)
    code, out, _ = run("audit", "show", "native", *control)
    assert "ada" in out
    assert "tick" not in out


def test_nothing_of_a_journal_is_cut_in_80_columns(run: Verb, started: Verb, plane: Any) -> None:
    started(ticks=3)
    control = ("--control", f"127.0.0.1:{plane.port.port}")
    plane.client.pause_rollout("native", reason="the night shift " * 12)
    rows = json.loads(run("audit", "show", "native", "--output", "json", *control)[1])
    _, out, _ = run("audit", "show", "native", *control)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out
    assert lines[0] == rows[0]["time"][:10]
    assert out.count(rows[0]["time"][:10]) == 1
    for row in rows:
        assert f"{row['sequence']:>5}  {row['time'][11:19]}Z  {row['what']}, by {row['who']}" in out
        assert row["digest"][:12] in out
    assert ("the night shift " * 12).strip() in " ".join(out.split())


def test_a_data_directory_and_a_copy_are_verified(run: Verb, started: Verb, plane: Any, tmp_path: Path) -> None:
    started(ticks=3)
    directory = tmp_path / "data"
    code, live, _ = run("audit", "verify", "native", "--control", f"127.0.0.1:{plane.port.port}")
    code, out, _ = run("audit", "verify", "--data-directory", str(directory))
    assert (code, out) == (0, live)
    journal = plane.port_journal
    with journal.store.write() as connection:
        connection.exec_driver_sql("UPDATE journal_entries SET payload = payload || x'00' WHERE sequence = 4")
    for place in (directory, directory / "covey.db"):
        code, out, _ = run("audit", "verify", "native", "--data-directory", str(place))
        assert code == 1
        assert out.startswith("rollouts/native: record 4: its bytes are not those that were written")
    code, out, _ = run("audit", "verify", "--control", f"127.0.0.1:{plane.port.port}")
    assert (code, out.count("record 4")) == (1, 1)
    code, _, err = run("audit", "verify", "other", "--data-directory", str(directory))
    assert (code, "there is no such rollout" in err) == (1, True)
    code, _, err = run("audit", "verify", "--data-directory", str(tmp_path / "none"))
    assert (code, "there is no store" in err) == (1, True)


def test_a_store_in_use_is_not_migrated(run: Verb, plane: Any, tmp_path: Path) -> None:
    code, _, err = run("state", "migrate", "--data-directory", str(tmp_path / "data"))
    assert (code, "another live server" in err) == (1, True)
    code, _, err = run("state", "migrate", "--data-directory", str(tmp_path / "none"))
    assert (code, "there is no store" in err) == (1, True)


def test_one_is_singular(run: Verb, covey: Verb, plane: Any) -> None:
    covey("create", str(plane.plan), "--name", "native")
    _, out, _ = run("audit", "verify", "--control", f"127.0.0.1:{plane.port.port}")
    assert out.startswith("rollouts/native: 1 entry, each as it was written")


def test_one_step_back_and_forward(run: Verb, started: Verb, plane: Any, tmp_path: Path) -> None:
    started(ticks=3)
    plane.port.stop(None)
    plane.port_journal.store.close()
    directory = tmp_path / "data"
    code, before, _ = run("audit", "verify", "--data-directory", str(directory))
    assert code == 0
    code, out, _ = run("state", "migrate", "--to", "1", "--data-directory", str(directory))
    assert code == 0
    assert "taken back: journal entries are chained" in out
    assert (directory / f"covey.version-{NEWEST_VERSION}.db").is_file()
    code, _, err = run("audit", "verify", "--data-directory", str(directory))
    assert (code, "covey state migrate" in err) == (1, True)
    code, out, _ = run("state", "migrate", "--data-directory", str(directory), "--output", "json")
    assert code == 0
    assert json.loads(out)["found"] == 1
    code, out, _ = run("state", "migrate", "--data-directory", str(directory))
    assert "already" in out
    assert run("audit", "verify", "--data-directory", str(directory))[1] == before


def test_failpoints_are_listed(run: Verb) -> None:
    code, out, _ = run("state", "failpoints", "--output", "json")
    assert code == 0
    assert json.loads(out)["points"] == POINTS
    code, out, _ = run("state", "failpoints")
    assert all(point in out for point in POINTS)
