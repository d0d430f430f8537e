"""Learner events in columns: the input of every analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from covey.identifiers import LearnerIds
from covey.instants import instant_to_us, widened_us

if TYPE_CHECKING:
    from datetime import datetime

    from covey.events_mapping import EventMapping
    from covey.parameters import TraitParameters
    from covey.retention import Interval, Retention
    from covey.traits import Traits

RowProgress = Callable[[int, int], None]
"""Called as progress(rows_read, rows_in_total)."""


@dataclass(frozen=True, eq=False, slots=True)
class Events:
    """Events of many learners, in any row order. Made by `from_parquet`, `from_csv`, `from_arrow`, `from_numpy`.

    The constructor itself trusts its columns; it is for rooms that decode events from another form.

    Attributes:
        learner_ids: m distinct ids, ascending.
        learner_index: int32, shape (n,): position in `learner_ids`; None where `learner_offsets` is given.
        time: shape (n,): uint32 seconds since `time_origin_us`, or int64 microseconds since the epoch, UTC; finer
            input is floored. `time_us` has microseconds in any case.
        domain_index: uint8, uint16 or int32, shape (n,): position in `domains`.
        domains: distinct names in ascending order, None (no domain) last.
        capability_index: as `domain_index`: position in `capabilities`.
        capabilities: as `domains`.
        kind: uint8, shape (n,), numbers of `EventKind`; None when no event is feedback.
        action_taken: uint8, shape (n,), 1 where true; None when no feedback was acted on.
        weight: float32 or float64, shape (n,), finite and >= 0; None when all are 1.
        time_origin_us: what seconds count from, microseconds since the epoch; 0 for microseconds.
        learner_offsets: int64, shape (m + 1,), in place of `learner_index` where rows are grouped by ascending
            learner: the rows of learner i are offsets[i] to offsets[i + 1].
    """

    learner_ids: LearnerIds
    learner_index: NDArray[np.int32] | None
    time: NDArray[np.int64] | NDArray[np.uint32]
    domain_index: NDArray[Any]
    domains: tuple[str | None, ...]
    capability_index: NDArray[Any]
    capabilities: tuple[str | None, ...]
    kind: NDArray[np.uint8] | None = None
    action_taken: NDArray[np.uint8] | None = None
    weight: NDArray[np.float32] | NDArray[np.float64] | None = None
    time_origin_us: int = 0
    learner_offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.time)

    @property
    def time_us(self) -> NDArray[np.int64]:
        """Microseconds since the epoch, int64, shape (n,): a new array where `time` counts seconds."""
        return widened_us(self.time, self.time_origin_us)

    def learner_index_of_rows(self) -> NDArray[np.int32]:
        """Position in `learner_ids`, int32, shape (n,): a new array where there are only offsets."""
        if self.learner_index is not None:
            return self.learner_index
        assert self.learner_offsets is not None
        learners = np.arange(len(self.learner_ids), dtype=np.int32)
        return np.repeat(learners, np.diff(self.learner_offsets))

    @property
    def newest_us(self) -> int:
        """Time of the newest event, microseconds since the epoch."""
        return int(widened_us(self.time.max(keepdims=True), self.time_origin_us)[0])

    @property
    def byte_count(self) -> int:
        """Bytes of the columns."""
        learner = self.learner_index if self.learner_index is not None else self.learner_offsets
        columns = (learner, self.time, self.domain_index, self.capability_index)
        optional = (self.kind, self.action_taken, self.weight)
        return sum(column.nbytes for column in (*columns, *optional) if column is not None)

    @classmethod
    def from_arrow(cls, table: Any, mapping: Mapping[str, str] | EventMapping | None = None) -> Events:
        """Events of any table that speaks the Arrow C data interface: pyarrow, pandas, polars, DuckDB.

        Of a table in one chunk, columns that engines can read are used in place, without a copy: timestamps in
        microseconds, weights, kinds as uint8 numbers, dictionaries whose values ascend and all occur. Other columns,
        and tables in several chunks, become as narrow as the data allow.

        Args:
            table: an object with `__arrow_c_stream__` or `__arrow_c_array__`.
            mapping: names of foreign columns; see `covey.events_mapping.EventMapping`.

        Raises:
            InputError: names the column and row at fault and what was expected.
        """
        from covey.events_arrow import read

        return read(table, mapping, source="table")

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        mapping: Mapping[str, str] | EventMapping | None = None,
        progress: RowProgress | None = None,
    ) -> Events:
        """Events of a Parquet file, or of all Parquet files below a folder.

        Only the columns needed are read, a batch of rows at a time, ahead of the conversion to the narrowest types
        that hold the values exactly: seven bytes an event at best.

        Args:
            path: the file or folder.
            mapping: names of foreign columns; see `covey.events_mapping.EventMapping`.
            progress: called with the rows read so far and in total.

        Raises:
            InputError: names the file, column and row at fault and what was expected. Nothing is half-loaded.
        """
        from covey.events_parquet import read

        return read(Path(path), mapping, progress)

    @classmethod
    def from_csv(cls, path: str | Path, mapping: Mapping[str, str] | EventMapping | None = None) -> Events:
        """Events of a file of comma-separated values with a line of column names, such as `events.csv` or `.csv.gz`.

        The file is read whole; for more than fits into memory convert it to Parquet. Learners, domains and
        capabilities are text as they are written; learners are integers where every one is written as an integer is
        ("42", not "042"). Times are ISO 8601, or numbers with `time_unit`. An empty field is null.

        Args:
            path: the file.
            mapping: names of foreign columns; see `covey.events_mapping.EventMapping`.

        Raises:
            InputError: names the file, column and row at fault and what was expected. Nothing is half-loaded.
        """
        from covey.events_csv import read

        return read(Path(path), mapping)

    @classmethod
    def from_numpy(
        cls,
        learner_id: Any,
        time: Any,
        domain: Any = None,
        capability: Any = None,
        kind: Any = None,
        action_taken: Any = None,
        weight: Any = None,
        time_unit: Literal["day", "s", "ms", "us", "ns"] | None = None,
    ) -> Events:
        """Events of arrays (or lists) of equal length n.

        Args:
            learner_id: integers or strings.
            time: datetime64, or numbers with `time_unit` since the epoch.
            domain: strings or integers; None for no domain.
            capability: strings or integers; None for no capability.
            kind: "training", "workflow", "feedback" or other text, or numbers of `EventKind`.
            action_taken: booleans, meaningful on feedback.
            weight: finite and >= 0; None for 1.
            time_unit: of numeric times.

        Raises:
            InputError: names the column and row at fault and what was expected.
        """
        from covey.events_arrow import read_arrays

        arrays = {
            "learner_id": learner_id,
            "time": time,
            "domain": domain,
            "capability": capability,
            "kind": kind,
            "action_taken": action_taken,
            "weight": weight,
        }
        return read_arrays({name: array for name, array in arrays.items() if array is not None}, time_unit)

    def traits(
        self,
        as_of: datetime | np.datetime64 | int | None = None,
        parameters: TraitParameters | None = None,
        engine: Literal["native", "reference"] = "native",
        threads: int | None = None,
    ) -> Traits:
        """The traits of every learner at one instant.

        Args:
            as_of: datetime (naive means UTC), datetime64 or microseconds since the epoch; the newest event by default.
                Later events are ignored and counted.
            parameters: constants of the definitions.
            engine: "native" (the compiled core) or "reference" (NumPy).
            threads: one per processor by default.

        Raises:
            InputError: when every event is later than `as_of`.
        """
        from covey.traits import compute

        as_of_us = self.newest_us if as_of is None else instant_to_us(as_of)
        return compute(self, as_of_us, parameters, engine, threads)

    def retention(self, intervals: Sequence[Interval] | None = None, **options: Any) -> Retention:
        """Who comes back, by the week of the first event: `events.retention().plot()`.

        Args:
            intervals: days after the first one to count; the completed weeks by default.
            options: groups, periods and limits, as `covey.retention.measure` takes them.

        Raises:
            InputError: as `covey.retention.measure`.
        """
        from covey.retention import measure

        return measure(self, intervals, **options)

    def __repr__(self) -> str:
        from covey.notebook.text import of_events

        return of_events(self)

    def _repr_html_(self) -> str:
        from covey.notebook.html import of_events

        return of_events(self)


def read_parquet(
    path: str | Path,
    mapping: Mapping[str, str] | EventMapping | None = None,
    progress: RowProgress | None = None,
) -> Events:
    """`Events.from_parquet`."""
    return Events.from_parquet(path, mapping, progress)


def read_csv(path: str | Path, mapping: Mapping[str, str] | EventMapping | None = None) -> Events:
    """`Events.from_csv`."""
    return Events.from_csv(path, mapping)
