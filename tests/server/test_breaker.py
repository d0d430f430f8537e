"""Two unclean ends in a row under one candidate, and only those, are a crash loop."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from waiting import wait_until

from covey.v1.rollouts_pb2 import Rollout
from covey_server.rollouts.breaker import Breaker
from covey_server.store import open_store

from .rollout_rooms import Caller
from .running import ServerProcess


class Runs:
    """Server runs on one directory; nothing is closed unless said."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def run(self, candidate: str, *, ends_cleanly: bool = False) -> bool:
        """Whether the run opened the breaker; `candidate` is the rollout that the journal shows at its start."""
        store = open_store(self._directory)
        breaker = Breaker(store, lambda: datetime(2026, 3, 1, tzinfo=UTC))
        opened = breaker.opening(candidate)
        if ends_cleanly:
            breaker.closing()
        store.close()
        return opened


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_first_run_is_no_loop(runs: Runs) -> None:
    assert not runs.run("rollouts/x")


def test_two_unclean_ends_in_a_row(runs: Runs) -> None:
    runs.run("")  # the candidate got its weight during this run, which crashed
    assert not runs.run("rollouts/x"), "one crash is none too many"
    assert runs.run("rollouts/x")


def test_a_clean_end_between_breaks_the_row(runs: Runs) -> None:
    runs.run("")
    runs.run("rollouts/x", ends_cleanly=True)
    assert not runs.run("rollouts/x")
    assert not runs.run("rollouts/x", ends_cleanly=True)
    assert not runs.run("rollouts/x")


def test_crashes_without_a_candidate_do_not_count(runs: Runs) -> None:
    for _ in range(5):
        assert not runs.run("")
    assert not runs.run("rollouts/x"), "what ran at the one crash before"
    assert runs.run("rollouts/x")


def test_crashes_under_different_candidates_do_not_add_up(runs: Runs) -> None:
    runs.run("")
    runs.run("rollouts/x")
    assert not runs.run("rollouts/y")
    assert runs.run("rollouts/y")


def test_a_crash_between_the_verdict_and_its_effect_is_no_way_out(runs: Runs) -> None:
    runs.run("")
    runs.run("rollouts/x")
    assert runs.run("rollouts/x")
    assert runs.run("rollouts/x"), "the journal still shows the candidate: the loop goes on"
    assert not runs.run(""), "now the rollback is in the journal"


def test_closing_twice_or_without_opening_is_harmless(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    breaker = Breaker(store, lambda: datetime(2026, 3, 1, tzinfo=UTC))
    breaker.closing()
    breaker.opening("")
    breaker.closing()
    breaker.closing()
    store.close()


def test_a_server_that_is_killed_twice_under_a_candidate_starts_without_it(tmp_path: Path) -> None:
    def weights(server: ServerProcess) -> list[float]:
        return list(server.samples("covey_rollout_weight_ratio", rollout="rollouts/x").values())

    def shows(server: ServerProcess, expected: list[float]) -> bool:
        return weights(server) == expected

    seen = []
    for start in range(3):
        ports_file = tmp_path / f"ports{start}.json"
        server = ServerProcess(tmp_path / "data", ports_file)
        caller = Caller(json.loads(ports_file.read_text())["control"])
        try:
            if start == 0:
                caller.started()
                caller.enter_canary(caller.lease())
                wait_until(partial(shows, server, [0.01]))
            seen.append(weights(server))
            rollout = caller("GetRollout")
        finally:
            caller.close()
            server.kill()
    assert seen == [[0.01], [0.01], [0.0]]
    assert rollout.state == Rollout.STATE_ROLLING_BACK
    assert rollout.explanation.startswith("the server went down uncleanly twice while variants/native served 1 %")
