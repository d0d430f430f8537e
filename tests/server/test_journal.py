"""The journal: all or nothing, one writer, folded again after a restart, and the board that follows it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from covey.rollout import commands
from covey.v1 import journal_pb2
from covey.v1.rollouts_pb2 import Rollout
from covey_server.errors import CallError
from covey_server.rollouts.breaker import Breaker
from covey_server.rollouts.journal import Journal
from covey_server.rollouts.journal_entries import Author, Written
from covey_server.rollouts.leases import Leases
from covey_server.split import SplitBoard
from covey_server.store import StoreError, open_store

from .rollout_rooms import (
    ABORTED,
    NATIVE,
    REFERENCE,
    ROLLED_BACK,
    START,
    SUCCEEDED,
    TRIGGER,
    Rooms,
    entered,
    finished,
    rollback,
    tick,
)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    made = Rooms(tmp_path / "data")
    yield made
    made.close()


def reopened(rooms: Rooms) -> Rooms:
    """The rooms of the next server on the same directory."""
    rooms.close()
    again = Rooms(rooms.store.directory)
    again.clock.now = rooms.clock.now
    return again


def call_error(call: Callable[[], object]) -> CallError:
    with pytest.raises(CallError) as refused:
        call()
    return refused.value


def to_canary(rooms: Rooms) -> Written:
    """A rollout in its first phase, its weight in force."""
    rooms.create()
    rooms.start()
    written = rooms.enter("canary", 100)
    rooms.clock.pass_time(1)
    return written


# Entries


def test_the_server_stamps_every_entry(rooms: Rooms) -> None:
    rooms.create()
    entry = tick()
    entry.sequence, entry.epoch, entry.actor, entry.version = 99, 7, "somebody else", "0.0"
    entry.reason = "its own"
    rooms.start()
    written = rooms.append(entry, author=Author("controller", "request-1", reason="the author's"))
    (stamped,) = written.entries
    assert (stamped.sequence, stamped.epoch, stamped.actor) == (3, 0, "controller")
    assert (stamped.request_id, stamped.reason, stamped.actor_verified) == ("request-1", "its own", False)
    assert stamped.time.ToDatetime(tzinfo=START.tzinfo) == START
    assert stamped.schema_version == 1
    assert stamped.version not in {"", "0.0"}
    assert not stamped.HasField("effective_at"), "it changes no weight"


def test_state_and_bytes_are_the_same_after_a_restart(rooms: Rooms) -> None:
    written = to_canary(rooms)
    before = [entry.SerializeToString(deterministic=True) for entry in rooms.journal.entries("rollouts/x")]
    again = reopened(rooms)
    try:
        assert again.journal.state("rollouts/x") == written.state
        assert [entry.SerializeToString(deterministic=True) for entry in again.journal.entries("rollouts/x")] == before
        assert again.weight() == 100
    finally:
        again.close()


def test_entries_are_all_or_none(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()
    refused = call_error(lambda: rooms.append(tick(), entered("full", 10_000)))
    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ILLEGAL_ENTRY"
    assert refused.metadata == {"kind": "phase_entered", "sequence": "4"}
    assert rooms.journal.state("rollouts/x").last_sequence == 2
    assert len(list(rooms.journal.entries("rollouts/x"))) == 2


def test_what_does_not_exist(rooms: Rooms) -> None:
    assert call_error(lambda: rooms.journal.state("rollouts/none")).code == grpc.StatusCode.NOT_FOUND
    assert call_error(lambda: rooms.append(tick(), name="rollouts/none")).code == grpc.StatusCode.NOT_FOUND
    rooms.create()
    assert call_error(rooms.create).code == grpc.StatusCode.ALREADY_EXISTS


def test_of_two_decisions_on_the_same_sequence_exactly_one_wins(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()
    results: list[object] = []

    def decide(observed_seconds: int) -> None:
        try:
            results.append(rooms.append(tick(observed_seconds=observed_seconds), expected_sequence=2))
        except CallError as error:
            results.append(error)

    # Both wait for the writer, so they share one commit: the second must see what the first has not synced yet.
    threads = [threading.Thread(target=decide, args=(seconds,)) for seconds in (1, 2)]
    with rooms.store.write():
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(timeout=10)
    (lost,) = [result for result in results if isinstance(result, CallError)]
    assert lost.code == grpc.StatusCode.ABORTED
    assert lost.metadata == {"expected_sequence": "2", "last_sequence": "3"}
    assert rooms.journal.state("rollouts/x").last_sequence == 3


def test_many_concurrent_writers_leave_one_unbroken_sequence(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()
    threads = [threading.Thread(target=lambda: [rooms.append(tick()) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    sequences = [entry.sequence for entry in rooms.journal.entries("rollouts/x")]
    assert sequences == list(range(1, 83))
    assert rooms.journal.state("rollouts/x").last_sequence == 82


def test_a_stale_epoch_writes_nothing_where_its_twin_without_the_check_does(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()

    def acquire(holder: str) -> int:
        return rooms.journal.commit(lambda connection: rooms.leases.acquire(connection, "analyzer", holder).epoch)

    stale = acquire("paused controller")
    rooms.clock.pass_time(60)
    current = acquire("its successor")
    refused = call_error(lambda: rooms.append(tick(), author=Author("c", epoch=stale)))
    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "STALE_EPOCH"
    assert rooms.journal.state("rollouts/x").last_sequence == 2
    (written,) = rooms.append(tick(), author=Author("c", epoch=current)).entries
    assert written.epoch == current
    rooms.append(tick(), author=Author("c", epoch=None))
    assert rooms.journal.state("rollouts/x").last_sequence == 4


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


def test_a_rollback_takes_effect_with_its_commit_and_silences_the_shadow(rooms: Rooms) -> None:
    to_canary(rooms)
    assert rooms.weight() == 100
    (entry,) = rooms.append(rollback(TRIGGER)).entries
    assert entry.effective_at == entry.time
    split = rooms.board.current(rooms.clock.now)
    assert split is not None
    assert (split.candidate_weight_bp, split.shadow_share) == (0, 0.0)
    rooms.append(finished(ROLLED_BACK))
    assert rooms.board.current(rooms.clock.now) is None
    assert rooms.catalogue.stable() == REFERENCE


def test_success_makes_the_candidate_stable_in_the_same_transaction(rooms: Rooms) -> None:
    to_canary(rooms)
    rooms.enter("full", 10_000)
    rooms.clock.pass_time(1)
    assert rooms.weight() == 10_000
    seen: list[tuple[str, int | None]] = []
    rooms.journal.subscribe(lambda state: seen.append((rooms.catalogue.stable(), rooms.weight())))
    commits = rooms.store.commit_count
    rooms.append(finished(SUCCEEDED))
    assert rooms.store.commit_count == commits + 1
    assert seen == [(NATIVE, None)]
    again = reopened(rooms)
    try:
        assert again.catalogue.stable() == NATIVE
        assert again.weight() is None
    finally:
        again.close()


def test_a_success_that_cannot_be_recorded_changes_nothing(rooms: Rooms) -> None:
    to_canary(rooms)
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
    to_canary(rooms)
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
    to_canary(rooms)
    rooms.create("rollouts/draft")
    rooms.store.close()
    with pytest.raises(StoreError, match="closed"):
        rooms.journal.commit(lambda connection: None, zero_ahead_of="rollouts/draft")
    assert rooms.weight() == 100
    with pytest.raises(StoreError, match="closed"):
        rooms.journal.commit(lambda connection: None, zero_ahead_of="rollouts/x")
    assert rooms.weight() == 0


# Targets


def test_a_second_start_names_the_first(rooms: Rooms) -> None:
    rooms.create("rollouts/first")
    rooms.create("rollouts/second")
    rooms.start("rollouts/first")
    refused = call_error(lambda: rooms.start("rollouts/second"))
    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refused.metadata["rollout"] == "rollouts/first"
    assert "rollouts/first" in refused.message
    rooms.append(*commands.abort(rooms.journal.state("rollouts/first"), START), name="rollouts/first")
    assert rooms.start("rollouts/second").state.state == Rollout.STATE_SCHEDULED


def test_two_starts_in_one_shared_commit_are_no_way_round(rooms: Rooms) -> None:
    rooms.create("rollouts/first")
    rooms.create("rollouts/second")
    results: list[object] = []

    def start(name: str) -> None:
        try:
            results.append(rooms.start(name))
        except CallError as error:
            results.append(error)

    threads = [threading.Thread(target=start, args=(f"rollouts/{name}",)) for name in ("first", "second")]
    with rooms.store.write():
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert sorted(type(result).__name__ for result in results) == ["CallError", "Written"]


def test_a_baseline_that_is_not_stable_cannot_start(rooms: Rooms) -> None:
    rooms.create(baseline=NATIVE, candidate=REFERENCE)
    refused = call_error(rooms.start)
    assert refused.reason == "BASELINE_NOT_STABLE"
    assert refused.metadata == {"baseline": NATIVE, "stable_variant": REFERENCE}


def test_an_aborted_draft_leaves_the_running_rollout_alone(rooms: Rooms) -> None:
    to_canary(rooms)
    rooms.create("rollouts/draft")
    rooms.append(*commands.abort(rooms.journal.state("rollouts/draft"), START), name="rollouts/draft")
    assert rooms.weight() == 100


# Finished rollouts


def test_finished_rollouts_are_folded_only_when_asked_for(rooms: Rooms) -> None:
    for number in range(20):
        name = f"rollouts/r{number}"
        rooms.create(name)
        rooms.append(*commands.abort(rooms.journal.state(name), START), name=name)
    again = reopened(rooms)
    try:
        assert again.journal.active() == []
        for number in range(20):
            state = again.journal.state(f"rollouts/r{number}")
            assert state.state == Rollout.STATE_ABORTED
            assert again.journal.state_at(f"rollouts/r{number}", 1).state == Rollout.STATE_DRAFT
        assert len(again.journal._states._finished) <= 8
        refused = call_error(lambda: again.append(finished(ABORTED), name="rollouts/r0"))
        assert refused.reason == "ILLEGAL_ENTRY"
    finally:
        again.close()


def test_rollouts_that_nobody_finishes_are_bounded(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey_server.rollouts.journal.MOST_ACTIVE_ROLLOUTS", 2)
    rooms.create("rollouts/a")
    rooms.create("rollouts/b")
    refused = call_error(lambda: rooms.create("rollouts/c"))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    rooms.append(*commands.abort(rooms.journal.state("rollouts/a"), START), name="rollouts/a")
    assert rooms.create("rollouts/c").state.state == Rollout.STATE_DRAFT


def test_an_entry_of_a_newer_version_is_refused_with_a_remedy(rooms: Rooms) -> None:
    rooms.create()
    (entry,) = rooms.journal.entries("rollouts/x")
    entry.schema_version = 99
    with rooms.store.write() as connection:
        connection.exec_driver_sql("UPDATE journal_entries SET payload = ?", (entry.SerializeToString(),))
    with pytest.raises(
        StoreError, match=r"rollouts/x cannot be read .*schema 99.*Run the version of covey that wrote it"
    ):
        reopened(rooms)


# The crash-loop breaker


def test_two_unclean_ends_under_a_candidate_take_its_weight_away(rooms: Rooms) -> None:
    to_canary(rooms)
    weights, run = [], rooms
    for _ in range(3):
        breaker = Breaker(run.store, run.clock)
        if breaker.opening(run.journal.running_candidate()):
            run.journal.crash_loop()
        weights.append(run.weight())
        run = reopened(run)  # without breaker.closing(): the run before ended uncleanly
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


# kill -9

# One process imports everything and forks a writer for every line it reads: 20 starts would take a minute.
WRITERS = """
import os, sys
from datetime import UTC, datetime
from covey_server.catalogue.catalogue import Catalogue
from covey_server.rollouts.journal import Journal
from covey_server.rollouts.journal_entries import Author
from covey_server.split import SplitBoard
from covey_server.store import open_store
from covey.v1 import journal_pb2

