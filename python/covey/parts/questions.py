"""What a coordinator asks a part of the learners, and what the part answers: all that ever leaves it.

Answers are functions of the question and the part's learners alone, so a question can be put again to a part that was
lost and made anew. Sums are int64 in steps of 2^-32, whatever the part: they add in any order, also modulo 2^64, and
hold 2^30 learners in all. Only `DrawSample` and `Race` answer with single learners, by traits and a hash of the id;
a coordinator that is given centroids to begin with, and k, needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Sums = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CountLearners:
    """How many learners are there? Answered by an int."""


@dataclass(frozen=True, slots=True)
class DrawSample:
    """The part's learners of the smallest mixed id hashes, at most `size`, for `Sample`."""

    seed: int
    size: int


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """Learners without their ids: hashes (m,), uint64, and points (d, m) in weighted space."""

    hashes: NDArray[np.uint64]
    points: Points


@dataclass(frozen=True, eq=False, slots=True)
class Race:
    """Who wins the next round of k-means++ after these centroids (j, d)? Answered by a `Winner`, or None."""

    seed: int
    centroids: Points


@dataclass(frozen=True, slots=True)
class Winner:
    """The best of a part: of all parts the least in this order wins (score, then hash, then coordinates)."""

    score: float
    id_hash: int
    point: tuple[float, ...]

    def key(self) -> tuple[float, int, tuple[float, ...]]:
        """What winners are compared by."""
        return (self.score, self.id_hash, self.point)


@dataclass(frozen=True, eq=False, slots=True)
class LloydStep:
    """Put every learner to the nearest of `centroids` (k, d), for `ClusterSums`.

    `before` are the centroids of the step before, None at first: which labels change is counted against them.
    """

    before: Points | None
    centroids: Points


@dataclass(frozen=True, eq=False, slots=True)
class ClusterSums:
    """Of one step.

    Attributes:
        coordinates: sums of the points per cluster, shape (k, d), in steps of 2^-32.
        sizes: learners per cluster, shape (k,).
        changed: learners whose label is another than before; all of them at first.
    """

    coordinates: Sums
    sizes: Sums
    changed: int

    def to_vector(self) -> Sums:
        """All numbers in a row: k * d sums, k sizes, one count."""
        return np.concatenate([self.coordinates.ravel(), self.sizes, [self.changed]]).astype(np.int64)

    @classmethod
    def from_vector(cls, vector: Sums, k: int) -> ClusterSums:
        """The inverse of `to_vector`, also of a sum of vectors."""
        return cls(vector[: -k - 1].reshape(k, -1), vector[-k - 1 : -1], int(vector[-1]))


@dataclass(frozen=True, eq=False, slots=True)
class Conclude:
    """The labels for these centroids are final, for `Conclusion`; `new_labels` (k,) renumbers them, -1 is for none."""

    centroids: Points
    new_labels: NDArray[np.int32]


@dataclass(frozen=True, eq=False, slots=True)
class Conclusion:
    """Of the final labels, in steps of 2^-32.

    Attributes:
        traits: sums of the unweighted traits per cluster, shape (k', d).
        squared_distances: of the learners to their centroids.
    """

    traits: Sums
    squared_distances: int

    def to_vector(self) -> Sums:
        """All numbers in a row: k' * d sums, then the distances."""
        return np.concatenate([self.traits.ravel(), [self.squared_distances]]).astype(np.int64)

    @classmethod
    def from_vector(cls, vector: Sums, k: int) -> Conclusion:
        """The inverse of `to_vector`, also of a sum of vectors."""
        return cls(vector[:-1].reshape(k, -1), int(vector[-1]))


@dataclass(frozen=True, slots=True)
class SquareDeviations:
    """Squared distances of the traits to their means over everybody; answered by int64 sums (d,) in steps of 2^-32."""

    means: tuple[float, ...]


Question = CountLearners | DrawSample | Race | LloydStep | Conclude | SquareDeviations
Answer = Any
"""An int, `Sample`, `Winner` or None, `ClusterSums`, `Conclusion`, or int64 (d,); by question."""

Ask = Callable[[Question], Sequence[Answer]]
"""Puts one question to all parts; their answers in any order."""


class Part(Protocol):
    """Some of the learners."""

    def answer(self, question: Question) -> Answer:
        """Answer a question; see there."""
