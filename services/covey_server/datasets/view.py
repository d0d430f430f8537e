"""What a dataset holds at one moment: an immutable list of segment files, read without locks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from covey_server.datasets.segments import DamagedSegmentError, SegmentFile
from covey_server.datasets.segments_columns import merged_names
from covey_server.decoding import EventColumns
from covey_server.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from covey.events import Events

_INT64_MAX = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A dataset as it was when the view was taken.

    Attributes:
        number: of the dataset's row; another dataset of the same name has another one.
        name: datasets/{dataset}.
        description: of whoever made it.
        create_time_us: microseconds since the epoch.
        segments: its files.
    """

    number: int
    name: str
    description: str
    create_time_us: int
    segments: tuple[SegmentFile, ...]

    @property
    def event_count(self) -> int:
        """Synced events."""
        return sum(segment.row.row_count for segment in self.segments)

    @property
    def byte_count(self) -> int:
        """Bytes of the files."""
        return sum(segment.row.byte_count for segment in self.segments)

    @property
    def newest_us(self) -> int | None:
        """Time of the newest event, microseconds since the epoch; None without events."""
        return max((segment.row.newest_us for segment in self.segments), default=None)

    def learner_events(self, learner_id: str) -> EventColumns | None:
        """All events of a learner; None where there are none.

        Raises:
            CallError: DATA_LOSS that names the dataset and the file.
        """
        try:
            found = [
                segment.events(rows)
                for segment in self.segments
                if (rows := segment.rows_of(learner_id)).stop > rows.start
            ]
        except DamagedSegmentError as error:
            raise data_loss(self.name, error) from error
        if len(found) < 2:
            return found[0] if found else None
        return EventColumns(
            time_us=np.concatenate([part.time_us for part in found]),
            domain=merged_names([part.domain for part in found]),
            capability=merged_names([part.capability for part in found]),
            kind=_concatenated([part.kind for part in found]),
            action_taken=_concatenated([part.action_taken for part in found]),
            weight=_concatenated([part.weight for part in found]),
        )

    def events(self) -> Events:
        """All events, for analysis.

        Raises:
            CallError: DATA_LOSS that names the dataset and the file; FAILED_PRECONDITION where there are no events.
        """
        return events_of(self.name, self.segments)


def events_of(name: str, segments: Sequence[SegmentFile], rows: slice = slice(None)) -> Events:
    """The events of some rows of some segment files of a dataset; see `DatasetView.events`."""
    import pyarrow as pa

    from covey.events import Events

    if not segments:
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{name} holds no events; append some first",
            reason="NO_EVENTS",
            metadata={"resource": name},
        )
    try:
        tables = [_rows(segment.table(), rows) for segment in segments]
    except DamagedSegmentError as error:
        raise data_loss(name, error) from error
    return Events.from_arrow(pa.concat_tables(_alike(tables)))


def _rows(table: Any, rows: slice) -> Any:
    start, stop, _ = rows.indices(table.num_rows)
    return table if (start, stop) == (0, table.num_rows) else table.slice(start, stop - start)


def data_loss(name: str, error: DamagedSegmentError) -> CallError:
    """What a damaged file means for callers."""
    return CallError(
        grpc.StatusCode.DATA_LOSS,
        f"{name}: segment file {error.path.name} is damaged: {error.problem}. Restore {error.path} from a copy, or"
        f" delete {name} and append its events again",
        reason="SEGMENT_DAMAGED",
        metadata={"resource": name, "file": error.path.name},
    )


def types_of_all(tables: Iterable[Any]) -> dict[str, Any]:
    """The types, by column, that hold what is in each table of events of a dataset exactly; see `in_types`."""
    import pyarrow as pa

    names = pa.dictionary(pa.int32(), pa.string())
    types = {"learner_id": names, "domain": names, "capability": names, "weight": pa.float32()}
    lows, highs = [], []
    are_integers = True
    for table in tables:
        if pa.types.is_float64(table.schema.field("weight").type):
            types["weight"] = pa.float64()
        learner = table.column("learner_id")
        if pa.types.is_dictionary(learner.type):
            are_integers = False
        elif are_integers:
            low, high = _range(learner)
            lows.append(low)
            highs.append(high)
    if are_integers and max(highs) <= _INT64_MAX:
        types["learner_id"] = pa.int64()
    elif are_integers and min(lows) >= 0:
        types["learner_id"] = pa.uint64()
    return types


def in_types(table: Any, types: dict[str, Any]) -> Any:
    """The table with these types."""
    import pyarrow as pa

    return pa.table({name: _cast(table.column(name).chunk(0), types.get(name)) for name in table.column_names})


def _alike(tables: list[Any]) -> list[Any]:
    """The tables with the same type in every column."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return tables
    types = types_of_all(tables)
    return [in_types(table, types) for table in tables]


def _range(column: Any) -> tuple[int, int]:
    import pyarrow.compute as pc

    low, high = pc.min_max(column).as_py().values()
    return low, high


def _cast(array: Any, target: Any) -> Any:
    import pyarrow as pa

    if target is None or array.type == target:
        return array
    if not pa.types.is_dictionary(target):
        return array.cast(target)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), array.dictionary.cast(pa.string()))


def _concatenated(columns: list[Any]) -> Any:
    return np.concatenate(columns)