def write():
    store = open_store(sys.argv[1])
    clock = lambda: datetime.now(UTC)
    journal = Journal(store, SplitBoard(), Catalogue(store, clock), clock)
    journal.load()
    tick = journal_pb2.Entry(tick=journal_pb2.Tick())
    tick.tick.observed.seconds = 1
    while True:
        written = journal.commit(lambda c: journal.append(c, "rollouts/x", [tick, tick], Author("w")))
        os.write(1, b"%d\\n" % written.state.last_sequence)

for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write()
    os.write(1, b"pid %d\\n" % pid)
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""
KILLS = 20


def killed_after(writers: subprocess.Popen[str], acknowledgements: int) -> int:
    """Kill a writer -9 after that many acknowledgements; the last sequence that it acknowledged."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write("write\n")
    writers.stdin.flush()
    acknowledged, pid = [], 0
    for line in writers.stdout:
        if line.startswith("pid "):
            pid = int(line.split()[1])
        elif line == "dead\n":
            return acknowledged[-1]
        else:
            acknowledged.append(int(line))
        if pid and len(acknowledged) == acknowledgements:
            os.kill(pid, signal.SIGKILL)
    raise AssertionError("the writers have ended")


def test_every_acknowledged_entry_survives_kill_9(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()
    rooms.close()
    directory = rooms.store.directory
    command = [sys.executable, "-c", WRITERS, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writers:
        for kill in range(KILLS):
            acknowledged = killed_after(writers, 1 + 2 * kill)
            store = open_store(directory)
            journal = Journal(store, SplitBoard(), rooms.catalogue, rooms.clock, Leases(store, rooms.clock))
            journal.load()
            stored = [entry.sequence for entry in journal.entries("rollouts/x")]
            store.close()
            assert stored == list(range(1, len(stored) + 1)), "none is lost, none is doubled"
            # At most the one decision of two entries that was synced and not yet said.
            assert len(stored) in {acknowledged, acknowledged + 2}
        assert writers.stdin is not None
        writers.stdin.close()
    assert writers.returncode == 0
