"""How much memory an analysis may take, and how many rows at a time fit into it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covey.errors import InputError
from covey.events_intake import MOST_ROWS
from covey.events_parquet import EventFile

_UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_UNITS |= {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BASE_BYTES = 384 << 20
"""The interpreter, Arrow, batches on their way; measured 250 MiB."""
_ROW_BYTES_GROUPED = 18
"""A row in memory when rows come grouped by learner."""
_ROW_BYTES = 44
"""A row in memory in another order: its columns and the packed records that the trait kernels make of them."""
_LEARNER_BYTES = 300
"""A learner in memory: traits, twice while they are put together, and what discovery needs; measured 210."""
_GUESSED_ROWS_PER_LEARNER = 20
_SMALLEST_PIECE = 1 << 18
_LARGEST_PIECE = 1 << 21


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Bytes that an analysis may take at its peak, all in all."""

    byte_count: int

    def __post_init__(self) -> None:
        if self.byte_count < self.least:
            raise InputError(
                f"the memory allowed is {_size(self.byte_count)}", expected=f"{_size(self.least)} at least"
            )

    @classmethod
    def available(cls) -> MemoryBudget:
        """Half of the memory that is free now."""
        return cls(max(available_bytes() // 2, cls.least))

    least = _BASE_BYTES + 2 * _SMALLEST_PIECE * _ROW_BYTES

    def holds(self, row_count: int, is_grouped: bool) -> bool:
        """Whether all rows fit at once."""
        rows = row_count * (_ROW_BYTES_GROUPED if is_grouped else _ROW_BYTES)
        learners = row_count // _GUESSED_ROWS_PER_LEARNER * _LEARNER_BYTES
        return row_count <= MOST_ROWS and _BASE_BYTES + rows + learners <= self.byte_count

    @property
    def rows_per_piece(self) -> int:
        """Rows to work on at a time: few enough that their memory is used again and again, not taken anew."""
        return min(max((self.byte_count - _BASE_BYTES) // (4 * _ROW_BYTES), _SMALLEST_PIECE), _LARGEST_PIECE)

    def check_learners(self, learner_count: int, rows_done: int, row_count: int) -> None:
        """Raise when the traits of the learners found so far take all the memory.

        Raises:
            InputError: with the memory that all learners will take.
        """
        if _BASE_BYTES + learner_count * _LEARNER_BYTES > self.byte_count:
            expected = learner_count * row_count // max(rows_done, 1)
            least = _size(_BASE_BYTES + expected * _LEARNER_BYTES)
            raise InputError(
                f"the traits of about {expected:,} learners do not fit into {_size(self.byte_count)}",
                remedy=f"allow {least} at least (--memory)",
            )


def memory_bytes(text: str) -> int:
    """Bytes of "6GiB", "512 MiB", "2GB" or a plain number.

    Raises:
        InputError: for other text.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if found is None or found[2].upper() not in _UNITS:
        raise InputError(f"'{text}' is no amount of memory", expected="a number with a unit, such as 6GiB or 512MiB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def available_bytes() -> int:
    """Memory that this process can have without pushing others out: of the machine, or of its control group."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        available = min(available, max(int(text) - int(used.read_text()), 0))
    return available


def rows_of(files: Sequence[EventFile]) -> int:
    """All rows of the files."""
    return sum(file.metadata.num_rows for file in files)


def _size(byte_count: int) -> str:
    return f"{byte_count / 2**30:.2f} GiB" if byte_count >= 2**30 else f"{-(-byte_count >> 20)} MiB"
