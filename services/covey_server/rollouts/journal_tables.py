"""Tables of the journal, and every statement that reads or writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    String,
    Table,
    insert,
    select,
    update,
)

from covey.v1.journal_pb2 import Entry
from covey_server.store.schema import RowNumber, metadata, to_microseconds

_ROWS_AT_ONCE = 500

rollouts = Table(
    "rollouts",
    metadata,
    Column("ordinal", RowNumber, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("uid", String(64), nullable=False, unique=True),
    Column("target", String(128), nullable=False),
    # Finished rollouts are not folded at the start of a server; their last picture is enough for lists.
    Column("finished_resource", LargeBinary),
)
"""finished_resource: covey.v1.Rollout as it was when the rollout finished; null before."""

journal_entries = Table(
    "journal_entries",
    metadata,
    Column("rollout", String(80), ForeignKey("rollouts.name"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("is_tick", Boolean, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("ix_journal_entries_without_ticks", "rollout", "is_tick", "sequence"),
)
"""payload: deterministic bytes of covey.v1.Entry."""


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout as lists need it.

    Attributes:
        ordinal: 1, 2, 3 ... in the order of creation.
        name: rollouts/{rollout}.
        finished_resource: bytes of its last Rollout message; None while it is not finished.
    """

    ordinal: int
    name: str
    finished_resource: bytes | None


def insert_rollout(connection: Connection, name: str, uid: str, target: str) -> None:
    """Record that a rollout exists; its first entry follows."""
    connection.execute(insert(rollouts).values(name=name, uid=uid, target=target))


def finish_rollout(connection: Connection, name: str, resource: bytes) -> None:
    """Keep the last picture of a rollout whose journal has ended."""
    connection.execute(update(rollouts).where(rollouts.c.name == name).values(finished_resource=resource))


def rollout_row(connection: Connection, name: str) -> RolloutRow | None:
    """The row of a rollout, where it exists."""
    row = connection.execute(_row_query().where(rollouts.c.name == name)).one_or_none()
    return None if row is None else RolloutRow(row.ordinal, row.name, row.finished_resource)


def rollout_rows(connection: Connection, before: int | None, limit: int, active_only: bool) -> list[RolloutRow]:
    """Rollouts created before an ordinal, newest first."""
    query = _row_query().order_by(rollouts.c.ordinal.desc()).limit(limit)
    if before is not None:
        query = query.where(rollouts.c.ordinal < before)
    if active_only:
        query = query.where(rollouts.c.finished_resource.is_(None))
    return [RolloutRow(row.ordinal, row.name, row.finished_resource) for row in connection.execute(query)]


def active_names(connection: Connection) -> list[str]:
    """Names of the rollouts that are not finished, oldest first."""
    query = select(rollouts.c.name).where(rollouts.c.finished_resource.is_(None)).order_by(rollouts.c.ordinal)
    return list(connection.execute(query).scalars())


def insert_entries(connection: Connection, name: str, entries: Sequence[Entry]) -> None:
    """Write stamped entries; the primary key refuses a sequence that is taken."""
    rows = []
    for entry in entries:
        kind = entry.WhichOneof("payload") or ""
        rows.append(
            {
                "rollout": name,
                "sequence": entry.sequence,
                "kind": kind,
                "is_tick": kind == "tick",
                "time_us": to_microseconds(entry.time.ToDatetime(tzinfo=UTC)),
                "payload": entry.SerializeToString(deterministic=True),
            }
        )
    connection.execute(insert(journal_entries), rows)


def entries_between(
    connection: Connection,
    name: str,
    after: int = 0,
    until: int | None = None,
    *,
    omit_ticks: bool = False,
    limit: int | None = None,
) -> Iterator[Entry]:
    """Entries with after < sequence <= until, in order, read a few hundred at a time."""
    query = (
        select(journal_entries.c.payload)
        .where(journal_entries.c.rollout == name, journal_entries.c.sequence > after)
        .order_by(journal_entries.c.sequence)
    )
    if until is not None:
        query = query.where(journal_entries.c.sequence <= until)
    if omit_ticks:
        query = query.where(journal_entries.c.is_tick.is_(False))
    if limit is not None:
        query = query.limit(limit)
    rows = connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    try:
        for payload in rows.scalars():
            yield Entry.FromString(payload)
    finally:
        rows.close()


def _row_query() -> Select[tuple[int, str, bytes | None]]:
    return select(rollouts.c.ordinal, rollouts.c.name, rollouts.c.finished_resource)
