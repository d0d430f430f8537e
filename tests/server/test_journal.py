"""The journal: all or nothing, one writer, one rollout per target, folded again after a restart."""

from __future__ import annotations

import threading

import grpc
import pytest

from covey.rollout import commands
from covey.v1.rollouts_pb2 import Rollout
from covey_server.errors import CallError
from covey_server.rollouts.journal_entries import Author
from covey_server.store import StoreError

from .rollout_rooms import ABORTED, NATIVE, REFERENCE, START, Rooms, call_error, entered, finished, tick

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
    written = rooms.to_canary()
    before = [entry.SerializeToString(deterministic=True) for entry in rooms.journal.entries("rollouts/x")]
    again = rooms.reopened()
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
    rooms.to_canary()
    rooms.create("rollouts/draft")
    rooms.append(*commands.abort(rooms.journal.state("rollouts/draft"), START), name="rollouts/draft")
    assert rooms.weight() == 100


# Finished rollouts


def test_finished_rollouts_are_folded_only_when_asked_for(rooms: Rooms) -> None:
    for number in range(20):
        name = f"rollouts/r{number}"
        rooms.create(name)
        rooms.append(*commands.abort(rooms.journal.state(name), START), name=name)
    again = rooms.reopened()
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
        rooms.reopened()
