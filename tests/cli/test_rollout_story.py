"""What tells of a rollout: watch, history and report against a real control port, for people and for programs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from waiting import PATIENCE_SECONDS, wait_until

from covey.client import Client
from covey.v1.rollouts_pb2 import Rollout

Verb = Callable[..., Any]


def test_watching_one_on_its_way_ends_with_1(covey: Verb, started: Verb) -> None:
    started(ticks=3)
    assert covey("watch", "native", "--for", "300ms").code == 1


def test_history_tells_a_story(covey: Verb, started: Verb) -> None:
    started(ticks=7)
    told = covey("history", "native")
    lines = told.out.splitlines()
    assert lines[0].endswith("Z  created: variants/native over variants/reference in")
    assert "by ada: release 7" in told.out
    assert "a look at" not in told.out
    assert "Names are by the callers' own word" in lines[-1]
    assert "a look at 1 replica(s)" in covey("history", "native", "--ticks").out
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_what_people_get(covey: Verb, plane: Any, started: Verb, form: str) -> None:
    controller = started(ticks=7)
    read = json.loads if form == "json" else yaml.safe_load
    for arguments in (("status", "native"), ("pause", "native"), ("resume", "native")):
        document = read(covey(*arguments, "--output", form).out)
        assert document["name"] == "rollouts/native"
        assert document["state"] == "STATE_RUNNING"
        assert document["candidate_weight_bp"] == 1000
        assert document["paused"] is (arguments[0] == "pause")
    explained = read(covey("explain", "native", "--output", form).out)
    assert explained["state"] == "RUNNING"
    assert len(explained["sentences"]) == 8
    entries = read(covey("history", "native", "--output", form).out)
    assert [entry["sequence"] for entry in entries[:3]] == ["1", "2", "3"]
    controller.tick("native", 80)
    made = read(covey("report", "native", "--output", form).out)
    assert made["decision"] == "SUCCEEDED"
    watched = covey("watch", "native", "--output", form).out
    messages = (
        [json.loads(line) for line in watched.splitlines()] if form == "json" else list(yaml.safe_load_all(watched))
    )
    assert messages[-1]["rollout"]["state"] == "STATE_SUCCEEDED"


def test_watch_prints_a_line_per_change(covey: Verb, plane: Any, started: Verb) -> None:
    controller = started()
    controller.tick("native", 80)
    watched = covey("watch", "native", "--after", "1").out.splitlines()
    assert "engineering approves phase canary (by edda)" in watched[0]
    assert any("phase ramp begins: 50 % of learners" in line for line in watched)
    assert "SUCCEEDED rollout" in watched[-1]
    assert not [line for line in watched if "\x1b" in line]


def test_the_report_is_written(covey: Verb, started: Verb, tmp_path: Path) -> None:
    started(ticks=80)
    into = tmp_path / "out" / "deep"
    ran = covey("report", "native", "--directory", str(into))
    assert ran.code == 0
    names = {Path(line).name for line in ran.out.splitlines()}
    assert {"report.html", "report.md", "report.json", "report-traffic.svg"} <= names
    assert all(Path(line).stat().st_size > 100 for line in ran.out.splitlines())
    journal = tmp_path / "journal.json"
    journal.write_text(covey("history", "native", "--ticks", "--output", "json").out)
    again = covey("report", "--journal", str(journal), "--directory", str(tmp_path / "again"))
    assert again.code == 0
    assert (tmp_path / "again" / "report.md").read_text() == (into / "report.md").read_text()
    taken = covey("report", "native", "--directory", str(journal))
    assert taken.code == 1
    assert "--directory" in taken.err


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "no JSON"), ("{}", "a list"), ('[{"sequence": 1, "nonsense": 2}]', "entry 0"), ("[3]", "entry 0")],
)
def test_a_broken_journal_file_is_explained(covey: Verb, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(content)
    ran = covey("report", "--journal", str(path))
    assert ran.code == 1
    assert words in ran.err
    assert "history ROLLOUT --ticks --output json" in ran.err


def test_watch_survives_a_restart_of_the_server(plane: Any, started: Verb) -> None:
    from covey_server.access.gate import open_gate
    from covey_server.ports.control_port import start_control_port

    controller = started(ticks=2)
    seen = list[int]()
    dropped = threading.Event()

    def watch() -> None:
        with Client(control=plane.client.control) as client:
            for message in client.watch_rollout("native", after_sequence=1, on_dropped=lambda _: dropped.set()):
                seen.extend(entry.sequence for entry in message.entries)

    watcher = threading.Thread(target=watch)
    watcher.start()
    wait_until(lambda: bool(seen))  # a watch that never began has nothing to survive
    journal = plane.port_journal
    plane.port.stop(0.0)
    assert dropped.wait(PATIENCE_SECONDS)
    plane.port = start_control_port(plane.client.control, journal, open_gate())
    last = controller.tick("native", 80)
    watcher.join(30)
    assert not watcher.is_alive()
    assert last.state == Rollout.STATE_SUCCEEDED
    assert seen == list(range(2, last.last_sequence + 1))


def test_watch_is_live_on_a_terminal(plane: Any, started: Verb) -> None:
    started(ticks=80)
    code = "import sys; from covey.cli import main; main(sys.argv[1:])"
    command = [
        sys.executable,
        "-c",
        code,
        "rollout",
        "watch",
        "native",
        "--after",
        "1",
        "--control",
        plane.client.control,
    ]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, close_fds=True) as process:
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 4096):
                printed += chunk
        except OSError:
            pass  # the other end was closed: the command has ended
        assert process.wait(60) == 0
    os.close(ours)
    assert b"SUCCEEDED" in printed
    assert b"phase ramp begins" in printed
    assert b"\x1b[" in printed
