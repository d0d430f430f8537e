"""Everything that only SQLite needs: how to connect, how a transaction begins, what its errors mean.

A second database gets a file like this one; nothing outside speaks a dialect.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

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


def database_url(directory: Path, url: str | None) -> URL:
    """The database's address: `url`, or a file in the data directory.

    Raises:
        StoreError: the address is not one of SQLite.
    """
    if url is None:
        return URL.create("sqlite", database=str(directory / DATABASE_NAME))
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(str(error), place=url, remedy="write it as sqlite:////absolute/path/covey.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise StoreError(
            "only SQLite files are supported as a store",
            place=parsed.render_as_string(hide_password=True),
            remedy="leave the URL out, or write sqlite:////absolute/path/covey.db",
        )
    return parsed


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
    origin = error.orig
    name = getattr(origin, "sqlite_errorname", "") or ""
    family = next((known for known in _REMEDIES if name.startswith(known)), "")
    remedy = _REMEDIES.get(family, "see the server's log")
    return StoreError(f"the database answered: {origin}", place=place, remedy=remedy)


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
