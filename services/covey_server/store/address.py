"""Where a store is, and which database it speaks to."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from covey_server.store import postgres, sqlite
from covey_server.store.failures import StoreError

_FORMS = "sqlite:////absolute/path/covey.db or postgresql+psycopg://user@host/database"


class Anchor(Protocol):
    """What is held as long as a store is open."""

    def hold(self) -> None:
        """Take hold of a database that was written to before."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Database(Protocol):
    """What differs between databases; `sqlite` and `postgres` are modules of this form."""

    def Anchor(self, url: URL) -> Anchor:  # noqa: N802 - a class in each of them
        """What is held as long as the store is open."""
        ...

    def writer_engine(self, url: URL) -> Engine:
        """One connection, durable at every commit; its transactions exclude each other from their begin on."""
        ...

    def reader_engine(self, url: URL) -> Engine:
        """A few connections that see one snapshot per transaction and cannot write."""
        ...

    def explained(self, error: DBAPIError, place: str) -> StoreError:
        """What a database error means for people."""
        ...


def database_url(directory: Path, url: str | None) -> URL:
    """The database's address: `url`, or a file in the data directory.

    Raises:
        StoreError: the address is neither of an SQLite file nor of PostgreSQL.
    """
    if url is None:
        return URL.create("sqlite", database=str(directory / sqlite.DATABASE_NAME))
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(str(error), place=url, remedy=f"write it as {_FORMS}") from error
    backend, name = parsed.get_backend_name(), parsed.database
    if backend == "sqlite" and name and name != ":memory:":
        return parsed
    if backend == "postgresql" and name:
        # Named without its driver, SQLAlchemy would look for another one.
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(
        "a store is an SQLite file or a PostgreSQL database",
        place=parsed.render_as_string(hide_password=True),
        remedy=f"leave the URL out, or write it as {_FORMS}",
    )


def database_of(url: URL) -> Database:
    """The database's own ways."""
    return postgres if is_shared(url) else sqlite


def is_shared(url: URL) -> bool:
    """Whether several servers may use the database at once."""
    return url.get_backend_name() == "postgresql"


def place_of(url: URL) -> str:
    """Where the database is, for people: without a password."""
    return url.render_as_string(hide_password=True) if is_shared(url) else str(url.database)
