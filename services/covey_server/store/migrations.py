"""Bringing the tables of a store to another version: a copy first, then one transaction per step.

A process that is killed in the middle leaves the version before or the version after a step, never something between:
the step and its version number share a transaction. Whoever comes next goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, inspect, select, update

from covey import __version__, failpoints
from covey_server.store.failures import StoreError
from covey_server.store.schema import schema_version
from covey_server.store.steps import FIRST_VERSION, STEPS, Step

NEWEST_VERSION = STEPS[-1].version if STEPS else FIRST_VERSION
"""Of the tables that this code reads and writes."""

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


def migrate(transaction: Transaction, found: int, target: int, place: str) -> list[Step]:
    """Bring tables from a version to another; returns the steps that were made.

    Args:
        transaction: opens a write transaction.
        found: the version that is there.
        target: the version that is wanted.
        place: of the store, for errors.

    Raises:
        StoreError: this code does not know the version, or the database cannot be written.
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
    for step in steps:
        after = step.version if forward else step.version - 1
        with transaction() as connection:
            failpoints.reach("migrate.begun")
            (step.forward if forward else step.back)(connection)
            connection.execute(update(schema_version).values(version=after, written_by=__version__))
            failpoints.reach("migrate.changed")
        failpoints.reach("migrate.stepped")
    return steps


def copy_path(directory: Path, found: int) -> Path:
    """Where the copy of a store goes before it leaves a version."""
    return directory / f"covey.version-{found}.db"
