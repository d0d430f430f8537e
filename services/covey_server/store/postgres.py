"""Everything that only PostgreSQL needs: the store that several servers share.

Writers of all servers take turns, as those of one server do: a transaction begins by taking one advisory lock, which
ends with it however it ends. What a mutation reads is then what the one before it left.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from covey import __version__
from covey_server.store.failures import StoreError
from covey_server.store.migrations import NEWEST_VERSION
from covey_server.store.servers import Server, connection_name, servers_of

_READERS = 8
_READER_WAIT_SECONDS = 10.0
_WRITERS_LOCK = 0x636F766579
_SETTINGS = {
    # A server that hangs in its turn must not hold up the others, nor a lost connection its thread.
    "lock_timeout": 5_000,
    "statement_timeout": 10_000,
    "idle_in_transaction_session_timeout": 15_000,
}
"""Milliseconds."""
_CONNECTING = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_CONNECT_REMEDIES = {
    "does not exist": "create the database (createdb NAME) and its user",
    "authentication failed": "check the user, its password and pg_hba.conf",
    "too many": "raise max_connections: every server holds up to 10",
}
"""By what the message says: an error of connecting has no code."""

_REMEDIES = {
    "08": "check that PostgreSQL runs and can be reached; nothing that was acknowledged is lost",
    "42501": "grant the user CREATE on the schema and all rights on its tables",
    "53100": "free some space on PostgreSQL's file system; nothing that was acknowledged is lost",
    "55P03": "another server has been writing for 5 s: try again, and see what holds its transaction open",
    "57014": "PostgreSQL took longer than 10 s: try again, and see what keeps it busy",
    "57P": "PostgreSQL is stopping or starting: try again",
}


class Anchor:
    """Nothing: a commit that PostgreSQL refused stays refused, whoever is connected."""

    def __init__(self, url: URL) -> None:
        del url

    def hold(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def writer_engine(url: URL) -> Engine:
    """One connection, durable at every commit; its transactions exclude those of every server from their begin on."""
    engine = _engine(url, 1, "default_transaction_isolation=read\\ committed", "synchronous_commit=on")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return engine


def reader_engine(url: URL) -> Engine:
    """A few connections that see one snapshot per transaction and cannot write."""
    return _engine(url, _READERS, "default_transaction_isolation=repeatable\\ read", "default_transaction_read_only=on")


def servers(connection: Connection) -> list[Server]:
    """Who else works on this database."""
    query = text("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    return servers_of(name for name in connection.execute(query).scalars() if name)


def explained(error: DBAPIError, place: str) -> StoreError:
    """What a database error means for people."""
    message = str(error.orig).strip().splitlines()
    state = getattr(error.orig, "sqlstate", None)
    known, key = (_REMEDIES, state) if state else (_CONNECT_REMEDIES, str(error.orig))
    remedy = next((remedy for part, remedy in known.items() if part in key), _REMEDIES["08"])
    return StoreError(f"PostgreSQL answered: {message[0] if message else state}", place=place, remedy=remedy)


def _engine(url: URL, size: int, *settings: str) -> Engine:
    options = [f"{name}={value}" for name, value in _SETTINGS.items()] + list(settings)
    try:
        return create_engine(
            url,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=_READER_WAIT_SECONDS,
            # A restart of PostgreSQL costs the call that meets it, not every one after it.
            pool_pre_ping=True,
            connect_args={
                **_CONNECTING,
                "application_name": connection_name(__version__, NEWEST_VERSION),
                "options": " ".join(f"-c {option}" for option in options),
            },
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "the driver of PostgreSQL is not installed",
            place=url.render_as_string(hide_password=True),
            remedy="pip install 'covey[postgres]'",
        ) from error
