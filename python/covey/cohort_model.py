"""What defines cohorts and outlives the learners they were found in: plain, immutable, ready to be stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.engine import EngineName, engine_named, thread_count
from covey.parameters import TraitParameters

if TYPE_CHECKING:
    from covey.traits import Traits


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a clustering is.

    Attributes:
        inertia: sum of the squared weighted distances of the learners to their centroids.
        silhouette: mean over a sample of at most 10,000 learners, -1 to 1; None with a single cohort.
        iterations: of the k-means run.
        converged: whether the last iteration changed no label.
    """

    inertia: float
    silhouette: float | None
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One cohort.

    Attributes:
        index: its label, 0 for the largest cohort.
        archetype: its human name.
        size: learners when the model was made.
        share: size over all learners.
        mean_traits: in the order of `TRAIT_NAMES`, unweighted.
    """

    index: int
    archetype: str
    size: int
    share: float
    mean_traits: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class CohortModel:
    """The centroids and all that is needed to put a learner into a cohort.

    Attributes:
        trait_weights: five weights; a point is the traits times their square roots.
        centroids: float32, shape (k, 5), in weighted space; read-only.
        cohorts: k rows; row i belongs to centroid i.
        parameters: of the trait definitions.
        seed: of the run.
        k: number of cohorts.
        quality: of the run.
    """

    trait_weights: tuple[float, ...]
    centroids: NDArray[np.float32]
    cohorts: tuple[CohortRow, ...]
    parameters: TraitParameters
    seed: int
    k: int
    quality: Quality

    def assign(
        self, traits: Traits | NDArray[np.float32], engine: EngineName = "native", threads: int | None = 1
    ) -> NDArray[np.int32]:
        """The label of every learner: the nearest centroid, the lowest index among equals.

        Args:
            traits: a trait table, or float32 of shape (5, n).
            engine: which engine computes it; the answer is the same.
            threads: None for one per processor.
        """
        matrix = traits if isinstance(traits, np.ndarray) else traits.matrix
        points = weighted_points(matrix, self.trait_weights)
        return engine_named(engine).assign(points, self.centroids, thread_count(threads))


def weighted_points(matrix: NDArray[np.float32], trait_weights: tuple[float, ...]) -> NDArray[np.float32]:
    """Traits (5, n) times the square roots of the weights, one float32 multiplication each: points (5, n)."""
    factors = np.sqrt(np.array(trait_weights)).astype(np.float32)
    return np.ascontiguousarray(matrix * factors[:, None])
