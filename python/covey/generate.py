"""Made-up learner events of known kinds, so that discovery can be judged: seeded, in blocks, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from covey.errors import InputError
from covey.generate_kinds import KIND_NAMES
from covey.generate_process import (
    CAPABILITY_COUNT,
    DOMAIN_COUNT,
    DOMAIN_OF_CAPABILITY,
    FEEDBACK,
    KIND_OF_EVENT,
    Block,
    simulate_block,
)

BLOCK_LEARNERS = 8_192
"""Learners per block; each block has its own stream of random numbers, seeded by (seed, block)."""

START_US = 1_736_121_600_000_000
"""The first instant: Monday 2025-01-06, midnight UTC."""

_BLOCKS_OF_A_FILE = 16
_MOST_LEARNERS = 2**30
_MOST_WEEKS = 520
_DOMAINS = pa.array([f"domain-{number:02d}" for number in range(DOMAIN_COUNT)])
_CAPABILITIES = pa.array([f"capability-{number:03d}" for number in range(CAPABILITY_COUNT)])
_KINDS_OF_EVENT = pa.array(KIND_OF_EVENT)


@dataclass(frozen=True, slots=True)
class GenerationPlan:
    """What to generate.

    Attributes:
        learner_count: >= 1; ids count from 1. About seven events per learner and week.
        weeks: 1 to 520.
        seed: >= 0. The same plan gives the same events; more learners only add learners.
        noise: 0 (learners keep to their kind) to 1 (behaviour says nothing about kind).

    Raises:
        InputError: for a value outside its range.
    """

    learner_count: int
    weeks: int = 8
    seed: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.learner_count <= _MOST_LEARNERS:
            raise InputError(f"the number of learners is {self.learner_count}", expected=f"1 to {_MOST_LEARNERS}")
        if not 1 <= self.weeks <= _MOST_WEEKS:
            raise InputError(f"the number of weeks is {self.weeks}", expected=f"1 to {_MOST_WEEKS}")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}", expected="a number >= 0")
        if not 0 <= self.noise <= 1:
            raise InputError(f"noise is {self.noise}", expected="0 to 1")


def event_tables(plan: GenerationPlan) -> Iterator[tuple[Any, NDArray[np.int64]]]:
    """Blocks of events and the kinds of their learners.

    Yields:
        A pyarrow table of covey's own columns, sorted by learner and time, and the position in `KIND_NAMES` of each of
        the block's learners.
    """
    for number in range(-(-plan.learner_count // BLOCK_LEARNERS)):
        random = np.random.default_rng([plan.seed, number])
        block = simulate_block(random, BLOCK_LEARNERS, plan.weeks, plan.noise)
        first = number * BLOCK_LEARNERS
        wanted = min(BLOCK_LEARNERS, plan.learner_count - first)
        yield _table(block, first).slice(0, int(np.searchsorted(block.learner, wanted))), block.kind[:wanted]


def write_parquet(
    plan: GenerationPlan,
    path: Path,
    with_kinds: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write events to a Parquet file, or to a folder of them; either appears only when it is complete.

    Memory does not grow with the plan, whatever its size.

    Args:
        plan: what to generate.
        path: a file where the name ends in ".parquet", else a folder of files of 131,072 learners each.
        with_kinds: also write learner_id and kind to `kinds_path(path)`.
        progress: called with learners done and in total.

    Returns:
        The number of events.

    Raises:
        InputError: when the folder is there and holds something.
    """
    is_file = path.suffix == ".parquet"
    if not is_file and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError("it is there already", source=str(path), expected="a new or empty folder, or a name *.parquet")
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    kinds: list[NDArray[np.int8]] = []
    row_count = learners_done = 0
    writer: Any = None
    try:
        if not is_file:
            partial.mkdir()
        for number, (table, kind) in enumerate(event_tables(plan)):
            if not is_file and number % _BLOCKS_OF_A_FILE == 0 and writer is not None:
                writer.close()
                writer = None
            if writer is None:
                file = partial if is_file else partial / f"part-{number // _BLOCKS_OF_A_FILE:05d}.parquet"
                writer = pq.ParquetWriter(file, table.schema, compression="zstd", compression_level=1)
            writer.write_table(table)
            row_count += table.num_rows
            learners_done += len(kind)
            if with_kinds:
                kinds.append(kind.astype(np.int8))
            if progress is not None:
                progress(learners_done, plan.learner_count)
        writer.close()
        writer = None
        if with_kinds:
            _write_kinds(np.concatenate(kinds), kinds_path(path))
        partial.replace(path)
    finally:
        if writer is not None:
            writer.close()
        _remove(partial)
    return row_count


def _remove(partial: Path) -> None:
    if partial.is_dir():
        rmtree(partial)
    else:
        partial.unlink(missing_ok=True)


def kinds_path(path: Path) -> Path:
    """Where the true kinds of a generated file go: events.parquet to events.kinds.parquet."""
    return path.with_name(f"{path.name.removesuffix('.parquet')}.kinds.parquet")


def _table(block: Block, first: int) -> Any:
    times = pa.array(block.time_us + START_US).view(pa.timestamp("us", "UTC"))
    domain = DOMAIN_OF_CAPABILITY[block.capability].astype(np.int8)
    action_taken = pa.array(block.action_taken, mask=block.event_kind != FEEDBACK)
    return pa.table(
        {
            "learner_id": pa.array(block.learner + (first + 1)),
            "time": times,
            "domain": pa.DictionaryArray.from_arrays(domain, _DOMAINS),
            "capability": pa.DictionaryArray.from_arrays(block.capability.astype(np.int8), _CAPABILITIES),
            "kind": pa.DictionaryArray.from_arrays(block.event_kind, _KINDS_OF_EVENT),
            "action_taken": action_taken,
            "weight": pa.array(block.weight),
        }
    )


def _write_kinds(kinds: NDArray[np.int8], path: Path) -> None:
    names = pa.DictionaryArray.from_arrays(kinds, pa.array(KIND_NAMES))
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(pa.table({"learner_id": np.arange(1, len(kinds) + 1), "kind": names}), partial)
    partial.replace(path)
