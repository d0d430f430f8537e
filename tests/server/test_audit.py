"""The journal at rest and on a live server: who, what and why is sealed, and a flipped byte is named."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from faults.amounts import amount
from sqlalchemy import update

from covey.rollout import chain
from covey.v1.journal_pb2 import Entry
from covey_server.rollouts import journal_tables as tables
from covey_server.rollouts.journal_audit import store_to_audit
from covey_server.store import StoreError
from covey_server.store.sqlite import DATABASE_NAME

from .rollout_rooms import ROLLED_BACK, TRIGGER, Caller, Rooms, finished, refusal, rollback, tick

NAME = "rollouts/x"


def named(directory: Path) -> dict[str, list[int]]:
    """Records of the store at rest that cannot be believed."""
    with store_to_audit(directory) as store:
        return {name: [each.sequence for each in store.checked(name).breaks] for name in store.names()}


def test_every_entry_is_sealed_with_what_it_was_decided_on(rooms: Rooms) -> None:
    rooms.to_canary()
    rooms.append(tick(), rollback(TRIGGER))
    entries = list(rooms.journal.entries(NAME))
    with rooms.store.read() as connection:
        records = list(tables.records_between(connection, NAME))
        head = tables.head_of(connection, NAME)
    digest = chain.first_digest(NAME)
    spec_digest = rooms.journal.state(NAME).spec_digest
    for entry, record in zip(entries, records, strict=True):
        assert entry.previous_digest == digest
        assert entry.spec_digest == ("" if entry.HasField("tick") else spec_digest)
        digest = record.digest
    assert head == (len(entries), digest)
    assert named(rooms.store.directory) == {NAME: []}, "a live server's store can be looked at"


RECORDS = amount("RECORDS", 2_000)
"""COVEY_FAULTS_RECORDS=10000 in `make faults`."""


def test_flipped_bytes_of_many_records_on_disk_are_named(rooms: Rooms, tmp_path: Path) -> None:
    rooms.to_canary()
    with rooms.store.read() as connection:
        begun = len(list(tables.records_between(connection, NAME)))
    for _ in range(100):
        rooms.append(*[tick()] * ((RECORDS - begun) // 100))
    rooms.close()
    path = rooms.store.directory / DATABASE_NAME
    with store_to_audit(path) as store:
        count = store.checked(NAME).record_count
        records = [record for record, _ in store.entries(NAME)]
    assert count > RECORDS - 100
    clean = path.read_bytes()
    chance = random.Random(4)
    for record in chance.sample(records, 12):
        row = record.entry + record.digest
        assert clean.count(row) == 1
        data = bytearray(clean)
        data[clean.index(row) + chance.randrange(len(row))] ^= 1 << chance.randrange(8)
        copy = tmp_path / "flipped.db"
        copy.write_bytes(data)
        assert named(copy)[NAME][0] == record.sequence


def test_without_the_chain_a_changed_name_passes_unseen(rooms: Rooms) -> None:
    """The twin: everything else that a start and the audit look at finds a journal that it believes."""
    rooms.to_canary()
    rewrite(rooms, 2, actor="eve")
    again = rooms.reopened()
    try:
        assert again.journal.state(NAME).last_sequence == 3
        assert [entry.actor for entry in again.journal.entries(NAME)][1] == "eve"
    finally:
        again.close()
    assert named(rooms.store.directory) == {NAME: [2]}
    with store_to_audit(rooms.store.directory) as store:
        (found,) = store.checked(NAME).breaks
        assert "SHA-256" in found.problem, "it is the chain that finds it"


def rewrite(rooms: Rooms, sequence: int, **changes: str) -> None:
    """Change an entry behind the server's back."""
    with rooms.store.write() as connection:
        records = {record.sequence: record for record in tables.records_between(connection, NAME)}
        entry = Entry.FromString(records[sequence].entry)
        for field, value in changes.items():
            setattr(entry, field, value)
        payload = entry.SerializeToString(deterministic=True)
        row = tables.journal_entries.c.sequence == sequence
        connection.execute(update(tables.journal_entries).where(row).values(payload=payload))


@pytest.mark.parametrize(
    ("column", "value"),
    [("kind", "tick"), ("time_us", 7), ("is_tick", 2), ("digest", None), ("sequence", 77), ("payload", "text")],
)
def test_columns_beside_the_entry_are_looked_at(rooms: Rooms, column: str, value: object) -> None:
    rooms.to_canary()
    with rooms.store.write() as connection:
        statement = f"UPDATE journal_entries SET {column} = ? WHERE sequence = 2"
        connection.exec_driver_sql(statement, (value,))
    assert named(rooms.store.directory)[NAME][0] == 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal_entries WHERE sequence = 3",
        "UPDATE rollouts SET last_sequence = 2",
        "UPDATE rollouts SET head_digest = x'00'",
    ],
)
def test_what_was_taken_from_the_end_is_named(rooms: Rooms, statement: str) -> None:
    rooms.to_canary()
    with rooms.store.write() as connection:
        connection.exec_driver_sql(statement)
    assert named(rooms.store.directory) == {NAME: [3]}


def test_entries_of_no_rollout_are_named(rooms: Rooms) -> None:
    rooms.to_canary()
    rooms.close()
    with closing(sqlite3.connect(rooms.store.directory / DATABASE_NAME)) as connection, connection:
        connection.execute("DELETE FROM rollouts")
    assert named(rooms.store.directory) == {NAME: [3]}


def test_a_live_server_shows_its_records(rooms: Rooms, call: Caller) -> None:
    call.create()
    call("StartRollout")
    call("AbortRollout", reason="no")
    rooms_head = call("ListRecords", parent=NAME)
    records = [chain.Record(each.sequence, each.entry, each.digest) for each in rooms_head.records]
    assert list(chain.breaks(NAME, records, rooms_head.last_sequence, rooms_head.head_digest)) == []
    first = call("ListRecords", parent=NAME, page_size=1)
    rest = call("ListRecords", parent=NAME, page_token=first.next_page_token)
    assert [*first.records, *rest.records] == list(rooms_head.records)
    assert refusal(call, "ListRecords", parent="rollouts/none").code.name == "NOT_FOUND"
    rewrite(rooms, 1, reason="another")
    changed = call("ListRecords", parent=NAME)
    records = [chain.Record(each.sequence, each.entry, each.digest) for each in changed.records]
    assert [each.sequence for each in chain.breaks(NAME, records, changed.last_sequence, changed.head_digest)] == [1]


def test_a_finished_journal_holds_over_a_restart(rooms: Rooms) -> None:
    rooms.create()
    rooms.start()
    rooms.enter("canary", 100)
    rooms.append(rollback(TRIGGER), finished(ROLLED_BACK))
    again = rooms.reopened()
    again.close()
    assert named(rooms.store.directory) == {NAME: []}


def test_places_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"), store_to_audit(tmp_path):
        pass
    shutil.copy(__file__, tmp_path / DATABASE_NAME)
    with pytest.raises(StoreError, match="no covey database"), store_to_audit(tmp_path):
        pass
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="no covey has kept its tables here"), store_to_audit(tmp_path / "empty.db"):
        pass
