"""kill -9 at random moments: nothing acknowledged is lost, nothing is doubled, no journal becomes illegal."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
from findings import Finding

from .rounds import Bounds, Rounds, bounds

pytestmark = pytest.mark.e2e

KILL_WITHIN_SECONDS = 1.0
# Each takes one protection away and then is the server.
FORGETFUL = """
import sys
import covey_server.store, covey_server.store.idempotency as idempotency

def once(connection, method, request_id, run, *, body, now=None):
    from covey import failpoints
    failpoints.reach("request.new")
    answer = run(connection)
    failpoints.reach("request.remembered")
    return answer

covey_server.store.once = idempotency.once = once
import covey_server.main
sys.exit(covey_server.main.main())
"""
HASTY = """
import sys, threading, time
from covey_server.store.writer import Writer

share = Writer.share

def hasty(self, mutation, *arguments, **named):
    "Answers before the commit: the mutation runs twice, once for the answer and once, later, for good."
    class Undone(Exception):
        pass
    answers = []
    def try_out(connection):
        answers.append(mutation(connection))
        raise Undone
    try:
        share(self, try_out)
    except Undone:
        pass
    def later():
        time.sleep(0.05)
        try:
            share(self, mutation)
        except Exception:
            pass
    threading.Thread(target=later, daemon=True).start()
    return answers[0]

Writer.share = hasty
import covey_server.main
sys.exit(covey_server.main.main())
"""

LYING = """
import sys
from dataclasses import replace
import covey_server.rollouts.journal_splits as journal_splits

split_of = journal_splits.split_of

def lying(state):
    split = split_of(state)
    return split and replace(split, candidate_weight_bp=min(10_000, split.candidate_weight_bp + 1))

journal_splits.split_of = lying
import covey_server.main
sys.exit(covey_server.main.main())
"""


def test_random_kills(tmp_path: Path, bounds: Bounds, finding: Finding) -> None:
    rounds = Rounds(tmp_path, seed=bounds.seed)
    for _ in range(bounds.kills):
        rounds.run(kill_within_seconds=KILL_WITHIN_SECONDS)
    rounds.finish()
    ready = sorted(rounds.ready_seconds)
    late = sum(seconds > 2 for seconds in ready)
    finding(
        f"{bounds.kills} random kills (seed {bounds.seed}), {rounds.workload.call_count:,} acknowledged calls,"
        f" {rounds.workload.ledger.checked_count:,} journals compared: {len(rounds.problems)} problems;"
        f" ready again after {median(ready):.2f} s (median), {ready[-1]:.2f} s (longest), {late} above 2 s"
    )
    assert rounds.problems == []
    assert ready[-1] < 30, "of a machine that does other things too; make faults shows the figure"


def test_without_remembered_requests_a_retry_is_done_twice(tmp_path: Path) -> None:
    """The twin: the fate of the call in hand is unknown, it was committed, and its retry is another."""
    rounds = Rounds(tmp_path, seed=1, program=FORGETFUL)
    for nth in range(12, 60, 4):
        rounds.run(fault=f"store.committed:kill:{nth}", calls=400)
        rounds.run(calls=3)
        if rounds.problems:
            break
    assert any("doubled" in problem or "refused" in problem for problem in rounds.problems)


def test_what_is_answered_before_its_commit_is_lost(tmp_path: Path) -> None:
    """The other twin."""
    problems = found_by_kills(tmp_path, HASTY)
    assert any("lost" in problem or "acknowledged" in problem for problem in problems)


def test_another_weight_than_the_journals_is_found(tmp_path: Path) -> None:
    """And a third: a server that serves a hundredth of a percent more than its journal says."""
    problems = found_by_kills(tmp_path, LYING)
    assert any("the journal says" in problem for problem in problems)


def found_by_kills(place: Path, program: str) -> list[str]:
    """What a dozen kills find wrong with a program, the first that finds anything."""
    rounds = Rounds(place, seed=1, program=program)
    for _ in range(12):
        rounds.run(kill_within_seconds=KILL_WITHIN_SECONDS)
        if rounds.problems:
            break
    return rounds.problems


__all__ = ["bounds"]
