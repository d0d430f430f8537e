"""The board that follows the journal: when a weight takes effect, and what takes it away."""

from __future__ import annotations

import pytest

from covey.rollout import commands
from covey.v1 import journal_pb2
from covey.v1.rollouts_pb2 import Rollout
from covey_server.rollouts.breaker import Breaker
from covey_server.rollouts.journal_entries import Author, Written
from covey_server.store import StoreError

from .rollout_rooms import (
    NATIVE,
    REFERENCE,
    ROLLED_BACK,
    SUCCEEDED,
    TRIGGER,
    Rooms,
    finished,
    rollback,
    tick,
)

# The board


def test_a_weight_takes_effect_a_second_after_its_commit_and_the_shadow_with_its_phase(rooms: Rooms) -> None:
    rooms.create()
    assert rooms.board.current(rooms.clock.now) is None
    rooms.start()
    split = rooms.board.current(rooms.clock.now)
    assert split is not None
    assert (split.candidate_weight_bp, split.phase, split.shadow_share) == (0, "", 0.0)
    assert (split.baseline, split.candidate, split.uid) == (REFERENCE, NATIVE, "uid-of-rollouts/x")
    assert split.limits_seconds == (0.2,)
    assert split.outcome_window_seconds == 7 * 86_400
    (entry,) = rooms.enter("canary", 100).entries
    assert entry.effective_at.ToMicroseconds() - entry.time.ToMicroseconds() == 1_000_000
    rooms.clock.pass_time(0.999)
    assert rooms.weight() == 0
    rooms.clock.pass_time(0.001)
    split = rooms.board.current(rooms.clock.now)
    assert split is not None
    assert (split.candidate_weight_bp, split.phase, split.shadow_share) == (100, "canary", 0.01)
    assert not split.is_over


def test_a_rollback_takes_effect_with_its_commit_and_silences_the_shadow(rooms: Rooms) -> None:
    rooms.to_canary()
    assert rooms.weight() == 100
    (entry,) = rooms.append(rollback(TRIGGER)).entries
    assert entry.effective_at == entry.time
    split = rooms.board.current(rooms.clock.now)
    assert split is not None
    assert (split.candidate_weight_bp, split.shadow_share, split.is_over) == (0, 0.0, True)
    rooms.append(finished(ROLLED_BACK))
    assert rooms.board.current(rooms.clock.now) is None
    assert rooms.catalogue.stable() == REFERENCE


def test_success_makes_the_candidate_stable_in_the_same_transaction(rooms: Rooms) -> None:
    rooms.to_canary()
    rooms.enter("full", 10_000)
    rooms.clock.pass_time(1)
    assert rooms.weight() == 10_000
    seen: list[tuple[str, int | None]] = []
    rooms.journal.subscribe(lambda state: seen.append((rooms.catalogue.stable(), rooms.weight())))
    commits = rooms.store.commit_count
    rooms.append(finished(SUCCEEDED))
    assert rooms.store.commit_count == commits + 1
    assert seen == [(NATIVE, None)]
    again = rooms.reopened()
    try:
        assert again.catalogue.stable() == NATIVE
        assert again.weight() is None
    finally:
        again.close()


def test_a_success_that_cannot_be_recorded_changes_nothing(rooms: Rooms) -> None:
    rooms.to_canary()
    rooms.enter("full", 10_000)
    rooms.clock.pass_time(1)

    def failing(connection: object) -> None:
        rooms.journal.append(connection, "rollouts/x", [finished(SUCCEEDED)], Author("c"))  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rooms.journal.commit(failing)
    assert rooms.catalogue.stable() == REFERENCE
    assert rooms.weight() == 10_000
    assert rooms.journal.state("rollouts/x").state == Rollout.STATE_RUNNING


def test_a_dry_run_moves_nothing_to_the_end(rooms: Rooms) -> None:
    rooms.create(dry_run=True)
    rooms.start()
    for phase in ("canary", "full"):
        rooms.enter(phase, 0)
        rooms.clock.pass_time(1)
        assert rooms.weight() == 0
    rooms.append(finished(SUCCEEDED))
    assert rooms.catalogue.stable() == REFERENCE


def test_weight_zero_runs_ahead_of_a_store_that_cannot_record_it(rooms: Rooms) -> None:
    rooms.to_canary()
    # As full as a disk can be: no page more, not even in the transaction's own space.
    with rooms.store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def abort(reason: str) -> Written:
        return rooms.journal.commit(
            lambda connection: rooms.journal.append(
                connection,
                "rollouts/x",
                commands.abort(rooms.journal.current(connection, "rollouts/x"), rooms.clock(), reason=reason),
                Author("ann"),
            ),
            zero_ahead_of="rollouts/x",
        )

    with pytest.raises(StoreError, match="Free some space"):
        abort("x" * 1_000_000)
    assert rooms.weight() == 0
    assert rooms.journal.state("rollouts/x").candidate_weight_bp == 100, "the journal says what was recorded"
    rooms.append(tick(rooms.clock.now))
    assert rooms.weight() == 0, "a tick does not bring it back"
    assert abort("again, with space").state.state == Rollout.STATE_ROLLING_BACK
    assert rooms.weight() == 0


def test_weight_zero_ahead_of_the_journal_touches_no_other_rollout(rooms: Rooms) -> None:
    rooms.to_canary()
    rooms.create("rollouts/draft")
    rooms.store.close()
    with pytest.raises(StoreError, match="closed"):
        rooms.journal.commit(lambda connection: None, zero_ahead_of="rollouts/draft")
    assert rooms.weight() == 100
    with pytest.raises(StoreError, match="closed"):
        rooms.journal.commit(lambda connection: None, zero_ahead_of="rollouts/x")
    assert rooms.weight() == 0


# The crash-loop breaker


def test_two_unclean_ends_under_a_candidate_take_its_weight_away(rooms: Rooms) -> None:
    rooms.to_canary()
    weights, run = [], rooms
    for _ in range(3):
        breaker = Breaker(run.store, run.clock)
        if breaker.opening(run.journal.running_candidate()):
            run.journal.crash_loop()
        weights.append(run.weight())
        run = run.reopened()  # without breaker.closing(): the run before ended uncleanly
    try:
        assert weights == [100, 100, 0]
        state = run.journal.state("rollouts/x")
        assert state.state == Rollout.STATE_ROLLING_BACK
        (entry,) = [e for e in run.journal.entries("rollouts/x") if e.HasField("rollback_started")]
        assert entry.actor == "server"
        assert entry.rollback_started.cause == journal_pb2.RollbackStarted.CAUSE_CRASH_LOOP
        assert run.weight() == 0
        assert run.journal.crash_loop() == [], "there is nothing left to take away"
    finally:
        run.close()
