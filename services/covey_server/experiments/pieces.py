"""A table that comes in pieces: every piece like the first, all of them together within the memory budget."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pyarrow as pa

from covey_server.errors import CallError
from covey_server.violations import Violations

if TYPE_CHECKING:
    from covey.v1 import experiments_pb2 as pb
    from covey_server.answering.budget import MemoryBudget

RETRY_AFTER_SECONDS = 2.0
WORKING_BYTES_PER_BYTE = 3
"""Of the columns: themselves, what is read of them, and what the analysis makes of that."""
PIECE_BYTES = 1024
"""Of every column of a piece beside its values, however few they are."""

_TYPES = {"numbers": np.float64, "integers": np.int64}


class TablePieces:
    """Columns that grow piece by piece; its memory is charged until it is closed.

    Args:
        budgets: of all calls together, and of all tables; both must have room.
    """

    def __init__(self, *budgets: MemoryBudget) -> None:
        self._budgets = budgets
        self._charged_bytes = 0
        self._types: dict[str, pa.DataType] = {}
        self._chunks: dict[str, list[pa.Array]] = {}
        self._piece_count = 0

    def __enter__(self) -> TablePieces:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._chunks.clear()
        charged, self._charged_bytes = self._charged_bytes, 0
        for budget in self._budgets:
            budget.give_back(charged)

    def add(self, rows: pb.UnitTable) -> None:
        """Append rows.

        Raises:
            CallError: INVALID_ARGUMENT for columns that are not those of the first piece or differ in length;
                RESOURCE_EXHAUSTED where the budget has no room for them.
        """
        columns = self._read(rows)
        byte_count = sum(WORKING_BYTES_PER_BYTE * column.nbytes + PIECE_BYTES for column in columns.values())
        if not self._taken(byte_count):
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"no memory is left for this table, which takes {(self._charged_bytes + byte_count) >> 20} MiB so far. "
                "Send fewer columns, analyse the file with `covey experiment analyze`, or raise --memory-megabytes",
                reason="MEMORY_EXHAUSTED",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._charged_bytes += byte_count
        self._piece_count += 1
        for name, column in columns.items():
            self._chunks.setdefault(name, []).append(column)

    def _taken(self, byte_count: int) -> bool:
        """Charge every budget, or none."""
        for place, budget in enumerate(self._budgets):
            if not budget.take(byte_count):
                for earlier in self._budgets[:place]:
                    earlier.give_back(byte_count)
                return False
        return True

    def table(self) -> pa.Table:
        """All rows.

        Raises:
            CallError: INVALID_ARGUMENT where there were none.
        """
        if not self._chunks:
            violations = Violations()
            violations.add("rows", "never came; expected messages with the rows of a table after the first")
            raise violations.error()
        return pa.table({name: pa.chunked_array(chunks) for name, chunks in self._chunks.items()})

    def let_go(self) -> None:
        """Keep the rows no longer; whoever took the table has them. Their memory stays charged until the end."""
        self._chunks.clear()

    def _read(self, rows: pb.UnitTable) -> dict[str, pa.Array]:
        path = f"rows[{self._piece_count}]"
        columns = columns_in(rows, path)
        types = {name: column.type for name, column in columns.items()}
        if self._types and types != self._types:
            differing = sorted({name for name, _ in set(types.items()) ^ set(self._types.items())})
            names = ", ".join(name[:40] for name in differing)
            violations = Violations(path)
            violations.add("columns", f"are not those of the first rows: {names}; expected the same names and types")
            raise violations.error()
        self._types = types
        return columns


def columns_in(table: pb.UnitTable, path: str) -> dict[str, pa.Array]:
    """Columns of a message by name; an empty text is no value.

    Args:
        table: the message.
        path: of its field, for errors.

    Raises:
        CallError: INVALID_ARGUMENT for columns without a name, a name twice, no values or another length.
    """
    violations = Violations(path)
    columns: dict[str, pa.Array] = {}
    length = None
    for place, column in enumerate(table.columns):
        field = f"columns[{place}]"
        kind = column.WhichOneof("values")
        if not column.name or column.name in columns:
            violations.add(f"{field}.name", f"{column.name[:40]!r} is missing or given twice")
        if kind is None:
            violations.add(field, "has no values; expected numbers, integers or texts")
            continue
        values = getattr(column, kind).values
        if length is not None and len(values) != length:
            violations.add(field, f"has {len(values)} values; expected {length}, as the columns before")
        length = len(values)
        if kind == "texts":
            columns[column.name] = pa.array([text or None for text in values], pa.string())
        else:
            columns[column.name] = pa.array(np.fromiter(values, _TYPES[kind], length), from_pandas=True)
    if not columns:
        violations.add("columns", "is empty")
    violations.raise_if_any()
    return columns
