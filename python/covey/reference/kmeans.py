"""Weighted k-means with k-means++ seeding, whose bits depend on the learners and the seed only.

Points are columnar, float32 of shape (d, n). Distances are float32 terms summed in the order of the traits; sums over
learners are made in fixed point (2^-32 steps in int64), where order cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.reference.hashing import uniform

Points = NDArray[np.float32]

FIXED_POINT_ONE = 2.0**32
MOST_LEARNERS_PER_SUM = 2**30
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class KMeansResult:
    """Answer of `kmeans`; the fields of `covey._core.KMeansResult`."""

    centroids: Points
    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]
    inertia: float
    iterations: int
    converged: bool


def squared_distance(points: Points, centroid: Points) -> NDArray[np.float32]:
    """Squared Euclidean distance of points (d, n) to one centroid (d,), float32 of shape (n,)."""
    total = np.zeros(points.shape[1], dtype=np.float32)
    for coordinate, centre in zip(points, centroid, strict=True):
        difference = coordinate - centre
        total += difference * difference
    return total


def assign(points: Points, centroids: Points) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest centroid (k, d) of every point, the lowest index among equals, and its squared distance."""
    count = points.shape[1]
    labels = np.empty(count, dtype=np.int32)
    nearest = np.empty(count, dtype=np.float32)
    for start in range(0, count, _BLOCK):
        block = points[:, start : start + _BLOCK]
        best = squared_distance(block, centroids[0])
        label = np.zeros(block.shape[1], dtype=np.int32)
        for index in range(1, len(centroids)):
            distance = squared_distance(block, centroids[index])
            closer = distance < best
            best[closer] = distance[closer]
            label[closer] = index
        labels[start : start + _BLOCK] = label
        nearest[start : start + _BLOCK] = best
    return labels, nearest


def fixed_point(values: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Values in steps of 2^-32, rounded half to even."""
    return np.rint(values.astype(np.float64) * FIXED_POINT_ONE).astype(np.int64)


def seed_centroids(points: Points, id_hashes: NDArray[np.uint64], k: int, seed: int) -> Points:
    """k-means++ by exponential race, float32 of shape (k', d); k' < k when fewer distinct points exist.

    Round r takes the point with the smallest -ln(u) / D², where u is the learner's own uniform number of that round and
    D the distance to the nearest centroid so far: a draw with probability proportional to D² that knows no positions.
    """
    race = -np.log(uniform(seed, 0, id_hashes))
    chosen = [_winner(race, id_hashes)]
    nearest = squared_distance(points, points[:, chosen[0]])
    for round_number in range(1, k):
        candidates = np.flatnonzero(nearest > 0)
        if not len(candidates):
            break
        exponential = -np.log(uniform(seed, round_number, id_hashes[candidates]))
        race = exponential / nearest[candidates].astype(np.float64)
        winner = int(candidates[_winner(race, id_hashes[candidates])])
        chosen.append(winner)
        nearest = np.minimum(nearest, squared_distance(points, points[:, winner]))
    return np.ascontiguousarray(points[:, chosen].T)


def _winner(race: NDArray[np.float64], id_hashes: NDArray[np.uint64]) -> int:
    first = np.flatnonzero(race == race.min())
    return int(first[np.argmin(id_hashes[first])])


def kmeans(points: Points, initial_centroids: Points, max_iterations: int = 300) -> KMeansResult:
    """Lloyd's iterations from `initial_centroids` (k, d) until no label changes; an emptied cluster keeps its centroid.

    Raises:
        ValueError: for more than 2^30 points, where a fixed-point sum could overflow.
    """
    if points.shape[1] > MOST_LEARNERS_PER_SUM:
        raise ValueError(f"{points.shape[1]} learners in one sum; expected at most {MOST_LEARNERS_PER_SUM}")
    quantised = fixed_point(points)
    centroids = initial_centroids.astype(np.float32, copy=True)
    k = len(centroids)
    labels, nearest = assign(points, centroids)
    iterations, converged = 0, False
    while iterations < max_iterations and not converged:
        centroids = _means(quantised, labels, centroids)
        new_labels, nearest = assign(points, centroids)
        converged = bool(np.array_equal(new_labels, labels))
        labels = new_labels
        iterations += 1
    return KMeansResult(
        centroids=centroids,
        labels=labels,
        sizes=np.bincount(labels, minlength=k).astype(np.int64),
        inertia=float(fixed_point(nearest).sum()) / FIXED_POINT_ONE,
        iterations=iterations,
        converged=converged,
    )


def _means(quantised: NDArray[np.int64], labels: NDArray[np.int32], previous: Points) -> Points:
    k = len(previous)
    counts = np.bincount(labels, minlength=k)
    centroids = previous.copy()
    filled = counts > 0
    for trait, values in enumerate(quantised):
        sums = np.zeros(k, dtype=np.int64)
        np.add.at(sums, labels, values)
        mean = sums[filled].astype(np.float64) / counts[filled] * 2.0**-32
        centroids[filled, trait] = mean.astype(np.float32)
    return centroids
