"""The store: durable, shared commits, one process per directory, errors that say what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Table, Text, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from covey_server.errors import CallError
from covey_server.store import Store, StoreError, once, open_store
from covey_server.store.schema import RowNumber, from_microseconds, metadata, schema_version, to_microseconds

notes = Table(
    "test_notes",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("text", Text, unique=True, nullable=False),
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def write_note(text: str) -> Callable[[Connection], str]:
    def mutation(connection: Connection) -> str:
        connection.execute(insert(notes).values(text=text))
        return text

    return mutation


def texts(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(notes.c.text).order_by(notes.c.number)).scalars())


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


def test_a_second_opening_of_a_directory_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"another live server \(process {os.getpid()}\).*data directory.*Stop that"):
        open_store(tmp_path / "data")
    program = f"from covey_server.store import open_store; open_store({str(tmp_path / 'data')!r})"
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert f"another live server (process {os.getpid()})" in second.stderr


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("I am a file")
    with pytest.raises(StoreError, match="A file is in the way: remove it"):
        open_store(tmp_path / "data")
    with pytest.raises(StoreError, match="A file is in the way"):
        open_store(tmp_path / "data" / "below")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "covey.db").write_text("certainly not a database, but long enough to be read as one" * 100)
    with pytest.raises(StoreError, match="no covey database"):
        open_store(tmp_path)


def test_no_write_permission(tmp_path: Path) -> None:
    # Root may write everywhere; its child becomes nobody.
    drop = "os.setgroups([]); os.setgid(65534); os.setuid(65534)" if os.getuid() == 0 else ""
    directory = tmp_path / "data"
    open_store(directory).close()
    for entry in directory.iterdir():
        entry.chmod(0o444)
    directory.chmod(0o555)
    # The folders above belong to the test runner's user alone.
    opened = [
        parent for parent in directory.parents if os.access(parent, os.W_OK) and parent.stat().st_uid == os.getuid()
    ]
    modes = [(parent, parent.stat().st_mode) for parent in opened if not parent.stat().st_mode & 0o001]
    for parent, mode in modes:
        parent.chmod(mode | 0o011)
    program = textwrap.dedent(f"""
        import os, sys
        from covey_server.store import StoreError, open_store
        {drop}
        try:
            open_store({str(directory)!r})
        except StoreError as error:
            sys.exit(f"refused: {{error}}")
    """)
    try:
        child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    finally:
        for parent, mode in modes:
            parent.chmod(mode)
        directory.chmod(0o755)
    assert child.returncode == 1, child.stderr
    assert "refused: " in child.stderr, child.stderr
    assert "Permission denied" in child.stderr
    assert "read and write permission" in child.stderr


def test_a_store_of_a_newer_covey_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.write() as connection:
        connection.execute(update(schema_version).values(version=99, written_by="9.9"))
    store.close()
    for _ in range(2):  # the refusal gives the lock back
        with pytest.raises(StoreError, match=r"covey 9\.9 wrote version 99.*Run covey 9\.9 or newer"):
            open_store(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/covey", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_other_databases_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError) as refusal:
        open_store(tmp_path, url)
    assert "sqlite:////" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_url_of_a_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data", f"sqlite:///{tmp_path}/elsewhere.db")
    store.group_commit(write_note("there"))
    store.close()
    assert (tmp_path / "elsewhere.db").stat().st_size > 0


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


# Idempotency


def remembered(store: Store, request_id: str, body: bytes, response: bytes, now: datetime = NOW) -> bytes:
    return store.group_commit(
        lambda connection: once(connection, "Do", request_id, lambda _: response, body=body, now=now)
    )


def test_a_retry_returns_the_first_result(store: Store) -> None:
    assert remembered(store, "r", b"body", b"first") == b"first"
    assert remembered(store, "r", b"body", b"second") == b"first"
    assert remembered(store, "other", b"body", b"second") == b"second"


def test_the_same_id_with_another_body_is_refused(store: Store) -> None:
    remembered(store, "r", b"body", b"first")
    with pytest.raises(CallError) as refusal:
        remembered(store, "r", b"another body", b"second")
    assert refusal.value.code == grpc.StatusCode.ALREADY_EXISTS
    assert refusal.value.reason == "REQUEST_ID_REUSED"


def test_a_result_is_forgotten_after_a_day(store: Store) -> None:
    remembered(store, "r", b"body", b"first")
    assert remembered(store, "r", b"body", b"second", NOW + timedelta(hours=24)) == b"first"
    assert remembered(store, "r", b"another", b"third", NOW + timedelta(hours=24, seconds=1)) == b"third"
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one() == 1


def test_a_failed_request_is_not_remembered(store: Store) -> None:
    def fail(_: Connection) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.group_commit(lambda connection: once(connection, "Do", "r", fail, body=b"body", now=NOW))
    assert remembered(store, "r", b"body", b"second") == b"second"


@pytest.mark.parametrize("request_id", ["", "x" * 129])
def test_a_request_id_is_required_and_bounded(store: Store, request_id: str) -> None:
    with pytest.raises(CallError) as refusal:
        remembered(store, request_id, b"body", b"first")
    assert refusal.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.violations[0][0] == "request_id"


@settings(deadline=None, max_examples=25)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([b"x", b"y"]), st.integers(0, 20)), min_size=1, max_size=20
    )
)
def test_idempotency_is_a_map_of_first_results(
    requests: list[tuple[str, bytes, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store(tmp_path_factory.mktemp("store"))
    model: dict[str, tuple[bytes, bytes, datetime]] = {}
    now = NOW
    try:
        for number, (request_id, body, hours) in enumerate(requests):
            now += timedelta(hours=hours)
            known = model.get(request_id)
            if known is not None and now - known[2] > timedelta(hours=24):
                known = None
            response = str(number).encode()
            if known is not None and known[0] != body:
                with pytest.raises(CallError):
                    remembered(store, request_id, body, response, now)
                continue
            if known is None:
                known = model[request_id] = (body, response, now)
            assert remembered(store, request_id, body, response, now) == known[1]
    finally:
        store.close()


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_times_come_back_exactly(naive: datetime) -> None:
    time = naive.replace(tzinfo=UTC)
    assert from_microseconds(to_microseconds(time)) == time
