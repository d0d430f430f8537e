"""Cohorts from sums alone: k-means from centroids that no learner was, with no cluster read that has too few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from covey.cohort_model import CohortModel, weighted_points
from covey.engine import Progress
from covey.errors import InputError
from covey.federation.region import MINIMUM_GROUP_SIZE
from covey.federation.seeds import scattered
from covey.fixed_point import overall_means
from covey.parameters import TRAIT_NAMES, TraitParameters, trait_weight_tuple
from covey.parts.coordinator import discover_in_parts
from covey.parts.merging import merged
from covey.parts.questions import (
    Answer,
    Ask,
    ClusterSums,
    Conclude,
    Conclusion,
    CountLearners,
    LloydStep,
    Question,
    SquareDeviations,
)

ATTEMPTS = 8
MOST_COHORTS = 64
_STEP = 2.0**-32


class _TooFewError(Exception):
    """A cluster of the attempt has too few learners to be told of."""


def discover_without_learners(
    ask: Ask,
    k: int,
    seed: int = 0,
    trait_weights: Mapping[str, float] | Sequence[float] | None = None,
    parameters: TraitParameters | None = None,
    minimum_group_size: int = MINIMUM_GROUP_SIZE,
    attempts: int = ATTEMPTS,
    progress: Progress | None = None,
) -> CohortModel:
    """The best of some k-means runs that begin at centroids drawn with the means and deviations of the traits.

    Instead of k-means++, which draws learners. A cluster with fewer than `minimum_group_size` learners keeps its
    centroid while it is that small, and a run that ends with such a cluster is passed over. There is no silhouette: it
    compares single learners. The same learners, k, seed and minimum give the same bits in one process and in a
    federation of any regions; afterwards every part knows its labels.

    Args:
        ask: puts a question to every part.
        k: number of cohorts, 1 to 64.
        seed: of every choice.
        trait_weights: of the parts.
        parameters: of the trait definitions, for the model.
        minimum_group_size: learners that a number must be about.
        attempts: runs, the one with the least inertia wins.
        progress: called with (what, done, total).

    Raises:
        InputError: k is out of range, there are too few learners, or no attempt found k cohorts that are large enough.
    """
    if not 1 <= k <= MOST_COHORTS:
        raise InputError(f"k is {k}", expected=f"1 to {MOST_COHORTS}; it cannot be chosen without single learners")
    weights = trait_weight_tuple(trait_weights)
    means, deviations = _moments(ask, minimum_group_size)
    best: CohortModel | None = None
    for attempt in range(attempts):
        if progress is not None:
            progress(f"k-means with k={k} from other centroids", attempt, attempts)
        points = scattered(means, deviations, k, seed, attempt).T.astype(np.float32)
        initial = np.ascontiguousarray(weighted_points(points, weights).T)
        careful = _Careful(ask, minimum_group_size)
        try:
            found = discover_in_parts(
                careful.ask, k, seed, weights, parameters, initial_centroids=initial, sample_size=0
            ).model
        except _TooFewError:
            continue
        if best is None or found.quality.inertia < best.quality.inertia:
            best = found
    if best is None:
        raise InputError(
            f"no {k} cohorts of at least {minimum_group_size} learners were found in {attempts} attempts",
            remedy="choose a smaller k",
        )
    careful = _Careful(ask, minimum_group_size)
    careful.ask(LloydStep(None, best.centroids))
    careful.ask(Conclude(best.centroids, np.arange(k, dtype=np.int32)))
    if progress is not None:
        progress(f"k-means with k={k} from other centroids", attempts, attempts)
    return best


class _Careful:
    """Takes a cluster with too few learners for an empty one, so that it keeps its centroid and is not told of."""

    def __init__(self, ask: Ask, minimum: int) -> None:
        self._ask = ask
        self._minimum = minimum
        self._smallest = 0

    def ask(self, question: Question) -> Sequence[Answer]:
        if isinstance(question, LloydStep):
            sums: ClusterSums = merged(question, self._ask(question))
            self._smallest = int(sums.sizes.min())
            sizes = np.where(sums.sizes >= self._minimum, sums.sizes, 0)
            return [ClusterSums(sums.coordinates, sizes, sums.changed)]
        if isinstance(question, Conclude) and self._smallest < self._minimum:
            raise _TooFewError
        return self._ask(question)


def _moments(ask: Ask, minimum: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and standard deviations of the traits over everybody."""
    count = int(merged(CountLearners(), ask(CountLearners())))
    if count < minimum:
        raise InputError(f"there are {count} learners in all parts", expected=f"at least {minimum}")
    everybody = Conclude(np.zeros((1, len(TRAIT_NAMES)), np.float32), np.zeros(1, np.int32))
    total: Conclusion = merged(everybody, ask(everybody))
    means = np.array(overall_means(total.traits.sum(axis=0), count))
    deviations = SquareDeviations(tuple(means.tolist()))
    squared = merged(deviations, ask(deviations))
    return means, np.sqrt(np.asarray(squared, np.float64) / count * _STEP)
