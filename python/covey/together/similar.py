"""The nearest learners to some learners, exact, among those who match, and only where enough of them do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.engine import thread_count
from covey.errors import InputError, suggestion
from covey.together.space import Space

DEFAULT_COUNT = 10
DEFAULT_FLOOR = 10
MOST_COUNT = 1000


@dataclass(frozen=True, eq=False, slots=True)
class Similar:
    """Neighbours of q learners, nearest first.

    Attributes:
        space: where they were looked for.
        learners: int64, shape (q,): positions of those asked for.
        neighbours: int32, shape (q, count): positions; -1 behind the last.
        distances: float64, shape (q, count), 0 to 1; infinite behind the last.
        is_withheld: bool, shape (q,): fewer learners match than the floor, so that nobody is named.
        floor: of matching learners.
    """

    space: Space
    learners: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    distances: NDArray[np.float64]
    is_withheld: NDArray[np.bool_]
    floor: int

    def __len__(self) -> int:
        return len(self.learners)

    def pairs(self) -> NDArray[np.int64]:
        """Positions of learner and neighbour, shape (m, 2), rank by rank within each learner."""
        row, rank = np.nonzero(self.neighbours >= 0)
        return np.column_stack([self.learners[row], self.neighbours[row, rank]])

    def to_arrow(self) -> Any:
        """A pyarrow table: learner_id, rank (from 1), neighbour_id, distance."""
        import pyarrow as pa

        row, rank = np.nonzero(self.neighbours >= 0)
        ids = self.space.learner_ids.to_arrow()
        return pa.table(
            {
                "learner_id": ids.take(pa.array(self.learners[row])),
                "rank": pa.array((rank + 1).astype(np.int32)),
                "neighbour_id": ids.take(pa.array(self.neighbours[row, rank])),
                "distance": pa.array(self.distances[row, rank]),
            }
        )


def find_similar(
    space: Space,
    learners: Sequence[str | int] | NDArray[np.int64] | None = None,
    count: int = DEFAULT_COUNT,
    *,
    where: Mapping[str, str] | None = None,
    same: Sequence[str] = (),
    max_distance: float | None = None,
    floor: int = DEFAULT_FLOOR,
    threads: int | None = None,
) -> Similar:
    """The nearest learners to some learners; every learner who matches is looked at.

    A learner is no neighbour of their own. Equal distances are told apart by the order of ids. Where fewer
    learners than `floor` match (all filters and the distance together, the learner asked about left out)
    nobody is named.

    Args:
        space: of the learners.
        learners: ids, or positions as an array; all by default.
        count: neighbours of each.
        where: values that a neighbour must have, by attribute.
        same: attributes in which a neighbour must be as the learner is.
        max_distance: of a neighbour, in (0, 1].
        floor: see above; 1 or more.
        threads: one per processor by default.

    Raises:
        InputError: for an attribute, value or learner that is not there, or a number out of range.
    """
    _check(count, floor, max_distance)
    positions = _positions(space, learners)
    matching = _matching(space, where or {})
    threads = thread_count(threads)
    wanted = count if max_distance is None else max(count, floor)
    neighbours = np.full((len(positions), count), -1, np.int32)
    distances = np.full((len(positions), count), np.inf)
    is_withheld = np.ones(len(positions), bool)
    for rows, candidates in _parts(space, positions, matching, same):
        near, far = _nearest(space, positions[rows], candidates, wanted, threads)
        # In float64: the root of a float32 may lie on the other side of the limit.
        far = np.sqrt(far.astype(np.float64))
        if max_distance is not None:
            beyond = far > max_distance
            near[beyond], far[beyond] = -1, np.inf
            is_enough = (near >= 0).sum(axis=1) >= floor
        else:
            own = np.isin(positions[rows], candidates) if candidates is not None else np.ones(len(rows), bool)
            size = len(space) if candidates is None else len(candidates)
            is_enough = size - own >= floor
        is_withheld[rows] = ~is_enough
        told = rows[is_enough]
        width = min(count, near.shape[1])
        neighbours[told, :width], distances[told, :width] = near[is_enough, :width], far[is_enough, :width]
    return Similar(space, positions, neighbours, distances, is_withheld, floor)


def _nearest(
    space: Space, positions: NDArray[np.int64], candidates: NDArray[np.int64] | None, count: int, threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours of learners among candidates (all for None), without themselves."""
    points = space.points if candidates is None else np.ascontiguousarray(space.points[:, candidates])
    queries = np.ascontiguousarray(space.points[:, positions].T)
    near, squared = _core.nearest_points(points, queries, count + 1, threads=threads)
    if candidates is not None and len(candidates):
        near = np.where(near >= 0, candidates[near], -1).astype(np.int32)
    # One more than wanted was asked for: the learner goes, or, behind many equals, the last one.
    is_self = np.asarray(near == positions[:, None])
    is_self[~is_self.any(axis=1), -1] = True
    keep = ~is_self
    shape = (len(positions), count)
    return near[keep].reshape(shape), squared[keep].reshape(shape)


def _parts(
    space: Space, positions: NDArray[np.int64], matching: NDArray[np.bool_] | None, same: Sequence[str]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64] | None]]:
    """Queries by what they share, each with its candidates (None: everybody); queries of unknown value are in none."""
    every = np.arange(len(positions))
    if not same:
        return [(every, None if matching is None else np.flatnonzero(matching))]
    codes = np.stack([space.attribute(name).codes for name in same])
    is_known: NDArray[np.bool_] = np.all(codes >= 0, axis=0)
    candidates = np.flatnonzero(is_known if matching is None else is_known & matching)
    own = codes[:, positions]
    rows = every[is_known[positions]]
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64] | None]] = []
    if len(rows):
        distinct, of_row = np.unique(own[:, rows], axis=1, return_inverse=True)
        for number in range(distinct.shape[1]):
            alike = (codes[:, candidates] == distinct[:, number, None]).all(axis=0)
            parts.append((rows[of_row.ravel() == number], candidates[alike]))
    return parts


def _matching(space: Space, where: Mapping[str, str]) -> NDArray[np.bool_] | None:
    if not where:
        return None
    mask: NDArray[np.bool_] = np.ones(len(space), bool)
    for name, value in where.items():
        attribute = space.attribute(name)
        if value not in attribute.names:
            close = suggestion(value, attribute.names).replace("the columns are", "the values are")
            raise InputError(f"no learner has {name} '{value}'", remedy=close or None)
        mask &= attribute.codes == attribute.names.index(value)
    return mask


def _positions(space: Space, learners: Sequence[str | int] | NDArray[np.int64] | None) -> NDArray[np.int64]:
    if learners is None:
        return np.arange(len(space))
    if isinstance(learners, np.ndarray):
        return learners.astype(np.int64)
    if isinstance(learners, str):
        raise InputError(f"'{learners}' is one text", expected="a list of learner ids")
    return np.array([space.position(learner) for learner in learners], dtype=np.int64)


def _check(count: int, floor: int, max_distance: float | None) -> None:
    if not 1 <= count <= MOST_COUNT:
        raise InputError(f"{count} neighbours were asked for", expected=f"1 to {MOST_COUNT}")
    if not 1 <= floor <= MOST_COUNT:
        raise InputError(f"a floor of {floor} matching learners", expected=f"1 (no floor) to {MOST_COUNT}")
    if max_distance is not None and not 0 < max_distance <= 1:
        raise InputError(f"max_distance is {max_distance:g}", expected="a distance in (0, 1]")
