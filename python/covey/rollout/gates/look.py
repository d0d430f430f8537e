"""What one tick tells the gates: both arms' counts, the baseline's shards, and durations where they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covey.rollout.counts import Counts
from covey.rollout.gates.values import ComparedByValue
from covey.stats.special import Floats
from covey.v1.evidence_pb2 import ReplicaReading


class PageFault(ValueError):  # noqa: N818 - a fault of a page, as faults_of names them
    """Why shards or durations of a page cannot be true."""


@dataclass(frozen=True, eq=False)
class Shards(ComparedByValue):
    """Requests by learner shard.

    Attributes:
        trials: shape (shards,).
        events: failures of error_rate and of availability, shape (2, shards).
    """

    trials: Floats
    events: Floats

    def minus(self, other: Shards) -> Shards:
        """What came between two pages of one process.

        Raises:
            PageFault: they cannot both be true.
        """
        if len(self.trials) != len(other.trials):
            raise PageFault(f"it has {len(self.trials)} shards where it had {len(other.trials)}")
        since = Shards(self.trials - other.trials, self.events - other.events)
        if (since.trials < 0).any() or (since.events < 0).any():
            raise PageFault("a shard counter fell without a restart")
        return since

    def plus(self, other: Shards | None) -> Shards:
        """Both together; of another number only the newer are kept."""
        if other is None or len(other.trials) != len(self.trials):
            return self
        return Shards(self.trials + other.trials, self.events + other.events)


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
        if (counts < 0).any():
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
        total = self.counts.sum()
        if total <= 0:
            return None
        slower = total - np.cumsum(self.counts)
        found = int(np.argmax(slower <= share_slower * total))
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

    def minus(self, other: Arm) -> Arm:
        """What came between two pages; shards and durations that were not there before are a base, not evidence.

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
        return Arm(self.counts - other.counts, shards, durations)


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
    found = next((shards for shards in reading.shards if shards.variant == variant), None)
    if found is None or not (found.request_counts or found.error_counts or found.unavailable_counts):
        return None
    lengths = {len(found.request_counts), len(found.error_counts), len(found.unavailable_counts)}
    if len(lengths) > 1:
        raise PageFault(f"the shards of {variant} have {', '.join(map(str, sorted(lengths)))} entries")
    table = np.array([found.request_counts, found.error_counts, found.unavailable_counts], dtype=np.float64)
    if (table < 0).any():
        raise PageFault(f"a shard counter of {variant} is negative")
    if (table[1:] > table[:-1]).any():
        raise PageFault(f"a shard of {variant} has more failures than requests")
    return Shards(table[0], table[1:])


def durations_of(reading: ReplicaReading, variant: str) -> Durations | None:
    """The page's durations of a variant; None where it has none.

    Raises:
        PageFault: they cannot be true.
    """
    found = next((durations for durations in reading.durations if durations.variant == variant), None)
    if found is None:
        return None
    edges, counts = (
        tuple(found.edges_seconds or reading.durations[0].edges_seconds),
        np.array(found.request_counts, dtype=np.float64),
    )
    if len(counts) != len(edges) + 1:
        raise PageFault(f"the durations of {variant} have {len(counts)} counts for {len(edges)} edges")
    if (counts < 0).any():
        raise PageFault(f"a duration counter of {variant} is negative")
    if (np.diff(edges) <= 0).any():
        raise PageFault(f"the duration edges of {variant} do not rise")
    return Durations(edges, counts)


def summed(arms: Sequence[Arm]) -> Arm:
    """All replicas together."""
    total = arms[0] if arms else NOTHING
    for arm in arms[1:]:
        total = total.plus(arm)
    return total
