"""The store: durable tables behind one writer and a few readers, in a data directory that it locks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, MetaData, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from covey import __version__, failpoints
from covey_server.store import migrations, postgres, schema, sqlite
from covey_server.store.address import database_of, database_url, is_shared, place_of
from covey_server.store.ballast import Ballast
from covey_server.store.directory import DirectoryLock, sync_directory
from covey_server.store.failures import StoreError
from covey_server.store.servers import Server
from covey_server.store.writer import Writer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `Store.bring_to` did.

    Attributes:
        found: version of the tables before.
        version: of the tables now.
        steps: what is new, or no more there, in words.
        copy: of the database before; None where nothing was changed or no copy was asked for.
        waiting: steps that are prepared and wait until no older server is left, in words.
    """

    found: int
    version: int
    steps: tuple[str, ...]
    copy: Path | None
    waiting: tuple[str, ...] = ()


class Store:
    """Tables that last. Made by `open_store`; every method may be called from any thread."""

    def __init__(self, directory: Path, url: str | None, lock: DirectoryLock | None, ballast_bytes: int = 0) -> None:
        self.directory = directory
        self._lock = lock
        self._url = database_url(directory, url)
        self._database = database_of(self._url)
        self._place = place_of(self._url)
        self._readers = self._database.reader_engine(self._url)
        self._prober = self._database.reader_engine(self._url)
        self._anchor = self._database.Anchor(self._url)
        self._writer = Writer(
            self._database.writer_engine(self._url), self._explained, self._place, Ballast(directory, ballast_bytes)
        )

    @property
    def metadata(self) -> MetaData:
        """Where rooms declare their tables."""
        return schema.metadata

    @property
    def is_shared(self) -> bool:
        """Whether other servers may write to it: then what is in memory can be behind what is committed."""
        return is_shared(self._url)

    @property
    def ballast(self) -> Ballast:
        """What is set aside for rollbacks on a full disk."""
        return self._writer.ballast

    @property
    def unwritable_seconds(self) -> float:
        """How long writes have failed or hung; 0 after one that was synced."""
        return self._writer.health.unwritable_seconds

    @property
    def commit_count(self) -> int:
        """Transactions committed since the store was opened: fewer than the mutations where commits were shared."""
        return self._writer.commit_count

    def create_all(self) -> None:
        """Make every table that was declared and is not there yet.

        Raises:
            StoreError: the database cannot be written.
        """
        # A full disk must not keep a server from starting: mostly there is nothing to write here.
        with self.write(is_reserved=True) as connection:
            schema.metadata.create_all(connection)
            table = schema.schema_version
            found = connection.execute(select(table.c.written_by)).one_or_none()
            if found is None:
                values = {"version": migrations.NEWEST_VERSION, "written_by": __version__}
                connection.execute(insert(table).values(only_row=1, **values))
            elif found.written_by != __version__:
                connection.execute(update(table).values(written_by=__version__))
        self._anchor.hold()
        sync_directory(self.directory)

    def bring_to(self, target: int | None = None, *, keep_copy: bool = True) -> Migrated:
        """Bring the tables to a version, a copy of the database beside it first; what was there already is kept.

        Args:
            target: version of the tables; default this code's, which the store must have to be used.
            keep_copy: whether to make the copy, `covey.version-N.db`; of PostgreSQL none is made (`pg_dump` makes one).

        Raises:
            StoreError: a newer covey wrote this store, servers of another version are in the way, or the database
                cannot be written.
        """
        found = self._found()
        wanted = migrations.NEWEST_VERSION if target is None else target
        if found is None or found == wanted:
            return Migrated(wanted if found is None else found, wanted, (), None)
        copy = None
        if keep_copy and not self.is_shared:
            failpoints.reach("migrate.before_copy")
            copy = sqlite.copy_database(self._url, migrations.copy_path(self.directory, found))
        others = self.servers if self.is_shared else None
        steps = migrations.migrate(self.write, found, wanted, self._place, others=others)
        return Migrated(found, wanted, tuple(step.summary for step in steps), copy)

    def make_ready(self, *, ends: bool) -> Migrated:
        """Let this code work on the tables.

        Args:
            ends: whether they are brought to its version; else as near as code of the version before bears.

        Raises:
            StoreError: as `bring_to`.
        """
        if ends:
            return self.bring_to()
        found = self._found()
        if found is None or found == migrations.NEWEST_VERSION:
            return Migrated(found or migrations.NEWEST_VERSION, migrations.NEWEST_VERSION, (), None)
        whole = self.bring_to(migrations.whole_until(found))
        waiting = migrations.expand(self.write, whole.version)
        return replace(whole, waiting=tuple(step.summary for step in waiting))

    def servers(self) -> list[Server]:
        """Other processes that work on this store; of an SQLite file there are none.

        Raises:
            StoreError: the store cannot be read.
        """
        if not self.is_shared:
            return []
        with self.read() as connection:
            return postgres.servers(connection)

    def version(self) -> int | None:
        """Of the tables; None where there are none, and newer ones than this code knows are told, too.

        Raises:
            StoreError: the store cannot be read.
        """
        with self.read() as connection:
            return migrations.version_of(connection)

    def _found(self) -> int | None:
        with self.read() as connection:
            migrations.refuse_newer(connection, self._place)
            return migrations.version_of(connection)

    @contextmanager
    def write(self, *, is_reserved: bool = False) -> Iterator[Connection]:
        """One transaction under the writer's lock: synced when the block ends, rolled back when it raises.

        Args:
            is_reserved: whether it may go into the space that is set aside, once a full disk has opened it.

        Raises:
            StoreError: the database could not write; nothing of the block was kept.
        """
        with self._writer.transaction(is_reserved) as connection:
            yield connection

    def group_commit(self, mutation: Callable[[Connection], T], *, is_reserved: bool = False) -> T:
        """Run `mutation(connection)` in a commit that concurrent callers share; returns its result after the sync.

        A mutation that raises is rolled back alone and its error raised here; the others are not touched. It must not
        open a write transaction of its own.

        Args:
            mutation: makes the change.
            is_reserved: whether it is written also where the disk is full, on the space that is set aside: it is small,
                takes weight away, and bears to be called again where the first attempt found no space.

        Raises:
            StoreError: the database could not write; nothing of the mutation was kept.
        """
        return self._writer.share(mutation, is_reserved)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one snapshot of what is committed and cannot write.

        Raises:
            StoreError: the database could not be read, or every reader was busy for 10 s.
        """
        failpoints.reach("store.read")
        try:
            with self._readers.connect() as connection, connection.begin():
                yield connection
        except PoolTimeoutError as error:
            raise StoreError("every reader is busy", place=self._place, remedy="try again later") from error
        except DBAPIError as error:
            raise self._explained(error) from error

    def probe(self) -> None:
        """Read a little over a connection of its own, so that busy readers do not make it fail.

        Raises:
            StoreError: the database could not be read.
        """
        failpoints.reach("store.probed")
        try:
            with self._prober.connect() as connection, connection.begin():
                connection.execute(select(schema.schema_version.c.version)).all()
        except DBAPIError as error:
            raise self._explained(error) from error

    def after_commit(self, connection: Connection, callback: Callable[[], None]) -> None:
        """Call back once the write transaction of `connection` is synced.

        Callbacks run in the order of the mutations, before the callers return and before any later commit: the place
        to bring caches in memory up to what is durable. Not called when the transaction or its mutation fails.
        """
        self._writer.after_commit(connection, callback)

    def pending(self, connection: Connection) -> dict[Hashable, Any]:
        """Scratch space of the write transaction of `connection`.

        Mutations that share a commit run one after the other before any `after_commit`: what one of them means to put
        into a cache, the next of them reads here. It is rolled back with its mutation and forgotten at the end.
        """
        return self._writer.pending(connection)

    @contextmanager
    def joined(self, connection: Connection | None) -> Iterator[Connection]:
        """The write transaction of `connection` where it is one of this store, else one of its own.

        Raises:
            StoreError: as `write`.
        """
        if connection is not None and self.owns(connection):
            yield connection
        else:
            with self.write() as own:
                yield own

    def owns(self, connection: Connection) -> bool:
        """Whether this is the connection of the write transaction in progress."""
        return self._writer.owns(connection)

    @property
    def place(self) -> str:
        """Where the database is, for people."""
        return self._place

    def close(self) -> None:
        """Finish the transaction in progress, close the connections and give the directory back."""
        self._writer.close()
        self._readers.dispose()
        self._prober.dispose()
        self._anchor.close()
        if self._lock is not None:
            self._lock.release()

    def _explained(self, error: DBAPIError) -> StoreError:
        return self._database.explained(error, self._place)
