"""Everything that only SQLite needs: how to connect, how a transaction begins, what its errors mean.

`postgres` is the other database; nothing outside these two speaks a dialect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from covey import failpoints
from covey_server.store.directory import directory_error, sync_directory, sync_file
from covey_server.store.failures import StoreError

DATABASE_NAME = "covey.db"
_BUSY_TIMEOUT_SECONDS = 5.0
_READERS = 8
_READER_WAIT_SECONDS = 10.0

_REMEDIES = {
    "SQLITE_FULL": "free some space on its file system; nothing that was acknowledged is lost",
    "SQLITE_IOERR": "check the disk and the kernel's log; nothing that was acknowledged is lost",
    "SQLITE_READONLY": "give this user write permission to the file and its directory",
    "SQLITE_CANTOPEN": "give this user read and write permission to the file and its directory",
    "SQLITE_PERM": "give this user read and write permission to the file and its directory",
    "SQLITE_CORRUPT": "restore the data directory from a copy, or begin with an empty one",
    "SQLITE_NOTADB": "this file is no covey database: move it away, or choose another --data-directory",
    "SQLITE_BUSY": "another program holds the database: close it and try again",
    "SQLITE_LOCKED": "another program holds the database: close it and try again",
}


def writer_engine(url: URL) -> Engine:
    """One connection, durable at every commit; its transactions take the write lock when they begin."""
    engine = _engine(url, size=1)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        _pragmas(connection, "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class Anchor:
    """A connection that is open as long as the store is.

    When a sync fails, the writer's connection is closed. Were it the last one, the next to open the database would
    find the unsynced commit in the write-ahead log and take it for done: in the file, but not in memory, and refused
    to its caller. With the anchor, what was refused stays outside, and the next commit is written over it.
    """

    def __init__(self, url: URL) -> None:
        self._path = str(url.database)
        self._connection: sqlite3.Connection | None = None

    def hold(self) -> None:
        """Take part in the database, which was written to before."""
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def close(self) -> None:
        """Let go; the last to leave empties the write-ahead log."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def reader_engine(url: URL) -> Engine:
    """A few connections that see one snapshot per transaction and cannot write."""
    engine = _engine(url, size=_READERS)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        _pragmas(connection, "query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def explained(error: DBAPIError, place: str) -> StoreError:
    """What a database error means for people."""
    return explained_origin(error.orig, place)


def explained_origin(origin: BaseException | None, place: str) -> StoreError:
    """What an error of the driver means for people."""
    name = getattr(origin, "sqlite_errorname", "") or ""
    family = next((known for known in _REMEDIES if name.startswith(known)), "")
    remedy = _REMEDIES.get(family, "see the server's log")
    return StoreError(f"the database answered: {origin}", place=place, remedy=remedy, is_full=family == "SQLITE_FULL")


@contextmanager
def reading_at_rest(place: Path) -> Iterator[Connection]:
    """A connection that changes nothing, to the database of a data directory or to a database file.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    path = place / DATABASE_NAME if place.is_dir() else place
    if not path.is_file():
        raise StoreError("there is no store", place=str(path), remedy="name a data directory, or a database file")
    # A copy has no write-ahead log, and may lie where nothing can be made beside it.
    log = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    engine = create_engine(f"sqlite:///file:{quote(str(path.resolve()))}?{mode}&uri=true")
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise explained(error, str(path)) from error
    finally:
        engine.dispose()


def copy_database(url: URL, target: Path) -> Path:
    """A copy of the database as it is now, synced before it has its name; others may go on reading and writing.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = target.with_name(f"{target.name}.part")
    try:
        temporary.unlink(missing_ok=True)
        with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(temporary)) as copy:
            # All pages in one step: a step that begins after another process's commit would begin again from the first.
            source.backup(copy, pages=-1)
            # One file, which needs no write-ahead log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
        sync_file(temporary)
        failpoints.reach("copy.written")
        temporary.replace(target)
        sync_directory(target.parent)
    except sqlite3.Error as error:
        raise explained_origin(error, str(target)) from error
    except OSError as error:
        raise directory_error(error, target) from error
    failpoints.reach("copy.named")
    return target


def _engine(url: URL, size: int) -> Engine:
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=_READER_WAIT_SECONDS,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )


def _pragmas(connection: sqlite3.Connection, *pragmas: str) -> None:
    # The driver's own transaction handling is off; the engines' "begin" events say how a transaction starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
