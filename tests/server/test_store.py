"""The store: durable, shared commits, callbacks in order; what was acknowledged survives kill -9."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from covey_server.store import Store, StoreError, open_store
from covey_server.store.schema import from_microseconds, to_microseconds

from .store_notes import notes, texts, write_note


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    first = open_store(tmp_path)
    with first.write() as connection:
        write_note("own")(connection)
    assert first.group_commit(write_note("shared")) == "shared"
    first.close()
    second = open_store(tmp_path)
    assert texts(second) == ["own", "shared"]
    second.close()


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        write_note("lost")(connection)
        raise ZeroDivisionError
    assert texts(store) == []


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="readonly"), store.read() as connection:
        write_note("never")(connection)
    assert texts(store) == []


def shared_while_writer_is_busy(store: Store, mutations: list[Callable[[Connection], object]]) -> list[object]:
    """Results or errors of mutations that all queued while another transaction held the writer."""
    results: list[object] = [None] * len(mutations)

    def run(index: int) -> None:
        try:
            results[index] = store.group_commit(mutations[index])
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(mutations))]
    with store.write():
        for thread in threads:
            thread.start()
        deadline = threading.Event()
        while len(store._writer._queue) < len(mutations):
            assert not deadline.wait(0.001)
    for thread in threads:
        thread.join(timeout=10)
    return results


def test_concurrent_mutations_share_one_commit(store: Store) -> None:
    before = store.commit_count
    results = shared_while_writer_is_busy(store, [write_note(str(number)) for number in range(32)])
    assert sorted(map(str, results)) == sorted(map(str, range(32)))
    assert store.commit_count - before == 2  # the one that was busy, and one for all 32
    assert len(texts(store)) == 32


def test_a_failing_mutation_does_not_spoil_the_others(store: Store) -> None:
    def fail(connection: Connection) -> None:
        write_note("of the failing one")(connection)
        store.pending(connection)["seen"] = True
        store.after_commit(connection, lambda: called.append("failing"))
        raise ZeroDivisionError

    def succeed(connection: Connection) -> bool:
        store.after_commit(connection, lambda: called.append("good"))
        write_note("good")(connection)
        return "seen" in store.pending(connection)

    called: list[str] = []
    duplicate = write_note("twice")
    results = shared_while_writer_is_busy(store, [fail, duplicate, succeed, duplicate])
    assert isinstance(results[0], ZeroDivisionError)
    assert results[2] is False, "what a failed mutation left pending is gone"
    assert sorted(type(results[index]).__name__ for index in (1, 3)) == ["IntegrityError", "str"]
    assert isinstance(results[1] if results[3] == "twice" else results[3], IntegrityError)
    assert sorted(texts(store)) == ["good", "twice"]
    assert called == ["good"]


def test_a_failing_statement_does_not_spoil_the_others(store: Store) -> None:
    def misspelt(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO no_such_table VALUES (1)")

    results = shared_while_writer_is_busy(store, [misspelt, write_note("good")])
    assert isinstance(results[0], StoreError)
    assert results[1] == "good"
    assert texts(store) == ["good"]


def test_a_full_disk_acknowledges_nothing_and_the_store_recovers(store: Store) -> None:
    with store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    results = shared_while_writer_is_busy(store, [write_note("small"), write_note("x" * 1_000_000)])
    assert isinstance(results[1], StoreError)
    assert "Free some space" in str(results[1])
    acknowledged = [result for result in results if isinstance(result, str)]
    assert texts(store) == acknowledged
    # The connection was replaced, and with it the limit.
    store.group_commit(write_note("y" * 1_000_000))
    assert len(texts(store)) == len(acknowledged) + 1


def test_callbacks_run_in_order_before_the_callers_return(store: Store) -> None:
    order: list[int] = []

    def numbered(number: int) -> Callable[[Connection], bool]:
        def mutation(connection: Connection) -> bool:
            store.after_commit(connection, lambda: order.append(number))
            return not order

        return mutation

    assert store.group_commit(numbered(1)) is True, "not called inside the transaction"
    assert order == [1]
    with store.write() as connection:
        numbered(2)(connection)
        numbered(3)(connection)
        assert order == [1]
    assert order == [1, 2, 3]


def test_a_callback_that_fails_stops_neither_the_commit_nor_the_other_callbacks(store: Store) -> None:
    called: list[str] = []

    def mutation(connection: Connection) -> None:
        write_note("durable")(connection)
        store.after_commit(connection, lambda: called.append("before"))
        store.after_commit(connection, lambda: called.index("never there"))
        store.after_commit(connection, lambda: called.append("after"))

    with pytest.raises(ValueError, match="never there"):
        store.group_commit(mutation)
    assert called == ["before", "after"]
    assert texts(store) == ["durable"]
    assert store.group_commit(write_note("later")) == "later"


def test_rooms_declare_their_tables_where_the_store_finds_them(store: Store) -> None:
    assert notes.key in store.metadata.tables


def test_a_transaction_inside_a_transaction_is_refused(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside a write transaction"), store.write():
        store.group_commit(write_note("never"))
    with store.read() as connection, pytest.raises(RuntimeError, match="not that of the write transaction"):
        store.after_commit(connection, list)
    assert store.group_commit(write_note("later")) == "later"


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    closed = open_store(tmp_path)
    closed.close()
    with pytest.raises(StoreError, match="closed"):
        closed.group_commit(write_note("never"))


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_times_come_back_exactly(naive: datetime) -> None:
    time = naive.replace(tzinfo=UTC)
    assert from_microseconds(to_microseconds(time)) == time


WRITER = """
import sys
from covey_server.store import open_store
from sqlalchemy import Column, Table, Text, insert
from covey_server.store.schema import RowNumber, metadata
notes = Table("test_notes", metadata, Column("number", RowNumber, primary_key=True),
              Column("text", Text, unique=True, nullable=False))
store = open_store(sys.argv[1])
number = int(sys.argv[2])
while True:
    store.group_commit(lambda connection: connection.execute(insert(notes).values(text=str(number))))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged = 0
    for kill in range(5):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(acknowledged + 1_000 * kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(20 + 7 * kill):
                assert child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            said = child.stdout.read().splitlines(keepends=True)
        last = [line for line in said if line.endswith("\n")]
        acknowledged += 20 + 7 * kill + len(last)
        store = open_store(tmp_path)
        with store.read() as connection:
            stored = connection.execute(select(func.count()).select_from(notes)).scalar_one()
        store.close()
        # At most the one that was synced and not yet said.
        assert acknowledged <= stored <= acknowledged + 1
        acknowledged = stored
