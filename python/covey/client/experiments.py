"""Calls of ExperimentService on the data port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from covey.client.retry import Connection
from covey.v1 import experiments_pb2 as pb
from covey.v1.experiments_pb2_grpc import ExperimentServiceStub

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_MESSAGE = 16_384
"""Of a dozen columns they are about a megabyte; a message may have four."""


class ExperimentCalls(Connection):
    """What callers ask about experiments."""

    @cached_property
    def _experiment_stub(self) -> ExperimentServiceStub:
        return self.stub(ExperimentServiceStub, self.data)

    def analyze_experiment(
        self, request: pb.AnalyzeExperimentRequest, *, timeout_seconds: float | None = None
    ) -> pb.AnalyzeExperimentResponse:
        """Compares the variants of a rollout's phase, or of a table within one message."""
        return self.call(self._experiment_stub.AnalyzeExperiment, request, self.data, timeout_seconds)

    def analyze_experiment_rows(
        self,
        question: pb.AnalyzeExperimentRequest,
        table: pa.Table | Mapping[str, Any],
        *,
        rows_per_message: int = ROWS_PER_MESSAGE,
        timeout_seconds: float | None = None,
    ) -> pb.AnalyzeExperimentResponse:
        """Compares the variants of a table of any size, which is sent in pieces.

        Args:
            question: what is asked, without a source.
            table: one row per unit, an Arrow table or columns by name; "unit" and "variant" are among them.
            rows_per_message: fewer where a row takes more than a few hundred bytes.
            timeout_seconds: of the whole call, sending included.

        Raises:
            CallFailed: what the server says.
            TypeError: a column that is neither numbers nor texts.
        """
        columns, row_count = _columns_of(table)

        def ask(question: pb.AnalyzeExperimentRequest, timeout: float, metadata: Any) -> pb.AnalyzeExperimentResponse:
            messages = _messages(question, columns, row_count, rows_per_message)
            answer: pb.AnalyzeExperimentResponse = self._experiment_stub.AnalyzeExperimentRows(
                messages, timeout=timeout, metadata=metadata
            )
            return answer

        return self.call(ask, question, self.data, timeout_seconds)  # type: ignore[arg-type] # called as a method is

    def plan_experiment(self, request: pb.PlanExperimentRequest) -> pb.PlanExperimentResponse:
        """How many units each outcome takes."""
        return self.call(self._experiment_stub.PlanExperiment, request, self.data)


def _columns_of(table: pa.Table | Mapping[str, Any]) -> tuple[list[tuple[str, pa.ChunkedArray]], int]:
    """The columns as they are sent, and how many rows they have."""
    import pyarrow as pa

    if not isinstance(table, pa.Table):
        table = pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})
    return [(name, _sendable(name, table.column(name))) for name in table.column_names], table.num_rows


def _messages(
    question: pb.AnalyzeExperimentRequest,
    columns: Sequence[tuple[str, pa.ChunkedArray]],
    row_count: int,
    rows_per_message: int,
) -> Iterator[pb.AnalyzeExperimentRowsRequest]:
    yield pb.AnalyzeExperimentRowsRequest(question=question)
    for start in range(0, row_count, rows_per_message):
        rows = pb.UnitTable()
        for name, column in columns:
            _fill(rows.columns.add(name=name), column.slice(start, rows_per_message))
        yield pb.AnalyzeExperimentRowsRequest(rows=rows)


def _sendable(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As int64 without nulls, float64 with NaN for null, or strings."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) and not column.null_count:
        return column.cast(pa.int64())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return (column.cast(pa.int8()) if pa.types.is_boolean(kind) else column).cast(pa.float64())
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    raise TypeError(f"column '{name}' holds {kind}; expected numbers or texts: turn times into seconds or texts")


def _fill(message: pb.UnitColumn, values: pa.ChunkedArray) -> None:
    import pyarrow as pa

    if pa.types.is_int64(values.type):
        message.integers.values.extend(values.to_numpy())
    elif pa.types.is_float64(values.type):
        message.numbers.values.extend(values.to_numpy())
    else:
        message.texts.values.extend("" if text is None else text for text in values.to_pylist())
