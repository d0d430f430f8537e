"""Version 2: every journal entry has the digest of its chain, and every rollout's row that of its last entry.

Entries that are there already are chained as they are: what was changed before today cannot be seen, what is changed
from today on can.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text

_ROWS_AT_ONCE = 500


def forward(connection: Connection) -> None:
    """Add the columns and chain what is there."""
    binary = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    for change in (
        "ALTER TABLE rollouts ADD COLUMN last_sequence BIGINT",
        f"ALTER TABLE rollouts ADD COLUMN head_digest {binary}",
        f"ALTER TABLE journal_entries ADD COLUMN digest {binary}",
    ):
        connection.execute(text(change))
    for name in connection.execute(text("SELECT name FROM rollouts ORDER BY ordinal")).scalars().all():
        _chain(connection, name)


def back(connection: Connection) -> None:
    """Drop the columns; nothing else of version 1 is different."""
    for change in (
        "ALTER TABLE rollouts DROP COLUMN last_sequence",
        "ALTER TABLE rollouts DROP COLUMN head_digest",
        "ALTER TABLE journal_entries DROP COLUMN digest",
    ):
        connection.execute(text(change))


def _chain(connection: Connection, rollout: str) -> None:
    digest, sequence = hashlib.sha256(b"covey.v1.Entry\n" + rollout.encode()).digest(), 0
    page = text(
        "SELECT sequence, payload FROM journal_entries WHERE rollout = :rollout AND sequence > :after"
        " ORDER BY sequence LIMIT :limit"
    )
    put = text("UPDATE journal_entries SET digest = :digest WHERE rollout = :rollout AND sequence = :sequence")
    while rows := connection.execute(page, {"rollout": rollout, "after": sequence, "limit": _ROWS_AT_ONCE}).all():
        changes = []
        for row in rows:
            digest, sequence = hashlib.sha256(digest + row.payload).digest(), row.sequence
            changes.append({"digest": digest, "rollout": rollout, "sequence": sequence})
        connection.execute(put, changes)
    head = text("UPDATE rollouts SET last_sequence = :sequence, head_digest = :digest WHERE name = :rollout")
    connection.execute(head, {"sequence": sequence, "digest": digest, "rollout": rollout})
