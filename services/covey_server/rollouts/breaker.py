"""The crash-loop breaker: two unclean ends in a row under one candidate are enough.

Every run of the server is a row. A run that finds its predecessor's row still open knows that it ended uncleanly, and
the journal, which only changes while a server runs, still shows what had weight at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, String, Table, delete, insert, select, update

from covey import failpoints
from covey_server.store import Store
from covey_server.store.schema import RowNumber, metadata, to_microseconds

UNCLEAN_ENDS = 2
"""Unclean ends in a row, with weight on the same rollout's candidate, that make a crash loop."""

_RUNS_KEPT = 1000

_runs = Table(
    "runs",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("start_time_us", BigInteger, nullable=False),
    # Null while it runs, and for good where nobody could say.
    Column("end_time_us", BigInteger),
    # Known at the next start; null before.
    Column("ended_cleanly", Boolean),
    # Rollout whose candidate ran, for callers or in the shadow, when the run ended uncleanly; empty: none.
    Column("running_candidate", String(128), nullable=False, default=""),
)


class Breaker:
    """Keeps the book of this server's runs.

    Args:
        store: where it is kept.
        clock: the wall clock, aware.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._number: int | None = None

    def opening(self, running_candidate: str) -> bool:
        """Record that a run begins; after the journal is loaded and before any port opens.

        Args:
            running_candidate: rollout whose candidate runs by the journal (`Journal.running_candidate`); empty: none.

        Returns:
            Whether the runs before this one were a crash loop of that rollout: then `Journal.crash_loop` comes next.
        """
        now_us = to_microseconds(self._clock())

        def mutation(connection: Connection) -> tuple[int, Sequence[Any]]:
            connection.execute(
                update(_runs)
                .where(_runs.c.ended_cleanly.is_(None))
                .values(ended_cleanly=False, running_candidate=running_candidate)
            )
            before = connection.execute(
                select(_runs.c.ended_cleanly, _runs.c.running_candidate)
                .order_by(_runs.c.number.desc())
                .limit(UNCLEAN_ENDS)
            ).all()
            inserted = connection.execute(insert(_runs).values(start_time_us=now_us))
            assert inserted.inserted_primary_key is not None
            number = int(inserted.inserted_primary_key[0])
            connection.execute(delete(_runs).where(_runs.c.number <= number - _RUNS_KEPT))
            return number, before

        # A full disk must not keep a server from starting.
        self._number, before = self._store.group_commit(mutation, is_reserved=True)
        failpoints.reach("breaker.opened")
        looped = [row for row in before if not row.ended_cleanly and row.running_candidate == running_candidate]
        return bool(running_candidate) and len(looped) == UNCLEAN_ENDS

    def closing(self) -> None:
        """Record that this run ends cleanly; the last thing that is written."""
        if self._number is None:
            return
        closed = (
            update(_runs)
            .where(_runs.c.number == self._number)
            .values(ended_cleanly=True, end_time_us=to_microseconds(self._clock()))
        )
        self._store.group_commit(lambda connection: connection.execute(closed), is_reserved=True)
        self._number = None
