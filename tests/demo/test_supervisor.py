"""Processes are kept running within bounds, and none outlives its supervisor, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from covey.demo.supervisor import ProcessError, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_process_that_dies_is_started_again_until_the_limit(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("sleeper", lambda: SLEEPER, restart_limit=1)
        assert child.process
        os.kill(child.process.pid, signal.SIGKILL)
        assert wait_until(lambda: supervisor.check() == [child])
        assert child.exit_codes == [-signal.SIGKILL]
        os.kill(child.process.pid, signal.SIGKILL)
        with pytest.raises(ProcessError, match="sleeper ended with status -9 after 1 restarts"):
            wait_until(supervisor.check)


def test_a_process_that_ends_well_is_left_alone(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start(
            "quick", lambda: [sys.executable, "-c", "print('done')"], restart_limit=3, may_end=True
        )
        assert wait_until(lambda: supervisor.check() == [] and child.process is None)
        assert child.restart_count == 0
        assert child.log_tail() == "done"


def test_a_process_that_should_not_end_is_started_again_even_when_it_ends_well(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("server", lambda: [sys.executable, "-c", "pass"], restart_limit=1)
        assert wait_until(lambda: supervisor.check() == [child])
        with pytest.raises(ProcessError, match="status 0 after 1 restarts"):
            wait_until(supervisor.check)


def test_its_last_words_are_in_the_error(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("bad", lambda: [sys.executable, "-c", "raise SystemExit('no such luck')"])
        with pytest.raises(ProcessError, match="no such luck"):
            supervisor.wait_for_file(child, tmp_path / "never", seconds=10)


def test_a_process_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("slow", lambda: SLEEPER)
        with pytest.raises(ProcessError, match=r"not ready within 0\.2 s"):
            supervisor.wait_for_file(child, tmp_path / "never", seconds=0.2)


def test_the_end_stops_everything_also_after_an_error(tmp_path: Path) -> None:
    pids = []
    with pytest.raises(ZeroDivisionError), Supervisor(tmp_path) as supervisor:
        for name in ("a", "b"):
            child = supervisor.start(name, lambda: SLEEPER)
            assert child.process
            pids.append(child.process.pid)
        raise ZeroDivisionError
    assert not any(is_alive(pid) for pid in pids)


def test_who_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey.demo.supervisor._STOP_SECONDS", 0.5)
    with Supervisor(tmp_path) as supervisor:
        ready = tmp_path / "ready"
        child = supervisor.start("stubborn", lambda: [sys.executable, "-c", STUBBORN, str(ready)])
        supervisor.wait_for_file(child, ready, seconds=10)
    assert child.exit_codes == [-signal.SIGKILL]


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys, time
from covey.demo.supervisor import Supervisor
supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}))
child = supervisor.start("sleeper", lambda: {SLEEPER!r})
deadline = time.monotonic() + 20
while "time.sleep" not in pathlib.Path(f"/proc/{{child.process.pid}}/cmdline").read_text() or \\
        "covey.demo.child" in pathlib.Path(f"/proc/{{child.process.pid}}/cmdline").read_text():
    assert time.monotonic() < deadline
    time.sleep(0.01)
print(child.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
    assert wait_until(lambda: not is_alive(pid))
