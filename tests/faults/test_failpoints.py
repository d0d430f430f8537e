"""kill -9 at every named failpoint of a server: before, between and after each write."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from covey.failpoints import POINTS

from .rounds import Bounds, Rounds, bounds

pytestmark = pytest.mark.e2e

ELSEWHERE = ("migrate.", "copy.", "backup.", "restore.", "controller.", "router.")
"""Failpoints of other programs; tests/golden, test_backup and test_controller_kills kill at them."""
SERVER_POINTS = [point for point in POINTS if not point.startswith(ELSEWHERE)]
ONCE = ("store.opening", "store.probed", "breaker.opened", "exposures.written")
"""Reached once in the life of a process, or seldom."""
MOST_CALLS = 400


def test_every_failpoint_is_killed_at_somewhere() -> None:
    assert len(POINTS) >= 25
    assert len(SERVER_POINTS) >= 20


@pytest.mark.parametrize("point", SERVER_POINTS)
def test_kills_at_a_failpoint(point: str, tmp_path: Path, bounds: Bounds) -> None:
    rounds = Rounds(tmp_path, seed=bounds.seed)
    for nth in (1,) if point in ONCE else bounds.nth_times:
        status = rounds.run(fault=f"{point}:kill:{nth}", calls=MOST_CALLS)
        assert status == -signal.SIGKILL, f"{point} was not reached {nth} times in {MOST_CALLS} calls"
    rounds.finish()
    assert rounds.problems == []


__all__ = ["bounds"]
