"""What one tick tells the gates: both arms' counts, the baseline's shards, and durations where they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from covey.rollout.counts import Counts
from covey.rollout.gates.values import ComparedByValue
from covey.stats.special import Floats
from covey.v1.evidence_pb2 import ReplicaReading

T = TypeVar("T")


class PageFault(ValueError):  # noqa: N818 - a fault of a page, as faults_of names them
    """Why shards or durations of a page cannot be true."""


@dataclass(frozen=True, eq=False)
class Shards(ComparedByValue):
    """Requests by learner shard.

    Attributes:
        table: requests, failures of error_rate, failures of availability, shape (3, shards).
    """

    table: Floats

    @property
    def trials(self) -> Floats:
        """Requests, shape (shards,)."""
        return np.asarray(self.table[0], dtype=np.float64)

    @property
    def events(self) -> Floats:
        """Failures of error_rate and of availability, shape (2, shards)."""
        return self.table[1:]

    def minus(self, other: Shards) -> Shards:
        """What came between two pages of one process.

        Raises:
            PageFault: they cannot both be true.
        """
        if self.table.shape != other.table.shape:
            raise PageFault(f"it has {len(self.trials)} shards where it had {len(other.trials)}")
        since = self.table - other.table
        if since.min() < 0:
            raise PageFault("a shard counter fell without a restart")
        return Shards(since)

    def plus(self, other: Shards | None) -> Shards:
        """Both together; of another number only the newer are kept."""
        if other is None or other.table.shape != self.table.shape:
            return self
        return Shards(self.table + other.table)


@dataclass(frozen=True, eq=False)
class Durations(ComparedByValue):
    """Requests by duration.

    Attributes:
        edges_seconds: upper edges of the intervals but the last.
        counts: one more than edges.
    """

    edges_seconds: tuple[float, ...]
    counts: Floats

    def minus(self, other: Durations) -> Durations:
        """What came between two pages of one grid.

        Raises:
            PageFault: they cannot both be true.
        """
        counts = self.counts - other.counts
        if counts.min() < 0:
            raise PageFault("a duration counter fell without a restart")
        return Durations(self.edges_seconds, counts)

    def plus(self, other: Durations | None) -> Durations:
        """Both together; of another grid only the newer is kept."""
        if other is None or other.edges_seconds != self.edges_seconds:
            return self
        return Durations(self.edges_seconds, self.counts + other.counts)

    def edge_above(self, share_slower: float) -> int | None:
        """Index of the edge next above the quantile that this share of the requests is slower than.

        None without requests, and where the quantile lies beyond the last edge.
        """
        up_to = self.counts.cumsum()
        total = float(up_to[-1])
        if total <= 0:
            return None
        found = int((total - up_to <= share_slower * total).argmax())
        return found if found < len(self.edges_seconds) else None

    def slower_than(self, edge: int) -> float:
        """Requests beyond an edge."""
        return float(self.counts[edge + 1 :].sum())


@dataclass(frozen=True, eq=False)
class Arm(ComparedByValue):
    """One variant in one tick, or in all of them."""

    counts: Counts
    shards: Shards | None = None
    durations: Durations | None = None

    def plus(self, other: Arm) -> Arm:
        """Both together."""
        return Arm(
            self.counts + other.counts,
            other.shards.plus(self.shards) if other.shards else self.shards,
            other.durations.plus(self.durations) if other.durations else self.durations,
        )

    def minus(self, other: Arm, counts: Counts | None = None) -> Arm:
        """What came between two pages; shards and durations that were not there before are a base, not evidence.

        Args:
            other: the page before.
            counts: the difference of the counts, where it is known.

        Raises:
            PageFault: the pages cannot both be true.
        """
        shards = self.shards.minus(other.shards) if self.shards and other.shards else None
        same_grid = (
            self.durations is not None
            and other.durations is not None
            and self.durations.edges_seconds == other.durations.edges_seconds
        )
        durations = self.durations.minus(other.durations) if same_grid and self.durations and other.durations else None
        return Arm(self.counts - other.counts if counts is None else counts, shards, durations)


@dataclass(frozen=True, eq=False)
class Look(ComparedByValue):
    """One tick, summed over replicas.

    Attributes:
        candidate, baseline: what happened to each.
        probed: the candidate's counts with its probes, which triggers on availability count too.
        comparable: whether the arms were split as planned; else only absolute tests go on.
    """

    candidate: Arm
    baseline: Arm
    probed: Counts
    comparable: bool = True


NOTHING = Arm(Counts())


def shards_of(reading: ReplicaReading, variant: str) -> Shards | None:
    """The page's shards of a variant; None where it has none.

    Raises:
        PageFault: they cannot be true.
    """
    found = _only([shards for shards in reading.shards if shards.variant == variant], "shards", variant)
    if found is None or not (found.request_counts or found.error_counts or found.unavailable_counts):
        return None
    columns = (found.request_counts, found.error_counts, found.unavailable_counts)
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise PageFault(f"the shards of {variant} have {', '.join(map(str, sorted(lengths)))} entries")
    table = np.empty((len(columns), *lengths))
    for row, column in zip(table, columns, strict=True):
        row[:] = column
    if table.min() < 0:
        raise PageFault(f"a shard counter of {variant} is negative")
    if (table[1:] > table[:-1]).any():
        raise PageFault(f"a shard of {variant} has more failures than requests")
    return Shards(table)


def _only(found: Sequence[T], name: str, variant: str) -> T | None:
    """The one that there is.

    Raises:
        PageFault: there are more.
    """
    if len(found) > 1:
        raise PageFault(f"it has {len(found)} series of {name} of {variant}")
    return found[0] if found else None


def durations_of(reading: ReplicaReading, variant: str) -> Durations | None:
    """The page's durations of a variant; None where it has none.

    Raises:
        PageFault: they cannot be true.
    """
    found = _only([durations for durations in reading.durations if durations.variant == variant], "durations", variant)
    if found is None:
        return None
    edges = _rising(tuple(found.edges_seconds or reading.durations[0].edges_seconds))
    counts = np.array(found.request_counts, dtype=np.float64)
    if edges is None:
        raise PageFault(f"the duration edges of {variant} do not rise")
    if len(counts) != len(edges) + 1:
        raise PageFault(f"the durations of {variant} have {len(counts)} counts for {len(edges)} edges")
    if counts.min() < 0:
        raise PageFault(f"a duration counter of {variant} is negative")
    return Durations(edges, counts)


@lru_cache(maxsize=64)
def _rising(edges: tuple[float, ...]) -> tuple[float, ...] | None:
    """The edges, one tuple for all pages of a grid; None where they do not rise."""
    return None if (np.diff(edges) <= 0).any() else edges


def summed(arms: Sequence[Arm]) -> Arm:
    """All replicas together."""
    total = arms[0] if arms else NOTHING
    for arm in arms[1:]:
        total = total.plus(arm)
    return total
