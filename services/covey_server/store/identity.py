"""Which data directory this is: a name of its own for what servers of a shared store must not name alike."""

from __future__ import annotations

import secrets

from sqlalchemy import Column, Integer, String, Table, insert, select

from covey_server.store.schema import metadata
from covey_server.store.store import Store

_ID_BYTES = 4

_identity = Table(
    "identity",
    metadata,
    Column("only_row", Integer, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False),
)


def store_id(store: Store) -> str:
    """Eight hexadecimal digits, made at first use and kept with the store.

    Raises:
        StoreError: the store cannot be written.
    """
    with store.read() as connection:
        found: str | None = connection.execute(select(_identity.c.id)).scalar()
    if found is not None:  # which a full disk tells, too
        return found
    with store.write() as connection:
        found = connection.execute(select(_identity.c.id)).scalar()
        if found is None:
            found = secrets.token_hex(_ID_BYTES)
            connection.execute(insert(_identity).values(only_row=1, id=found))
        return found
