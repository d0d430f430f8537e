"""The mean silhouette (Rousseeuw 1987), exact over all given points; for more than some 10,000 points give a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64


def silhouette(points: NDArray[np.float32], labels: NDArray[np.int32], k: int) -> float:
    """Mean of (b - a) / max(a, b) over the points (d, n).

    a is a point's mean Euclidean distance to the other points of its cluster, b the least mean distance to the points
    of another cluster. A point alone in its cluster counts 0.

    Raises:
        ValueError: when fewer than two clusters hold points.
    """
    count = points.shape[1]
    sizes = np.bincount(labels, minlength=k)
    if np.count_nonzero(sizes) < 2:
        raise ValueError("the silhouette needs points in at least two clusters")
    membership = np.zeros((count, k))
    membership[np.arange(count), labels] = 1.0
    values = np.zeros(count)
    for start in range(0, count, _BLOCK):
        own = labels[start : start + _BLOCK]
        block = points[:, start : start + _BLOCK]
        rows = np.arange(block.shape[1])
        sums = np.sqrt(_all_distances(points, block).astype(np.float64)) @ membership
        within = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
        other = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
        other[rows, own] = np.inf
        nearest_other = other.min(axis=1)
        largest = np.maximum(within, nearest_other)
        score = (nearest_other - within) / np.where(largest > 0, largest, 1.0)
        values[start : start + _BLOCK] = np.where(sizes[own] > 1, score, 0.0)
    return float(values.mean())


def _all_distances(points: NDArray[np.float32], block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances of the block's points (rows) to all points (columns)."""
    total = np.zeros((block.shape[1], points.shape[1]), dtype=np.float32)
    for coordinate, own in zip(points, block, strict=True):
        difference = own[:, None] - coordinate[None, :]
        total += difference * difference
    return total
