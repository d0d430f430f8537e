"""The traits of more events than memory holds: Parquet files analysed piece by piece, with the same bits.

A learner's traits depend on that learner's events alone, so any pieces will do that hold whole learners. Where row
groups follow one another by learner they are such pieces already, and files are read once. In any other order rows
are first parted by learner into temporary files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from covey.engine import EngineName
from covey.events import Events
from covey.events_ahead import read_ahead
from covey.events_intake import Intake, check_domains
from covey.events_mapping import EventMapping
from covey.events_parquet import Batch, EventFile, all_batches, domains_by_key, event_files, read_files
from covey.identifiers import LearnerIds
from covey.instants import instant_to_us
from covey.out_of_core_budget import MemoryBudget, rows_of
from covey.out_of_core_plan import (
    LearnerKey,
    RowGroup,
    newest_by_reading,
    newest_by_statistics,
    pieces_of,
    row_groups_by_learner,
)
from covey.out_of_core_spill import Spill
from covey.parameters import TraitParameters
from covey.traits import Traits, all_later, compute, compute_piece
from covey.traits_join import joined

WorkProgress = Callable[[str, int, int, str], None]
"""Called as progress(what, done, total, unit)."""

_MOST_PARTS = 512
_PIECES_PER_PART = 4
_LARGEST_ROW_GROUP = 1 << 20


class NotGroupedError(Exception):
    """The rows are not where the statistics of their row groups say."""


@dataclass(slots=True)
class _Work:
    """One analysis in pieces."""

    path: Path
    files: Sequence[EventFile]
    mapping: EventMapping
    parameters: TraitParameters | None
    engine: EngineName
    threads: int | None
    budget: MemoryBudget
    rows_per_piece: int
    progress: WorkProgress
    row_count: int = 0
    domain_of_key: dict[Any, Any] | None = None
    parts: list[Traits] = field(default_factory=list)
    domains: set[str | None] = field(default_factory=set)
    learners: int = 0
    rows_done: int = 0

    def __post_init__(self) -> None:
        self.row_count = rows_of(self.files)
        self.domain_of_key = domains_by_key(self.mapping)

    def start(self) -> None:
        self.parts, self.learners, self.rows_done = [], 0, 0

    def add(self, events: Events, as_of_us: int) -> None:
        self.parts.append(compute_piece(events, as_of_us, self.parameters, self.engine, self.threads))
        self.learners += len(self.parts[-1])
        self.rows_done += len(events)
        self.domains.update(events.domains)
        self.budget.check_learners(self.learners, self.rows_done, self.row_count)

    def finish(self, as_of_us: int) -> Traits:
        check_domains(self.domains, self.mapping)
        if self.learners == 0:
            raise all_later(as_of_us)
        return joined(self.parts)


def traits_of_parquet(
    path: str | Path,
    mapping: Mapping[str, str] | EventMapping | None = None,
    as_of: datetime | np.datetime64 | int | None = None,
    parameters: TraitParameters | None = None,
    engine: EngineName = "native",
    threads: int | None = None,
    memory_bytes: int | None = None,
    progress: WorkProgress | None = None,
    rows_per_piece: int | None = None,
) -> tuple[Traits, int]:
    """The traits of all learners of a Parquet file or folder, within a budget of memory.

    Row groups that follow one another by learner are worked on a few at a time. Rows in another order are read at
    once where they fit, as `Events.from_parquet(path).traits()` does, else they go through temporary files below
    TMPDIR. The answer has the same bits in every case.

    Args:
        path: the file or folder.
        mapping: names of foreign columns.
        as_of: instant that ages refer to; the newest event by default.
        parameters: constants of the definitions.
        engine: "native" or "reference".
        threads: one per processor by default.
        memory_bytes: peak memory of the process; half of what is free by default.
        progress: called with what is being done, how much of it, and of how many units.
        rows_per_piece: work in pieces of so many rows, whatever the budget.

    Returns:
        The traits, and the number of rows.

    Raises:
        InputError: as `Events.from_parquet` and `Events.traits`; when the budget is too small, with the least that
            is enough; when the disk is too small for temporary files.
    """
    mapping = EventMapping.of(mapping)
    budget = MemoryBudget.available() if memory_bytes is None else MemoryBudget(memory_bytes)
    tell = progress or (lambda what, done, total, unit: None)
    as_of_us = None if as_of is None else instant_to_us(as_of)
    files = event_files(Path(path), mapping)
    row_count, piece = rows_of(files), rows_per_piece or budget.rows_per_piece
    groups = row_groups_by_learner(files)
    if groups is not None and max(group.row_count for group in groups) > max(2 * piece, _LARGEST_ROW_GROUP):
        groups = None
    likely_us = newest_by_statistics(files, mapping) if as_of_us is None else as_of_us
    fits = budget.holds(row_count, groups is not None) and rows_per_piece is None
    # Row groups in order of their learners are pieces for nothing; other rows are worth it only where they must be.
    if fits and (groups is None or likely_us is None or row_count <= piece):
        events = read_files(Path(path), files, mapping, lambda done, total: tell("reading", done, total, "rows"))
        tell("traits", 0, len(events.learner_ids), "learners")
        newest_us = events.newest_us if as_of_us is None else as_of_us
        return compute(events, newest_us, parameters, engine, threads), row_count
    work = _Work(Path(path), files, mapping, parameters, engine, threads, budget, piece, tell)
    if groups is not None:
        try:
            return _by_row_groups(work, groups, as_of_us, likely_us), row_count
        except NotGroupedError:
            work.start()
    return _by_parts(work, as_of_us), row_count


def _by_row_groups(work: _Work, groups: Sequence[RowGroup], as_of_us: int | None, expected_us: int | None) -> Traits:
    """Row groups in the order of their learners; only the learner at a border waits for the next piece."""
    if expected_us is None:
        work.progress("looking for the newest event", 0, work.row_count, "rows")
        expected_us = newest_by_reading(work.files, work.mapping)
    newest_us = _stream(work, groups, expected_us)
    if as_of_us is None and newest_us != expected_us:
        # The statistics were wrong.
        work.start()
        _stream(work, groups, expected_us := newest_us)
    return work.finish(expected_us)


def _stream(work: _Work, groups: Sequence[RowGroup], as_of_us: int) -> int:
    """Add the traits of all pieces; returns the time of the newest event."""
    pieces = pieces_of(groups, work.rows_per_piece)
    limits = [piece[0].first for piece in pieces[1:]] + [None]
    newest, rows_read = [], 0
    waiting: list[Batch] = []
    intake: Intake | None = None
    lowest: LearnerKey | None = None
    with closing(read_ahead(_batches_of_pieces(work.files, pieces))) as numbered:
        for number, batch in numbered:
            limit = limits[number]
            if intake is None:
                rows = sum(group.row_count for group in pieces[number]) + sum(each.row_count for each in waiting)
                intake, carried, waiting = Intake(work.mapping, rows, work.domain_of_key), waiting, []
                for each in carried:
                    waiting += _append_below(intake, each, limit)
            if batch is None:
                if intake.row_count:
                    events = intake.finish()
                    check_borders(events.learner_ids, lowest, limit)
                    newest.append(events.newest_us)
                    work.add(events, as_of_us)
                    lowest = limit
                intake = None
                continue
            waiting += _append_below(intake, batch, limit)
            rows_read += batch.row_count
            work.progress("reading", rows_read, work.row_count, "rows")
    return max(newest)


def _batches_of_pieces(
    files: Sequence[EventFile], pieces: Sequence[Sequence[RowGroup]]
) -> Generator[tuple[int, Batch | None], None, None]:
    """Batches with the number of their piece; None ends a piece."""
    for number, piece in enumerate(pieces):
        run: list[RowGroup] = []
        for group in [*piece, None]:
            if run and (group is None or (group.file, group.number) != (run[-1].file, run[-1].number + 1)):
                for batch in files[run[0].file].batches([each.number for each in run]):
                    yield number, batch
                run = []
            if group is not None:
                run.append(group)
        yield number, None


def _append_below(intake: Intake, batch: Batch, limit: LearnerKey | None) -> list[Batch]:
    """Take the rows of learners below the limit; the others, which end the batch, are returned."""
    ids = batch.columns["learner"]
    rows = batch.row_count
    if limit is not None and not ids.null_count:
        is_open = rows_of_learner(ids, limit)
        rows -= int(np.count_nonzero(is_open))
        if is_open[:rows].any():
            raise NotGroupedError
    if rows:
        columns = {meaning: column.slice(0, rows) for meaning, column in batch.columns.items()}
        intake.append(columns, batch.source, batch.names, batch.first_row)
    if rows == batch.row_count:
        return []
    columns = {meaning: column.slice(rows) for meaning, column in batch.columns.items()}
    return [Batch(columns, batch.source, batch.names, batch.first_row + rows, batch.row_count - rows)]


def rows_of_learner(ids: Any, key: LearnerKey) -> NDArray[np.bool_]:
    """Which rows are of one learner, shape (n,)."""
    if not isinstance(key, bytes):
        found: NDArray[np.bool_] = ids.to_numpy(zero_copy_only=False) == key
        return found
    encoded = ids if pa.types.is_dictionary(ids.type) else ids.dictionary_encode()
    matches = pc.fill_null(pc.equal(encoded.dictionary.cast(pa.large_string()), key.decode()), False)
    positions = np.flatnonzero(matches.to_numpy(zero_copy_only=False))
    return np.isin(encoded.indices.to_numpy(zero_copy_only=False), positions)


def check_borders(ids: LearnerIds, lowest: LearnerKey | None, limit: LearnerKey | None) -> None:
    """Raise NotGroupedError unless lowest <= id < limit for all, which ascend."""

    def key(index: int) -> LearnerKey:
        return int(ids.integers[index]) if ids.integers is not None else ids.text(index).encode()

    if (lowest is not None and key(0) < lowest) or (limit is not None and key(len(ids) - 1) >= limit):
        raise NotGroupedError


def _by_parts(work: _Work, as_of_us: int | None) -> Traits:
    """Rows parted by learner into temporary files, then one part after the other."""
    wanted = -(-work.row_count // (_PIECES_PER_PART * work.rows_per_piece))
    part_count = min(max(wanted, 1), _MOST_PARTS)
    with TemporaryDirectory(prefix="covey-") as folder:
        spill = Spill(Path(folder), part_count, work.row_count, work.mapping, work.domain_of_key)
        with closing(spill), closing(read_ahead(all_batches(work.files))) as batches:
            rows_read = 0
            for batch in batches:
                spill.append(batch)
                rows_read += batch.row_count
                work.progress("parting", rows_read, work.row_count, "rows")
            spill.finish()
        check_domains(spill.domains, work.mapping)
        if as_of_us is None:
            assert spill.newest_us is not None
            as_of_us = spill.newest_us
        for part in range(part_count):
            events = spill.take(part)
            if events is not None:
                work.add(events, as_of_us)
                work.progress("traits", work.rows_done, work.row_count, "rows")
    return work.finish(as_of_us)
