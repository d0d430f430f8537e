"""Whole learners at a time: row groups that follow one another by learner, or rows parted by a hash of the learner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from covey.distributed.source import Source
from covey.events import Events
from covey.events_ahead import read_ahead
from covey.events_intake import Intake
from covey.events_parquet import Batch, EventFile
from covey.out_of_core import check_borders, rows_of_learner
from covey.out_of_core_plan import LearnerKey, RowGroup, pieces_of
from covey.out_of_core_spill import OWN_MAPPING, RowChecker


@dataclass(frozen=True, slots=True)
class GroupedPiece:
    """The learners from `first` up to, but without, `limit`.

    Attributes:
        before: row groups of earlier pieces that end with `first`.
        groups: the piece's own, which may end with `limit`.
        first: smallest id; None for the first piece.
        limit: of the next piece; None for the last one.
    """

    before: tuple[RowGroup, ...]
    groups: tuple[RowGroup, ...]
    first: LearnerKey | None
    limit: LearnerKey | None

    @property
    def row_count(self) -> int:
        """Rows of the piece's own row groups: those of all pieces are all rows."""
        return sum(group.row_count for group in self.groups)


@dataclass(frozen=True, slots=True)
class PartedPiece:
    """Rows that were parted by a hash of the learner.

    Attributes:
        tables: what `part_rows` made for this piece, or what stands for it until it is fetched.
        row_count: of all rows over the number of pieces; only progress asks.
    """

    tables: tuple[Any, ...]
    row_count: int


Piece = GroupedPiece | PartedPiece


def grouped_pieces(groups: Sequence[RowGroup], rows_per_piece: int) -> list[GroupedPiece]:
    """Pieces of row groups in the order of their learners (`row_groups_by_learner`)."""
    cut = pieces_of(groups, rows_per_piece)
    pieces, done = [], 0
    for number, own in enumerate(cut):
        limit = cut[number + 1][0].first if number + 1 < len(cut) else None
        before: list[RowGroup] = []
        for group in reversed(groups[:done]):
            # A learner who fills the whole piece and goes on is a later piece's.
            if group.last != own[0].first or group.last == limit:
                break
            before.append(group)
        pieces.append(GroupedPiece(tuple(reversed(before)), tuple(own), own[0].first if number else None, limit))
        done += len(own)
    return pieces


def grouped_events(source: Source, piece: GroupedPiece) -> Events | None:
    """The events of a piece, None where it has none.

    Raises:
        NotGroupedError: the rows are not where the statistics say.
        InputError: for bad values.
    """
    capacity = sum(group.row_count for group in (*piece.before, *piece.groups))
    intake = Intake(source.mapping, capacity, source.domain_of_key)
    with closing(read_ahead(_batches(source.files, piece))) as batches:
        for is_own, batch in batches:
            ids = batch.columns["learner"]
            if is_own and (piece.limit is None or ids.null_count):
                kept = batch
            else:
                matches = rows_of_learner(ids, piece.limit if is_own else piece.first)
                kept = _where(batch, ~matches if is_own else matches)
            if kept.row_count:
                intake.append(kept.columns, kept.source, kept.names, kept.first_row)
    pa.default_memory_pool().release_unused()
    if not intake.row_count:
        return None
    events = intake.finish()
    check_borders(events.learner_ids, piece.first, piece.limit)
    return events


def part_rows(
    source: Source, file: int, row_groups: Sequence[int], part_count: int
) -> tuple[list[Any], int, list[Any]]:
    """Row groups of a file parted by learner.

    Returns:
        A table per part, the time of the newest event, and the domains.

    Raises:
        InputError: for bad values.
    """
    checker = RowChecker(part_count, source.mapping, source.domain_of_key)
    with closing(read_ahead(source.files[file].batches(row_groups))) as batches:
        whole = pa.concat_tables([checker.checked(batch) for batch in batches]).combine_chunks()
    part = whole.column("part").to_numpy()
    ends = np.cumsum(np.bincount(part, minlength=part_count)).tolist()
    rows = whole.drop_columns(["part"]).take(pa.array(np.argsort(part, kind="stable"))).combine_chunks()
    rows = pa.table({name: _one_chunk(column) for name, column in checker.named(rows).items()})
    tables = [rows.slice(begin, end - begin) for begin, end in zip([0, *ends], ends, strict=False)]
    assert checker.newest_us is not None
    return tables, checker.newest_us, checker.domains


def parted_events(piece: PartedPiece, fetch: Callable[[Any], Any]) -> Events | None:
    """The events of a piece, None where it has none; `fetch` gives the table that stands there."""
    tables = [table for table in (fetch(each) for each in piece.tables) if table.num_rows]
    if not tables:
        return None
    intake = Intake(OWN_MAPPING, sum(table.num_rows for table in tables), None)
    for table in tables:
        columns = {name: _one_chunk(table.column(name)) for name in table.schema.names}
        intake.append(columns, "parted rows", {name: name for name in columns}, intake.row_count)
    return intake.finish()


def _one_chunk(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _batches(files: Sequence[EventFile], piece: GroupedPiece) -> Iterator[tuple[bool, Batch]]:
    """Batches, and whether their row group is the piece's own; neighbours in a file are read together."""
    run: list[RowGroup] = []
    for groups, is_own in ((piece.before, False), (piece.groups, True)):
        for group in [*groups, None]:
            if run and (group is None or (group.file, group.number) != (run[-1].file, run[-1].number + 1)):
                for batch in files[run[0].file].batches([each.number for each in run]):
                    yield is_own, batch
                run = []
            if group is not None:
                run.append(group)


def _where(batch: Batch, mask: Any) -> Batch:
    """The rows that are wanted; where they are in one run, what is said of a row still names it."""
    rows = np.flatnonzero(mask)
    if len(rows) == batch.row_count:
        return batch
    if not len(rows) or rows[-1] - rows[0] + 1 == len(rows):
        begin = int(rows[0]) if len(rows) else 0
        columns = {meaning: column.slice(begin, len(rows)) for meaning, column in batch.columns.items()}
        return batch._replace(columns=columns, first_row=batch.first_row + begin, row_count=len(rows))
    columns = {meaning: column.filter(pa.array(mask)) for meaning, column in batch.columns.items()}
    return batch._replace(columns=columns, row_count=len(rows))
