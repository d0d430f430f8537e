"""Tables of the journal, and every statement that reads or writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

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
    cast,
    false,
    insert,
    or_,
    select,
    update,
)

from covey.rollout import chain
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
    # Apart from the entries, so that entries missing at the end are missed.
    Column("last_sequence", BigInteger),
    Column("head_digest", LargeBinary),
    Column("is_finished", Boolean, nullable=False, server_default=false(), index=True),
)
"""finished_resource: covey.v1.Rollout as it was when the rollout finished; null before. head_digest: of the last
entry. is_finished: whether there is a finished_resource."""

# A server of version 2 beside this one leaves the column as it is: the resource has the last word, the index the first.
_goes_on = ~rollouts.c.is_finished & rollouts.c.finished_resource.is_(None)

journal_entries = Table(
    "journal_entries",
    metadata,
    Column("rollout", String(80), ForeignKey("rollouts.name"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("is_tick", Boolean, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("digest", LargeBinary),
    Index("ix_journal_entries_without_ticks", "rollout", "is_tick", "sequence"),
)
"""payload: deterministic bytes of covey.v1.Entry. digest: of the chain up to this entry (covey.rollout.chain)."""

notification_sinks = Table(
    "notification_sinks",
    metadata,
    Column("sink", String(63), primary_key=True),
    Column("target", String(128), primary_key=True),
    # Rollouts before this one had ended when the sink was first heard of.
    Column("first_ordinal", BigInteger, nullable=False),
)
notification_cursors = Table(
    "notification_cursors",
    metadata,
    Column("sink", String(63), primary_key=True),
    Column("rollout", String(80), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    # Told to the end: the rollout need not be looked at again.
    Column("is_done", Boolean, nullable=False),
)


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
    values = {"finished_resource": resource, "is_finished": True}
    connection.execute(update(rollouts).where(rollouts.c.name == name).values(values))


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
        query = query.where(_goes_on)
    return [RolloutRow(row.ordinal, row.name, row.finished_resource) for row in connection.execute(query)]


def active_names(connection: Connection) -> list[str]:
    """Names of the rollouts that are not finished, oldest first."""
    query = select(rollouts.c.name).where(_goes_on).order_by(rollouts.c.ordinal)
    return list(connection.execute(query).scalars())


def heads(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Last sequence of every rollout that is not finished and of those named, oldest first."""
    columns = rollouts.c
    query = select(columns.name, columns.last_sequence).where(or_(_goes_on, columns.name.in_(names)))
    return {row.name: row.last_sequence or 0 for row in connection.execute(query.order_by(columns.ordinal))}


def columns_of(entry: Entry) -> dict[str, Any]:
    """What an entry's row repeats of it, so that rows are found without reading entries."""
    kind = entry.WhichOneof("payload") or ""
    return {"kind": kind, "is_tick": kind == "tick", "time_us": to_microseconds(entry.time.ToDatetime(tzinfo=UTC))}


def head_digest(connection: Connection, name: str) -> bytes:
    """The digest of a rollout's last entry; before the first, what the chain begins with."""
    found = connection.execute(select(rollouts.c.head_digest).where(rollouts.c.name == name)).scalar_one_or_none()
    return chain.first_digest(name) if found is None else bytes(found)


def insert_entries(connection: Connection, name: str, entries: Sequence[Entry]) -> None:
    """Write stamped entries that follow `head_digest`; the primary key refuses a sequence that is taken."""
    rows: list[dict[str, Any]] = []
    for entry in entries:
        payload = entry.SerializeToString(deterministic=True)
        rows.append(
            {
                "rollout": name,
                "sequence": entry.sequence,
                "payload": payload,
                "digest": chain.next_digest(entry.previous_digest, payload),
                **columns_of(entry),
            }
        )
    connection.execute(insert(journal_entries), rows)
    head = {"last_sequence": entries[-1].sequence, "head_digest": rows[-1]["digest"]}
    connection.execute(update(rollouts).where(rollouts.c.name == name).values(**head))


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


def records_between(
    connection: Connection, name: str, after: int = 0, limit: int | None = None
) -> Iterator[chain.Record]:
    """Entries behind a sequence as they are stored, in order, read a few hundred at a time.

    Columns of another type than they were written with are read all the same: whoever checks them wants to see them.
    """
    columns = journal_entries.c
    query = (
        select(
            cast(columns.sequence, BigInteger).label("sequence"),
            cast(columns.payload, LargeBinary).label("payload"),
            cast(columns.digest, LargeBinary).label("digest"),
        )
        .where(columns.rollout == name, columns.sequence > after)
        .order_by(columns.sequence)
    )
    if limit is not None:
        query = query.limit(limit)
    rows = connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    try:
        for row in rows:
            yield chain.Record(row.sequence or 0, row.payload or b"", row.digest or b"")
    finally:
        rows.close()


def head_of(connection: Connection, name: str) -> tuple[int, bytes] | None:
    """Sequence and digest of a rollout's last entry as its row has them; None where there is no such rollout."""
    query = select(rollouts.c.last_sequence, rollouts.c.head_digest).where(rollouts.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.last_sequence or 0, bytes(row.head_digest or b""))


def _row_query() -> Select[tuple[int, str, bytes | None]]:
    return select(rollouts.c.ordinal, rollouts.c.name, rollouts.c.finished_resource)
