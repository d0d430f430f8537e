"""What one worker does: compute the traits of its pieces, keep them, answer the coordinator, write what was found.

Nothing in it is needed after a crash: whoever is made from the same arguments answers the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa

from covey.distributed.pieces import GroupedPiece, Piece, grouped_events, parted_events
from covey.distributed.source import Source
from covey.identifiers import LearnerIds
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES, TraitParameters
from covey.parts import LocalPart, PartGroup
from covey.parts.questions import Answer, Conclude, Question
from covey.traits import compute_piece


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What all workers have to know.

    Attributes:
        source: the events.
        as_of_us: instant that ages refer to.
        parameters: of the trait definitions.
        trait_weights: five with sum 1.
        kept_bytes: of what is only needed for writing a worker keeps so much in memory and the rest in files.
        threads: of the core, per worker.
    """

    source: Source
    as_of_us: int
    parameters: TraitParameters
    trait_weights: tuple[float, ...]
    kept_bytes: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a piece turned out to hold."""

    learner_count: int
    ignored_event_count: int
    row_count: int
    newest_us: int | None
    domains: tuple[str | None, ...]
    cpu_seconds: float


class Shelf:
    """Tables by number: in memory while there is room, else in files without a name, which end with this process."""

    def __init__(self, kept_bytes: int) -> None:
        self._room = kept_bytes
        self._tables: dict[int, Any] = {}
        self._files: dict[int, IO[bytes]] = {}

    @property
    def spilled_count(self) -> int:
        """Tables in files."""
        return len(self._files)

    def put(self, number: int, table: Any) -> None:
        """Keep a table."""
        if table.nbytes <= self._room:
            self._room -= table.nbytes
            self._tables[number] = table
            return
        file = TemporaryFile(prefix="covey-")  # noqa: SIM115 - it is closed with the process, or by `close`
        with pa.ipc.new_stream(pa.PythonFile(file, "w"), table.schema) as writer:
            writer.write_table(table)
        self._files[number] = file

    def get(self, number: int) -> Any:
        """A table that was kept."""
        if number in self._tables:
            return self._tables[number]
        file = self._files[number]
        file.seek(0)
        return pa.ipc.open_stream(file.read()).read_all()

    def close(self) -> None:
        """Let go of tables and files."""
        self._tables.clear()
        for file in self._files.values():
            file.close()


class Keeper:
    """Keeps the learners of some pieces.

    Args:
        work: what all know.
        pieces: by their number among all.
        fetch: gives the rows that stand in a `PartedPiece`.
    """

    def __init__(self, work: Work, pieces: Mapping[int, Piece], fetch: Callable[[Any], Any] = lambda table: table):
        self._work = work
        self._pieces = dict(pieces)
        self._fetch = fetch
        self._parts: dict[int, LocalPart] = {}
        self._loaded: dict[int, Loaded] = {}
        self._shelf = Shelf(work.kept_bytes)

    def load(self, number: int) -> Loaded:
        """Compute the traits of a piece, unless they are there.

        Raises:
            InputError: for bad values.
            NotGroupedError: for rows that are not where their file says.
        """
        if number not in self._loaded:
            begin = time.process_time()
            self._loaded[number] = self._compute(number, begin)
        return self._loaded[number]

    def answer(self, question: Question) -> Answer:
        """See `covey.parts.questions`; what is not there is made first."""
        for number in self._pieces:
            self.load(number)
        return PartGroup(list(self._parts.values())).answer(question)

    def learners(self, number: int, conclude: Conclude) -> Any:
        """A pyarrow table of a piece: learner_id, the traits, what else is known, and the label as "cohort"."""
        self.load(number)
        part = self._parts[number]
        if part.labels is None:
            part.answer(conclude)
        kept = self._shelf.get(number)
        columns = {"learner_id": kept.column("learner_id")}
        columns |= {name: pa.array(part.matrix[trait]) for trait, name in enumerate(TRAIT_NAMES)}
        columns |= {name: kept.column(name) for name in FURTHER_NAMES}
        return pa.table(columns | {"cohort": pa.array(part.labels)})

    def write(self, number: int, conclude: Conclude, archetypes: tuple[str, ...], folder: str) -> int:
        """Write the learners of a piece as a Parquet file, which appears only when it is complete; returns how many."""
        from covey.distributed.writing import write_learners

        table = self.learners(number, conclude)
        write_learners(table, archetypes, folder, number)
        return int(table.num_rows)

    @property
    def spilled_count(self) -> int:
        """Pieces of which a part is in files."""
        return self._shelf.spilled_count

    def close(self) -> None:
        """Let go of the files."""
        self._shelf.close()

    def _compute(self, number: int, begin: float) -> Loaded:
        work, piece = self._work, self._pieces[number]
        if isinstance(piece, GroupedPiece):
            events = grouped_events(work.source, piece)
        else:
            events = parted_events(piece, self._fetch)
        if events is None:
            nobody = np.empty((len(TRAIT_NAMES), 0), dtype=np.float32)
            self._parts[number] = LocalPart(nobody, np.empty(0, np.uint64), work.trait_weights)
            self._shelf.put(number, _without_learners(work.source))
            return Loaded(0, 0, 0, None, (), time.process_time() - begin)
        traits = compute_piece(events, work.as_of_us, work.parameters, "native", work.threads)
        hashes = traits.learner_ids.hashes()
        self._parts[number] = LocalPart(traits.matrix, hashes, work.trait_weights, work.threads)
        further = {name: pa.array(traits.further[name]) for name in FURTHER_NAMES}
        self._shelf.put(number, pa.table({"learner_id": traits.learner_ids.to_arrow()} | further))
        return Loaded(
            learner_count=len(traits),
            ignored_event_count=traits.ignored_event_count,
            row_count=len(events),
            newest_us=events.newest_us,
            domains=tuple(set(events.domains)),
            cpu_seconds=time.process_time() - begin,
        )


def _without_learners(source: Source) -> Any:
    """A table of nobody, whose ids are of the kind that the others are."""
    from covey.events_values import is_text

    kind = source.files[0].schema.field(source.files[0].names["learner"]).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    ids = LearnerIds.from_texts([]) if is_text(kind) else LearnerIds.from_arrow(pa.array([], type=kind))
    kinds = {name: pa.float32() for name in ("domain_entropy", "momentum")}
    kinds |= {"event_count": pa.int64(), "active_days": pa.int32()}
    further = {name: pa.array([], type=kinds.get(name, pa.float64())) for name in FURTHER_NAMES}
    return pa.table({"learner_id": ids.to_arrow()} | further)
