"""A foreign histogram of durations: whole or absent, and which of its edges may stand in for a limit."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from covey.rollout.traffic import Side
from covey.v1 import evidence_pb2 as pb
from covey_controller.page import Labels, Page
from covey_controller.scrape import AbsenceError


@dataclass(frozen=True)
class Histogram:
    """Requests by duration, all series of a process together.

    Attributes:
        edges_seconds: upper edges of the intervals but the last, rising.
        counts: one more than edges.
    """

    edges_seconds: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.counts)

    def slower_than(self, edge: float) -> int:
        """Requests beyond one of the edges."""
        return sum(self.counts[self.edges_seconds.index(edge) + 1 :])


def safe_edge(edges_seconds: tuple[float, ...], limit: float, sides: frozenset[Side]) -> float | None:
    """The edge at which a limit is counted.

    Args:
        edges_seconds: rising.
        limit: seconds.
        sides: where the edge may stand: "below" counts more requests as slow, "above" fewer; both: at the limit itself.

    Returns:
        The nearest such edge; None where there is none.
    """
    first = bisect_left(edges_seconds, limit * (1 - 1e-9))
    if first < len(edges_seconds) and math.isclose(edges_seconds[first], limit, rel_tol=1e-9):
        return edges_seconds[first]
    if len(sides) > 1:
        return None
    if "below" in sides:
        below = bisect_right(edges_seconds, limit)
        return edges_seconds[below - 1] if below else None
    return edges_seconds[first] if first < len(edges_seconds) else None


def read_histogram(page: Page, name: str, matches: Callable[[Labels], bool]) -> Histogram | None:
    """The histogram of a process; None where it has no such series.

    Args:
        page: of the process.
        name: of the histogram, without _bucket.
        matches: whether a series counts, by its labels.

    Raises:
        AbsenceError: where the series are not whole, rising, cumulative histograms of one grid.
    """
    bucket = f"{name}_bucket"
    if bucket not in page.families:
        return None
    series: dict[frozenset[tuple[str, str]], dict[float, int]] = {}
    for labels, count in page.counters(bucket, matches):
        key = frozenset((label, value) for label, value in labels.items() if label != "le")
        series.setdefault(key, {})[_edge(bucket, labels)] = count
    grids = {tuple(sorted(buckets)) for buckets in series.values()}
    if not grids:
        return None
    if len(grids) > 1:
        raise _torn(bucket, "its series have different edges")
    (grid,) = grids
    if not math.isinf(grid[-1]):
        raise _torn(bucket, "it has no edge +Inf")
    total = [0] * len(grid)
    for buckets in series.values():
        cumulative = [buckets[edge] for edge in grid]
        if any(after < before for before, after in pairwise(cumulative)):
            raise _torn(bucket, "its buckets fall")
        counts = [cumulative[0], *(after - before for before, after in pairwise(cumulative))]
        total = [a + b for a, b in zip(total, counts, strict=True)]
    return Histogram(grid[:-1], tuple(total))


def _edge(bucket: str, labels: Labels) -> float:
    text = labels.get("le", "")
    try:
        edge = float(text)
    except ValueError:
        edge = math.nan
    if not edge > 0:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, bucket, f"edge {text!r} is no duration")
    return edge


def _torn(bucket: str, detail: str) -> AbsenceError:
    return AbsenceError(pb.ABSENCE_TYPE_SCRAPE_FAILED, bucket, f"{detail}: torn page")
