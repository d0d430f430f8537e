"""Version 3: a rollout's row says in an indexed column whether it is over.

Every server of a shared store asks four times a second which rollouts go on. Without the column that reads every row,
each with the last picture of a rollout that ended long ago.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

_ROWS_AT_ONCE = 500
_INDEX = "ix_rollouts_is_finished"


def expand(connection: Connection) -> None:
    """Add the column, false as long as nobody says otherwise: code of version 2 neither reads nor writes it."""
    if any(column["name"] == "is_finished" for column in inspect(connection).get_columns("rollouts")):
        return
    default = "FALSE" if connection.dialect.name == "postgresql" else "0"
    connection.execute(text(f"ALTER TABLE rollouts ADD COLUMN is_finished BOOLEAN DEFAULT {default} NOT NULL"))
    connection.execute(text(f"CREATE INDEX {_INDEX} ON rollouts (is_finished)"))


def fill(connection: Connection, limit: int) -> int:
    """Mark rollouts that are over and not marked, at most `limit`; returns how many there were of those."""
    mark = text(
        "UPDATE rollouts SET is_finished = :yes WHERE ordinal IN (SELECT ordinal FROM rollouts"
        " WHERE is_finished = :no AND finished_resource IS NOT NULL ORDER BY ordinal LIMIT :limit)"
    )
    return connection.execute(mark, {"yes": True, "no": False, "limit": limit}).rowcount


def forward(connection: Connection) -> None:
    """Add the column where it is not there, and mark what is left."""
    expand(connection)
    while fill(connection, _ROWS_AT_ONCE):
        pass


def back(connection: Connection) -> None:
    """Drop the column; nothing else of version 2 is different."""
    connection.execute(text(f"DROP INDEX {_INDEX}"))
    connection.execute(text("ALTER TABLE rollouts DROP COLUMN is_finished"))
