"""kill -9 at every named failpoint of a server: before, between and after each write."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from covey.failpoints import POINTS

from .rounds import Bounds, Rounds, bounds
from .test_random_kills import HASTY

pytestmark = pytest.mark.e2e

ELSEWHERE = ("migrate.", "copy.", "backup.", "restore.", "controller.", "router.", "intervention.")
"""Failpoints of other programs; tests/golden, test_backup, test_delivery and test_controller_kills kill at them."""
SERVER_POINTS = [point for point in POINTS if not point.startswith(ELSEWHERE)]
ONCE = ("store.opening", "store.probed", "breaker.opened", "exposures.written")
"""Reached once in the life of a process, or seldom."""
LASTING = ("exposures.written",)
"""Reached where a weight holds: a second after it was published, when a quick machine has aborted that rollout."""
MOST_CALLS = 400
CALLS_OF_LASTING = 4000


def test_what_is_not_tried_here_is_tried_elsewhere() -> None:
    """By name, but for the controller's, of which test_controller_kills takes all."""
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    elsewhere = [point for point in POINTS if point not in SERVER_POINTS and not point.startswith("controller.")]
    assert len(elsewhere) >= 15
    assert [point for point in elsewhere if point not in tests] == []


@pytest.mark.parametrize("point", SERVER_POINTS)
def test_kills_at_a_failpoint(point: str, tmp_path: Path, bounds: Bounds) -> None:
    rounds = Rounds(tmp_path, seed=bounds.seed, aborts=point not in LASTING)
    calls = CALLS_OF_LASTING if point in LASTING else MOST_CALLS
    for nth in (1,) if point in ONCE else bounds.nth_times:
        status = rounds.run(fault=f"{point}:kill:{nth}", calls=calls)
        assert status == -signal.SIGKILL, f"{point} was not reached {nth} times in {calls} calls"
    rounds.finish()
    assert rounds.problems == []


def test_a_kill_at_a_failpoint_finds_what_was_answered_before_its_commit(tmp_path: Path, bounds: Bounds) -> None:
    """The twin: every answer is given first, so a kill before a commit takes something acknowledged away."""
    rounds = Rounds(tmp_path, seed=bounds.seed, program=HASTY)
    for nth in range(20, 60, 4):
        rounds.run(fault=f"store.before_commit:kill:{nth}", calls=MOST_CALLS)
        rounds.run(calls=3)
        if rounds.problems:
            break
    assert any("lost" in problem or "acknowledged" in problem for problem in rounds.problems)


__all__ = ["bounds"]
