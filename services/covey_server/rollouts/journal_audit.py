"""The journals of a store that no server runs on, or of a copy of one: read without a lock, nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from sqlalchemy import BigInteger, Integer, LargeBinary, String, cast, func, select

from covey.rollout.chain import Break, Record, breaks
from covey.v1.journal_pb2 import Entry
from covey_server.rollouts import journal_tables as tables
from covey_server.store.failures import StoreError
from covey_server.store.migrations import NEWEST_VERSION, refuse_newer, version_of
from covey_server.store.sqlite import reading_at_rest

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class JournalAtRest:
    """A rollout's journal in a store at rest.

    Attributes:
        rollout: its name.
        record_count: entries that are there.
        last_sequence: of the last entry, as the rollout's row has it.
        head: digest of the last entry, as the rollout's row has it.
        breaks: where it cannot be believed.
    """

    rollout: str
    record_count: int
    last_sequence: int
    head: bytes
    breaks: tuple[Break, ...]


class StoreAtRest:
    """Journals of a store at rest. Made by `store_to_audit`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def names(self) -> list[str]:
        """Rollouts that have a row or an entry, the rows first, oldest first."""
        rows = self._connection.execute(select(tables.rollouts.c.name).order_by(tables.rollouts.c.ordinal)).scalars()
        found = list(rows)
        owners = self._connection.execute(select(tables.journal_entries.c.rollout).distinct()).scalars()
        return found + sorted(set(owners) - set(found), key=str)

    def entries(self, name: str) -> Iterator[tuple[Record, Entry]]:
        """Records that can be read, with what they say."""
        for record in tables.records_between(self._connection, name):
            try:
                yield record, Entry.FromString(record.entry)
            except DecodeError:
                continue

    def checked(self, name: str) -> JournalAtRest:
        """A rollout's journal, looked at byte by byte."""
        last_sequence, head = tables.head_of(self._connection, name) or (0, b"")
        found = list(breaks(name, tables.records_between(self._connection, name), last_sequence, head))
        known = {each.sequence for each in found}
        found += [each for each in self._columns_that_differ(name) if each.sequence not in known]
        count = select(func.count()).where(tables.journal_entries.c.rollout == name)
        record_count = self._connection.execute(count).scalar_one()
        ordered = tuple(sorted(found, key=lambda each: each.sequence))
        return JournalAtRest(name, record_count, last_sequence, head, ordered)

    def _columns_that_differ(self, name: str) -> Iterator[Break]:
        """Columns that only repeat what an entry says, and by which it is found."""
        columns = tables.journal_entries.c
        query = select(
            columns.sequence,
            cast(columns.payload, LargeBinary).label("payload"),
            cast(columns.kind, String).label("kind"),
            cast(columns.is_tick, Integer).label("is_tick"),
            cast(columns.time_us, BigInteger).label("time_us"),
        )
        query = query.where(columns.rollout == name).order_by(columns.sequence)
        for row in self._connection.execute(query.execution_options(yield_per=500)):
            differing = _differing(row)
            if differing:
                yield Break(row.sequence, f"its column {differing} is not what the entry says")


def _differing(row: Any) -> str:
    try:
        said = tables.columns_of(Entry.FromString(row.payload))
    except (DecodeError, ValueError):
        return ""  # the chain says so
    return next((name for name in ("kind", "is_tick", "time_us") if getattr(row, name) != said[name]), "")


@contextmanager
def store_to_audit(place: Path) -> Iterator[StoreAtRest]:
    """The journals of a data directory or of a database file; a live server there is not disturbed.

    Raises:
        StoreError: there is no store, it is damaged as a whole, or its tables are of another version.
    """
    with reading_at_rest(place) as connection:
        refuse_newer(connection, str(place))
        found = version_of(connection)
        if found is None or found < NEWEST_VERSION:
            raise StoreError(
                "no covey has kept its tables here" if found is None else f"its tables are of version {found}",
                place=str(place),
                remedy="name the data directory of a server"
                if found is None
                else "bring them forward with `covey state migrate`",
            )
        yield StoreAtRest(connection)
