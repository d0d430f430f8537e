"""The mean silhouette (Rousseeuw 1987), exact over all given points; for more than some 10,000 points give a sample."""

from __future__ import annotations

from collections.abc import Sequence

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
    return silhouettes(points, labels[None, :], [k])[0]


def silhouettes(points: NDArray[np.float32], labels: NDArray[np.int32], ks: Sequence[int]) -> list[float]:
    """`silhouette` of each labelling, labels (m, n) with ks of length m; every distance is made once.

    Raises:
        ValueError: when a labelling has points in fewer than two clusters.
    """
    return [float(values.mean()) for values in _values(points, labels, ks)]


def silhouette_values(points: NDArray[np.float32], labels: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """(b - a) / max(a, b) of each point, shape (n,); see `silhouette`.

    Raises:
        ValueError: when fewer than two clusters hold points.
    """
    return _values(points, labels[None, :], [k])[0]


def _values(points: NDArray[np.float32], labels: NDArray[np.int32], ks: Sequence[int]) -> list[NDArray[np.float64]]:
    labellings = [_Labelling(own, k) for own, k in zip(labels, ks, strict=True)]
    for start in range(0, points.shape[1], _BLOCK):
        distances = np.sqrt(_all_distances(points, points[:, start : start + _BLOCK]).astype(np.float64))
        for labelling in labellings:
            labelling.add(distances, start)
    return [labelling.values for labelling in labellings]


class _Labelling:
    """The silhouettes of one labelling, block by block."""

    def __init__(self, labels: NDArray[np.int32], k: int) -> None:
        self.labels = labels
        self.sizes = np.bincount(labels, minlength=k)
        if np.count_nonzero(self.sizes) < 2:
            raise ValueError("the silhouette needs points in at least two clusters")
        self.membership = np.zeros((len(labels), k))
        self.membership[np.arange(len(labels)), labels] = 1.0
        self.values = np.zeros(len(labels))

    def add(self, distances: NDArray[np.float64], start: int) -> None:
        """The points from `start` on, whose distances to all points are the rows."""
        own, sizes = self.labels[start : start + len(distances)], self.sizes
        rows = np.arange(len(distances))
        sums = distances @ self.membership
        within = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
        other = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
        other[rows, own] = np.inf
        nearest_other = other.min(axis=1)
        largest = np.maximum(within, nearest_other)
        score = (nearest_other - within) / np.where(largest > 0, largest, 1.0)
        self.values[start : start + len(distances)] = np.where(sizes[own] > 1, score, 0.0)


def _all_distances(points: NDArray[np.float32], block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances of the block's points (rows) to all points (columns)."""
    total = np.zeros((block.shape[1], points.shape[1]), dtype=np.float32)
    for coordinate, own in zip(points, block, strict=True):
        difference = own[:, None] - coordinate[None, :]
        total += difference * difference
    return total
