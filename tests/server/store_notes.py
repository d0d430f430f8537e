"""A table of notes for tests of the store."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Column, Connection, Table, Text, insert, select

from covey_server.store import Store
from covey_server.store.schema import RowNumber, metadata

notes = Table(
    "test_notes",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("text", Text, unique=True, nullable=False),
)


def write_note(text: str) -> Callable[[Connection], str]:
    def mutation(connection: Connection) -> str:
        connection.execute(insert(notes).values(text=text))
        return text

    return mutation


def texts(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(notes.c.text).order_by(notes.c.number)).scalars())
