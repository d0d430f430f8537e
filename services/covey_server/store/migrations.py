"""Bringing the tables of a store to another version: a copy first, then one transaction per step.

A process that is killed in the middle leaves the version before or the version after a step, never something between:
the step and its version number share a transaction. Whoever comes next goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, inspect, select, update

from covey import __version__, failpoints
from covey_server.store.failures import StoreError
from covey_server.store.schema import schema_version
from covey_server.store.servers import Server
from covey_server.store.steps import FIRST_VERSION, STEPS, Step

NEWEST_VERSION = STEPS[-1].version if STEPS else FIRST_VERSION
"""Of the tables that this code reads and writes."""

_ROWS_AT_ONCE = 500

Transaction = Callable[[], AbstractContextManager[Connection]]


def version_of(connection: Connection) -> int | None:
    """The version of a store's tables; None where there are none yet."""
    if not inspect(connection).has_table(schema_version.name):
        return None
    return connection.execute(select(schema_version.c.version)).scalar_one_or_none()


def refuse_newer(connection: Connection, place: str) -> None:
    """Refuse tables that a newer covey wrote.

    Raises:
        StoreError: they are newer than `NEWEST_VERSION`.
    """
    if not inspect(connection).has_table(schema_version.name):
        return
    found = connection.execute(select(schema_version)).one_or_none()
    if found is not None and found.version > NEWEST_VERSION:
        raise StoreError(
            f"covey {found.written_by} wrote version {found.version} of the tables; this covey"
            f" ({__version__}) knows up to version {NEWEST_VERSION}",
            place=place,
            remedy=f"run covey {found.written_by} or newer, or step back with its"
            f" `covey state migrate --to {NEWEST_VERSION}`",
        )


def migrate(
    transaction: Transaction, found: int, target: int, place: str, *, others: Callable[[], Sequence[Server]] | None
) -> list[Step]:
    """Bring tables from a version to another; returns the steps that were made.

    Args:
        transaction: opens a write transaction.
        found: the version that is there.
        target: the version that is wanted.
        place: of the store, for errors.
        others: who else works on the tables; None where nobody can.

    Where others may work on them, a step back over one that can be expanded takes the number back and leaves what was
    added: code of both versions can use it.

    Raises:
        StoreError: this code does not know the version, others are in the way, or the database cannot be written.
    """
    if not FIRST_VERSION <= target <= NEWEST_VERSION:
        raise StoreError(
            f"there is no version {target} of the tables; this covey knows {FIRST_VERSION} to {NEWEST_VERSION}",
            place=place,
            remedy="name one of those with --to",
        )
    forward = found < target
    steps = [step for step in STEPS if min(found, target) < step.version <= max(found, target)]
    if not forward:
        steps.reverse()
    made = []
    for step in steps:
        before, after = (step.version - 1, step.version) if forward else (step.version, step.version - 1)
        leaves_tables = not forward and others is not None and step.expand is not None
        if others is not None and not leaves_tables:
            _refuse_others(others(), after if forward else None, place)
        with transaction() as connection:
            if version_of(connection) != before:
                continue  # another server was quicker
            failpoints.reach("migrate.begun")
            if not leaves_tables:
                (step.forward if forward else step.back)(connection)
            connection.execute(update(schema_version).values(version=after, written_by=__version__))
            failpoints.reach("migrate.changed")
        made.append(step)
        failpoints.reach("migrate.stepped")
    return made


def whole_until(found: int) -> int:
    """The version that tables must be brought to before code of it and today's can work on them together."""
    return max((step.version for step in STEPS if step.version > found and step.expand is None), default=found)


def expand(transaction: Transaction, found: int) -> list[Step]:
    """Let this code work on tables of a version beside code of that version; returns the steps that wait for their end.

    Args:
        transaction: opens a write transaction.
        found: the version that is there, at least `whole_until` of itself.

    Raises:
        StoreError: the database cannot be written.
    """
    waiting = [step for step in STEPS if step.version > found]
    for step in waiting:
        with transaction() as connection:
            if (version_of(connection) or 0) < step.version and step.expand is not None:
                step.expand(connection)
        count = _ROWS_AT_ONCE
        while step.fill is not None and count >= _ROWS_AT_ONCE:
            # Each piece in a transaction of its own: writers of the other servers wait for one of them, not for all.
            with transaction() as connection:
                count = step.fill(connection, _ROWS_AT_ONCE)
    return waiting


def _refuse_others(others: Sequence[Server], tables: int | None, place: str) -> None:
    """Refuse to take away from servers what they work with.

    Raises:
        StoreError: some know only tables before version `tables` (None: whatever they know).
    """
    late = [server for server in others if tables is None or server.tables is None or server.tables < tables]
    if late:
        names = ", ".join(sorted({server.words() for server in late}))
        raise StoreError(
            f"servers work on these tables that would no longer understand them: {names}",
            place=place,
            remedy="stop or upgrade them first; `covey upgrade plan` says in which order",
        )


def copy_path(directory: Path, found: int) -> Path:
    """Where the copy of a store goes before it leaves a version."""
    return directory / f"covey.version-{found}.db"
