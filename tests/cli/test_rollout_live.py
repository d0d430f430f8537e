"""The live view: the share over time, how far criteria are, when a phase can end; watched on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from termios import TIOCSWINSZ
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from rich.segment import Segment

from covey.cli.keys import Key, meant
from covey.cli.rollout_live import ShareHistory, proof_bar, time_left
from covey.cli.rollout_view import Looking, fitted
from covey.rollout.resource import to_resource
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout

DEADLINE_SECONDS = 60


def test_the_share_over_time_is_that_of_the_journal(worlds: Any) -> None:
    world = worlds.rolled_back()
    history = ShareHistory()
    history.hear(world.journal[:5])
    history.hear(world.journal)
    assert [share for _, share in history.steps] == [0, 1000, 5000, 0]
    line, _, scale = history.line(world.now, cells=40).partition(" ")
    assert len(line) == 40
    assert re.fullmatch(r"·*▆+▇+·*", line)
    assert scale.endswith("a mark")
    before = history.steps[0][0]
    assert history.line(before) == ShareHistory().line(world.now) == ""


@pytest.mark.parametrize(("share_bp", "block"), [(0, "·"), (1, "▁"), (10, "▁"), (100, "▃"), (1000, "▆"), (10_000, "█")])
def test_a_canary_is_seen_beside_everybody(share_bp: int, block: str) -> None:
    begin = datetime(2026, 1, 5, tzinfo=UTC)
    history = ShareHistory(steps=[(begin, share_bp)])
    assert history.line(begin + timedelta(hours=1), cells=1) == f"{block} 60 min a mark"


def criterion(**fields: Any) -> Verdict:
    return Verdict(
        role=Verdict.ROLE_CRITERION, statement="p99 < 1 s", result=Verdict.RESULT_INSUFFICIENT, log_threshold=3.0,
        trial_count=9, **fields,
    )  # fmt: skip


def test_a_bar_says_how_much_of_the_proof_is_there() -> None:
    assert proof_bar(criterion(log_e_value=1.5), cells=4) == "██░░ 50 % proven"
    assert proof_bar(criterion(log_e_value=-2.0), cells=4) == "░░░░ 0 % proven"
    assert proof_bar(criterion(log_e_value=2.999), cells=4) == "███░ 99 % proven", "never whole before it passes"
    trigger = criterion(log_e_value=1.5)
    trigger.role = Verdict.ROLE_TRIGGER
    assert proof_bar(trigger) == proof_bar(Verdict(result=Verdict.RESULT_PASS)) == ""


def test_the_phase_ends_when_its_time_and_its_slowest_criterion_do() -> None:
    rollout = Rollout(phase_hold=Duration(seconds=600), phase_elapsed=Duration(seconds=240))
    assert time_left(rollout) == "6 min left"
    rollout.verdicts.append(criterion(needed_count=30, eta=Duration(seconds=60)))
    assert time_left(rollout) == "6 min left"
    rollout.verdicts.append(criterion(needed_count=900, eta=Duration(seconds=1800)))
    assert time_left(rollout) == "~30 min left, for p99 < 1 s"
    rollout.verdicts.append(criterion())
    assert time_left(rollout) == "no end in sight for p99 < 1 s"
    rollout.verdicts[-1].report_only = True
    assert time_left(rollout) == "~30 min left, for p99 < 1 s"
    assert time_left(Rollout(phase_hold=Duration(seconds=60), phase_elapsed=Duration(seconds=90))) == ""


@pytest.mark.parametrize("world", ["succeeded", "rolled_back", "holding"])
def test_the_whole_view_fits_80_columns(worlds: Any, world: str) -> None:
    import io

    from rich.console import Console

    from covey.cli.rollout_screen import screen

    made = getattr(worlds, world)()
    history = ShareHistory()
    history.hear(made.journal)
    target = io.StringIO()
    console = Console(file=target, width=80, highlight=False, markup=False, emoji=False)
    longer = "{} --control control.example.org:50052 --cacert /etc/covey/ca.pem".format
    console.print(screen(to_resource(made.state), made.now, longer, history, ways_out=True))
    lines = target.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("a mark" in line for line in lines)
    shown = " ".join(" ".join(lines).split())
    assert ("stop it" in shown) == (world == "holding"), "what has ended cannot be stopped"
    if world == "holding":
        assert '--reason "..." --control control.example.org:50052 --cacert /etc/covey/ca.pem' in shown


def on_a_terminal(
    arguments: list[str],
    steps: list[tuple[str, bytes]],
    rows: int = 40,
    standard_input: str = '"$0"',
    **environment: str,
) -> tuple[str, int]:
    """What a command draws on a terminal of 80 columns, and its exit status. The terminal must be left as it was.

    Args:
        arguments: of covey.
        steps: texts to wait for, each after the one before, and what is pressed then.
        rows: of the terminal.
        standard_input: another one than that terminal.
        environment: beside that of the tests.
    """
    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
    before, waiting, seen = termios.tcgetattr(follower), list(steps), 0
    ambient = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "LINES"}}
    command = [sys.executable, "-m", "covey.cli", *arguments]
    # The first terminal that the leader of a new session opens is the one whose Ctrl-C reaches it.
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" <{standard_input} 1<>"$0" 2>&1', os.ttyname(follower), *command],
        start_new_session=True, env={**ambient, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    drawn, deadline = b"", time.monotonic() + DEADLINE_SECONDS
    try:
        while time.monotonic() < deadline:
            if select.select([leader], [], [], 0.2)[0]:
                drawn += os.read(leader, 65536)
            elif process.poll() is not None:
                break
            while waiting and (place := drawn.find(waiting[0][0].encode(), seen)) >= 0:
                seen = place + len(waiting[0][0].encode())
                os.write(leader, waiting.pop(0)[1])
        assert not waiting, f"{waiting[0]}\n{drawn.decode(errors='replace')}"
        status = process.wait(timeout=10)
        assert termios.tcgetattr(follower) == before
        return drawn.decode(errors="replace"), status
    finally:
        process.kill()
        process.wait()
        os.close(leader)
        os.close(follower)


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_watch_on_a_terminal(plane: Any, started: Any, environment: dict[str, str]) -> None:
    """The past share is drawn at once, Ctrl-C leaves with 130, and the cursor comes back."""
    started(ticks=4)
    control = plane.client.control
    drawn, status = on_a_terminal(
        ["rollout", "watch", "native", "--control", control, "--as", "ada"],
        [("the rollout goes on", b"\x03")],
        **environment,
    )
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert status == 130
    assert "native  RUNNING  phase canary (1 of 3)" in text
    assert "a mark" in text
    assert f'$ covey rollout abort native --reason "..." --control {control}' in " ".join(text.split())
    assert text.rstrip().endswith("no longer watching; the rollout goes on")
    assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l") >= 0
    coloured = re.search(r"\x1b\[[0-9;]*3[0-7][;m]", drawn) is not None
    assert coloured == (not environment)
    assert plane.client.get_rollout("native").state == Rollout.STATE_RUNNING


def test_keys_of_the_live_view(plane: Any, started: Any) -> None:
    """On a terminal that is too low for all verdicts: leaf through them, keep the picture, ask for the keys, leave."""
    started(ticks=4)
    drawn, status = on_a_terminal(
        ["rollout", "watch", "native", "--control", plane.client.control, "--as", "ada"],
        [
            ("rows 1 to ", b"\x1b[B"),
            ("↓ for more", b"x\x1b[5~?"),
            ("space keeps the picture still", b" "),
            ("space goes on", b" "),
            ("rows ", b"kk"),
            ("rows 1 to ", b"q"),
        ],
        rows=24,
    )
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert status == 130
    firsts = [int(first) for first in re.findall(r"rows (\d+) to \d+ of", text)]
    assert firsts[0] == 1 < max(firsts)
    assert text.rstrip().endswith("no longer watching; the rollout goes on")
    assert plane.client.get_rollout("native").state == Rollout.STATE_RUNNING


def test_no_keys_are_heard_where_standard_input_is_no_terminal(plane: Any, started: Any) -> None:
    started(ticks=4)
    watching = ["rollout", "watch", "native", "--control", plane.client.control, "--as", "ada"]
    drawn, status = on_a_terminal(watching, [("Ctrl-C; the rollout goes on", b"q\x03")], standard_input="/dev/null")
    assert status == 130
    assert "? tells" not in drawn


def test_what_is_pressed_is_what_is_meant() -> None:
    assert list(meant(b"q Q\t?")) == [Key.LEAVE, Key.STILL, Key.LEAVE, Key.DOWN, Key.HELP]
    assert list(meant(b"\x1b[B\x1bOA")) == [Key.DOWN, Key.UP]
    # Page up, F5, Ctrl-Right and what nobody pressed: none of their letters is a key of its own.
    assert list(meant(b"\x1b[5~\x1b[15~\x1b[1;5Cz\x1b\xff")) == []


@pytest.mark.parametrize("height", range(1, 45))
def test_every_verdict_can_be_seen_on_any_terminal(height: int) -> None:
    top, verdicts, bottom = (
        [[Segment(f"{name}{n}")] for n in range(count)] for name, count in zip("tvb", (9, 20, 3), strict=True)
    )
    looking, seen = Looking(), set()
    for _ in range(30):
        lines, unseen = fitted(top, verdicts, bottom, height, looking)
        assert lines[:9] == top
        shown = [line[0].text for line in lines if line[0].text.startswith("v")]
        assert len(shown) >= 3
        assert bool(unseen) == (len(shown) < 20)
        assert len(lines) + bool(unseen) < max(height, 9 + 3 + 3)
        seen |= set(shown)
        looking.press(Key.DOWN, len(shown))
    assert len(seen) == 20
    assert not unseen or unseen.endswith("of 20, ↑ for those before")
    for _ in range(30):
        looking.press(Key.UP, 3)
    assert looking.offset == 0
