"""Saved trait states: which file holds which state of a dataset, and the segments whose events are in it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, String, Table, Text, UniqueConstraint, delete, insert, select, update

from covey_server.datasets.tables import segments
from covey_server.store.directory import sync_directory
from covey_server.store.schema import RowNumber, metadata

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from covey.trait_state import TraitState

FILE_ENDING = ".traits"

trait_states = Table(
    "trait_states",
    metadata,
    Column("state", RowNumber, primary_key=True, autoincrement=True),
    Column("dataset", BigInteger, nullable=False),
    Column("shape", String(80), nullable=False),
    Column("file", String(80), nullable=False),
    Column("byte_count", BigInteger, nullable=False),
    Column("covers", Text, nullable=False),
    UniqueConstraint("dataset", "shape"),
)


@dataclass(frozen=True, slots=True)
class SavedState:
    """A state file as the manifest has it.

    Attributes:
        file: name in the dataset's folder.
        byte_count: of the file.
        covers: numbers of the segments whose events are in it, and of no others.
    """

    file: str
    byte_count: int
    covers: frozenset[int]


def saved_state(connection: Connection, dataset: int, shape: str) -> SavedState | None:
    """The saved state of a shape; None where there is none."""
    row = connection.execute(select(trait_states).where(_is(dataset, shape))).first()
    return SavedState(row.file, row.byte_count, frozenset(json.loads(row.covers))) if row else None


def state_files(connection: Connection, dataset: int) -> set[str]:
    """Names of the state files of a dataset."""
    query = select(trait_states.c.file).where(trait_states.c.dataset == dataset)
    return {row.file for row in connection.execute(query)}


def delete_states(connection: Connection, dataset: int) -> None:
    """Take a dataset's states out of the manifest."""
    connection.execute(delete(trait_states).where(trait_states.c.dataset == dataset))


def list_state(connection: Connection, dataset: int, shape: str, saved: SavedState) -> str | None:
    """List a written file; returns the name of the one whose place it took, "" where there was none.

    None, and nothing is changed, where a segment that it covers is no longer the dataset's: its events may have been
    deleted since.
    """
    numbers = set(connection.execute(select(segments.c.segment).where(segments.c.dataset == dataset)).scalars())
    if not saved.covers <= numbers:
        return None
    before = saved_state(connection, dataset, shape)
    values = {
        "file": saved.file,
        "byte_count": saved.byte_count,
        "covers": json.dumps(sorted(saved.covers)),
    }
    if before is None:
        connection.execute(insert(trait_states).values(dataset=dataset, shape=shape, **values))
        return ""
    connection.execute(update(trait_states).where(_is(dataset, shape)).values(values))
    return before.file


def carry_states(
    connection: Connection, dataset: int, old: Iterable[int], new: Sequence[int], *, is_same: bool
) -> list[str]:
    """Let saved states follow when segments take the place of others; returns files that no longer serve.

    Args:
        connection: of the transaction that replaces them.
        dataset: number of the dataset.
        old: numbers of the segments that go.
        new: numbers of those that come.
        is_same: whether they hold the same events; a state with events that are gone is taken out.
    """
    gone = set(old)
    dropped = []
    for row in connection.execute(select(trait_states).where(trait_states.c.dataset == dataset)).all():
        covers = set(json.loads(row.covers))
        if is_same and not gone & covers:
            continue
        if is_same and gone <= covers:
            values = {"covers": json.dumps(sorted(covers - gone | set(new)))}
            connection.execute(update(trait_states).where(trait_states.c.state == row.state).values(values))
        else:
            connection.execute(delete(trait_states).where(trait_states.c.state == row.state))
            dropped.append(row.file)
    return dropped


class StateFile:
    """A file being written: `fill` it, then `finish` it under its name.

    Args:
        folder: of the dataset.

    Raises:
        OSError: it cannot be written; `discard` leaves nothing behind.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / (secrets.token_hex(8) + FILE_ENDING)
        self._temporary = self.path.with_suffix(".tmp")
        self._file = self._temporary.open("wb")

    def fill(self, state: TraitState) -> None:
        """Write a state; it may change as soon as this returns."""
        state.save(self._file)
        self._file.flush()

    def finish(self) -> int:
        """Sync and name the file; returns its bytes."""
        os.fsync(self._file.fileno())
        byte_count = self._file.tell()
        self._file.close()
        self._temporary.rename(self.path)
        sync_directory(self.path.parent)
        return byte_count

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _is(dataset: int, shape: str) -> ColumnElement[bool]:
    return (trait_states.c.dataset == dataset) & (trait_states.c.shape == shape)
