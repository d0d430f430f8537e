"""Nearest neighbours of the compiled core against a sort of all distances in plain NumPy."""

from __future__ import annotations

from threading import Timer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from covey import _core

from .event_columns import every_way

Floats = NDArray[np.float32]


def oracle(
    points: Floats, queries: Floats, count: int, include: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int32], Floats]:
    size = points.shape[1]
    index = np.full((len(queries), count), -1, np.int32)
    squared = np.full((len(queries), count), np.inf, np.float32)
    candidates = np.arange(size) if include is None else np.flatnonzero(include)
    for q, query in enumerate(queries):
        total = np.zeros(size, np.float32)
        for d in range(len(points)):
            difference = points[d] - query[d]
            total = difference * difference if d == 0 else total + difference * difference
        order = candidates[np.lexsort((candidates, total[candidates]))][:count]
        index[q, : len(order)] = order
        squared[q, : len(order)] = total[order]
    return index, squared


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(0, 3000),
    st.integers(1, 40),
    st.sampled_from([1, 3, 50, 4000]),
    st.booleans(),
    st.sampled_from([4, 1000, 2**20]),
)
def test_the_nearest_of_all(
    seed: int, dimensions: int, size: int, queries: int, count: int, filtered: bool, distinct: int
) -> None:
    """Few distinct values make ties, which the lower number wins."""
    chance = np.random.default_rng(seed)
    points = (chance.integers(0, distinct, (dimensions, size)) / distinct).astype(np.float32)
    asked = (chance.integers(0, distinct, (queries, dimensions)) / distinct).astype(np.float32)
    include = chance.random(size) < chance.random() if filtered else None
    index, squared = oracle(points, asked, count, include)
    for way in every_way():
        found = _core.nearest_points(points, asked, count, include, **way)
        np.testing.assert_array_equal(found[0], index)
        np.testing.assert_array_equal(found[1], squared)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, r"count is 0, expected 1 \.\.\. 65,535 neighbours"),
        ({"count": 65_536}, "count is 65536"),
        ({"queries": np.zeros((1, 3), np.float32)}, r"queries must have shape \(n, 2\)"),
        ({"queries": np.zeros((0, 2), np.float32)}, r"queries must have shape \(n, 2\) with n >= 1"),
        ({"include": np.ones(4, bool)}, "include must have 5 elements, not 4"),
        ({"include": np.ones(5, np.uint8)}, "include must have dtype bool"),
        ({"points": np.zeros((2, 5))}, "points must have dtype float32"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_what_is_refused(changes: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "points": np.zeros((2, 5), np.float32),
        "queries": np.zeros((1, 2), np.float32),
        "count": 1,
    }
    with pytest.raises((ValueError, TypeError), match=message):
        _core.nearest_points(**(arguments | changes))  # type: ignore[arg-type]


def test_a_search_is_cancelled() -> None:
    points = np.zeros((5, 2_000_000), np.float32)
    queries = np.zeros((4000, 5), np.float32)
    cancellation = _core.Cancellation()
    Timer(0.05, cancellation.cancel).start()
    with pytest.raises(_core.Cancelled):
        _core.nearest_points(points, queries, 10, cancellation=cancellation)
