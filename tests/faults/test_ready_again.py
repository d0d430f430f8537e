"""How soon a server that was killed answers again, with the machine for itself: two seconds are promised."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
from findings import Finding, is_whole

from .amounts import amount
from .rounds import Rounds

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

PROMISED_SECONDS = 2.0
STARTS = amount("STARTS", 3)
SLEEPY = """
import sys, time
time.sleep(2)
import covey_server.main
sys.exit(covey_server.main.main())
"""


def ready_again(place: Path, kills: int, program: str = "") -> list[float]:
    """Seconds from each start to the first answer, sorted; rollouts and data sets gather meanwhile."""
    rounds = Rounds(place, seed=1, program=program) if program else Rounds(place, seed=1)
    for _ in range(kills):
        rounds.run(kill_within_seconds=1.0)
    rounds.finish()
    assert rounds.problems == []
    return sorted(rounds.ready_seconds)


def test_a_killed_server_is_ready_again_within_two_seconds(tmp_path: Path, finding: Finding) -> None:
    ready = ready_again(tmp_path, STARTS)
    finding(f"{len(ready)} starts, all but the first after kill -9: {median(ready):.2f} s (median), {ready[-1]:.2f} s")
    assert ready[-1] <= (PROMISED_SECONDS if is_whole() else 30.0)


def test_a_server_that_sleeps_is_found(tmp_path: Path) -> None:
    """The twin."""
    assert ready_again(tmp_path, 2, SLEEPY)[0] > PROMISED_SECONDS
