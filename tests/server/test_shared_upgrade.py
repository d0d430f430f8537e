"""Tables that servers of two versions share: expanded beside the older ones, ended once none is left, taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from covey.cli import main as command_line
from covey.v1 import rollouts_pb2
from covey_server.store import Store, StoreError, open_store, shared_store
from covey_server.store.migrations import NEWEST_VERSION
from covey_server.store.servers import Server, connection_name, servers_of

from .postgres import Cluster
from .running import ServedHere
from .test_rollout_moves_traffic import NAME, begin

BEFORE = NEWEST_VERSION - 1


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    """A store as the version before left it."""
    yield cluster.database()


def as_before(url: str, directory: Path) -> None:
    """Make a store as the version before left it, with a rollout that is over."""
    server = ServedHere(data_directory=directory, store_url=url)
    try:
        begin(server, 0.5)
        server.rollouts.AbortRollout(
            rollouts_pb2.AbortRolloutRequest(name=NAME, reason="r", request_id="a"), timeout=60
        )
    finally:
        server.stop()
    with changing(url) as connection:
        connection.execute(text("DROP INDEX ix_rollouts_is_finished"))
        connection.execute(text("ALTER TABLE rollouts DROP COLUMN is_finished"))
        connection.execute(text(f"UPDATE schema_version SET version = {BEFORE}"))


def changing(url: str):  # type: ignore[no-untyped-def] # a context of SQLAlchemy's
    """A transaction of somebody who is no server."""
    return create_engine(url, poolclass=NullPool).begin()


def found(url: str) -> tuple[int, list[bool] | None]:
    """The version of the tables, and what the new column says of each rollout; None where it is not there."""
    with changing(url) as connection:
        version = connection.execute(text("SELECT version FROM schema_version")).scalar_one()
        if not any(column["name"] == "is_finished" for column in inspect(connection).get_columns("rollouts")):
            return version, None
        return version, list(connection.execute(text("SELECT is_finished FROM rollouts ORDER BY ordinal")).scalars())


class OlderServer:
    """A connection such as a server of the version before holds: that is how it is known to be there."""

    def __init__(self, url: str, name: str = "covey-server") -> None:
        self._engine = create_engine(url, poolclass=NullPool, connect_args={"application_name": name})
        self._connection = self._engine.connect()
        self._connection.execute(text("SELECT 1"))
        self._connection.commit()

    def write(self, statement: str) -> None:
        self._connection.execute(text(statement))
        self._connection.commit()

    def stop(self) -> None:
        self._connection.close()
        self._engine.dispose()


def test_expanded_beside_older_servers_ended_without_them_and_taken_back(url: str, tmp_path: Path) -> None:
    as_before(url, tmp_path / "first")
    older = OlderServer(url)
    try:
        store: Store = open_store(tmp_path / "new", url)
        assert found(url) == (BEFORE, [True]), "expanded and filled, and older servers may still start"
        # What an older server does meanwhile: it writes the columns that it knows.
        older.write("UPDATE rollouts SET is_finished = FALSE")
        with pytest.raises(StoreError, match=r"an older covey that does not say its version.*upgrade plan"):
            store.bring_to(NEWEST_VERSION)
        assert found(url) == (BEFORE, [False])
    finally:
        older.stop()
    migrated = store.bring_to(NEWEST_VERSION)
    assert (migrated.found, migrated.version, len(migrated.steps)) == (BEFORE, NEWEST_VERSION, 1)
    assert found(url) == (NEWEST_VERSION, [True]), "what older servers finished is marked at the end"
    # Back: the number alone, as newer servers still work with what was added.
    assert store.bring_to(BEFORE).version == BEFORE
    assert found(url) == (BEFORE, [True])
    store.close()
    open_store(tmp_path / "again", url).close()
    assert found(url) == (BEFORE, [True]), "expanded again: nothing to do"


def test_a_rollout_that_an_older_server_ended_is_over(url: str, tmp_path: Path) -> None:
    as_before(url, tmp_path / "first")
    server = ServedHere(data_directory=tmp_path / "new", store_url=url)
    try:
        with changing(url) as connection:
            connection.execute(text("UPDATE rollouts SET is_finished = FALSE"))
        active = rollouts_pb2.ListRolloutsRequest(active_only=True)
        assert not server.rollouts.ListRollouts(active, timeout=60).rollouts
        begin(server, 0.5, "next")
        assert [one.name for one in server.rollouts.ListRollouts(active, timeout=60).rollouts] == ["rollouts/next"]
    finally:
        server.stop()


def test_the_command_ends_and_takes_back(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    as_before(url, tmp_path / "first")

    def said(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            command_line(["state", "migrate", *arguments])
        text = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((text.out + text.err).split())

    open_store(tmp_path / "new", url).close()
    older = OlderServer(url)
    try:
        status, words = said("--store-url", url)
        assert status == 1
        assert "would no longer understand" in words
    finally:
        older.stop()
    status, words = said("--store-url", url)
    assert (status, found(url)[0]) == (0, NEWEST_VERSION)
    assert f"from version {BEFORE} to {NEWEST_VERSION}" in words
    assert said("--store-url", url, "--to", str(BEFORE))[0] == 0
    assert found(url) == (BEFORE, [True])
    assert said("--store-url", url, "--data-directory", str(tmp_path))[0] == 2
    assert "Name its --data-directory" in said("--store-url", "sqlite:////tmp/covey.db")[1]


def test_a_step_that_nothing_can_bear_waits_until_the_others_are_gone(url: str, tmp_path: Path) -> None:
    """Version 1 to 2 has no such parts: who works on version 1 would write entries without a chain."""
    as_before(url, tmp_path / "first")
    with changing(url) as connection:
        for column in ("rollouts DROP COLUMN last_sequence", "rollouts DROP COLUMN head_digest"):
            connection.execute(text(f"ALTER TABLE {column}"))
        connection.execute(text("ALTER TABLE journal_entries DROP COLUMN digest"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    older = OlderServer(url)
    try:
        with pytest.raises(StoreError, match="would no longer understand"):
            open_store(tmp_path / "new", url)
    finally:
        older.stop()
    open_store(tmp_path / "new", url).close()
    assert found(url) == (2, [True])


def test_servers_are_known_by_what_their_connections_are_called(url: str, tmp_path: Path) -> None:
    assert servers_of(["psql", "covey-server", "covey-server", "covey-server 0.2.0 tables 4 abcdef01"]) == [
        Server("", None, ""),
        Server("0.2.0", 4, "abcdef01"),
    ]
    assert servers_of([connection_name("0.1.0", 3)]) == [], "this process itself"
    assert len(connection_name("100.100.100rc100", 1000)) < 64, "PostgreSQL cuts longer names"
    open_store(tmp_path, url).close()
    newer = OlderServer(url, "covey-server 9.0.0 tables 9 abcdef01")
    try:
        with shared_store(url) as store:
            (there,) = store.servers()
            assert re.fullmatch(r"covey 9\.0\.0 \(tables of version 9\)", there.words())
            assert store.bring_to(NEWEST_VERSION).steps == ()
    finally:
        newer.stop()
