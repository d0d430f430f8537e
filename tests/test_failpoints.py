"""Failpoints: every one is in the code, nothing happens without the variable, and what is asked for happens once."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from covey import failpoints

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def test_the_list_is_that_of_the_code() -> None:
    found: list[str] = []
    for folder in ("python/covey", "services"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            if "v1" not in path.parts and path.name != "failpoints.py":
                found += re.findall(r'failpoints\.reach\("([\w.]+)"\)', path.read_text())
    assert sorted(found) == sorted(failpoints.POINTS), "each is reached at one place, and listed"


def test_nothing_is_armed_by_default() -> None:
    assert failpoints.reach is failpoints._nothing
    for point in failpoints.POINTS:
        failpoints.reach(point)


def test_the_nth_time_counts() -> None:
    failpoints.arm("store.begun:raise:3, store.committed:enospc")
    failpoints.reach("store.begun")
    failpoints.reach("store.begun")
    with pytest.raises(failpoints.FaultError):
        failpoints.reach("store.begun")
    failpoints.reach("store.begun")
    with pytest.raises(OSError, match="space") as full:
        failpoints.reach("store.committed")
    assert full.value.errno == errno.ENOSPC


def test_what_hangs_is_let_go() -> None:
    failpoints.arm("store.begun:hang")
    thread = threading.Thread(target=lambda: failpoints.reach("store.begun"))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    failpoints.disarm()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nowhere:kill", "there is no failpoint 'nowhere'; `covey state failpoints` lists them"),
        ("store.begun", "'' is none of kill, raise"),
        ("store.begun:explode", "'explode' is none of"),
        ("store.begun:kill:0", "'0' is not a whole number from 1"),
        ("store.begun:kill:x", "'x' is not a whole number from 1"),
    ],
)
def test_what_cannot_be_armed_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        failpoints.arm(text)
    run = subprocess.run(
        [sys.executable, "-c", "import covey.failpoints"],
        env=os.environ | {"COVEY_FAULT": text},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("COVEY_FAULT: ")
    assert problem in run.stderr


def test_kill_is_a_kill() -> None:
    program = 'from covey import failpoints; print("here", flush=True); failpoints.reach("store.begun"); print("there")'
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"COVEY_FAULT": "store.begun:kill"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, "here\n")
