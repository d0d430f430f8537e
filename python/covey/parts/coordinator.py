"""k-means over parts: asks, adds what is answered, decides. It never sees the learners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from covey.cohort_model import CohortModel, Quality
from covey.cohorts import model_of
from covey.discovery import (
    MAX_ITERATIONS,
    SILHOUETTE_SAMPLE,
    Run,
    check_distinct,
    check_request,
    choose_k,
    order_by_size,
)
from covey.engine import Progress, engine_named, thread_count
from covey.errors import InputError
from covey.fixed_point import means_of, overall_means, z_scores
from covey.parameters import TRAIT_NAMES, TraitParameters, trait_weight_tuple
from covey.parts.merging import merged
from covey.parts.questions import (
    Ask,
    ClusterSums,
    Conclude,
    Conclusion,
    CountLearners,
    DrawSample,
    LloydStep,
    Points,
    Race,
    Sample,
    SquareDeviations,
    Winner,
)

MOST_LEARNERS = 2**30
"""What the fixed-point sums hold."""
_STEP = 2.0**-32


@dataclass(frozen=True, eq=False, slots=True)
class PartitionedCohorts:
    """What was found; the labels are with the parts.

    Attributes:
        model: the bits that `Traits.discover` gives for all learners at once.
        silhouette_by_k: what `k="auto"` compared.
    """

    model: CohortModel
    silhouette_by_k: Mapping[int, float]


def discover_in_parts(
    ask: Ask,
    k: int | Literal["auto"] = "auto",
    seed: int = 0,
    trait_weights: Mapping[str, float] | Sequence[float] | None = None,
    parameters: TraitParameters | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    initial_centroids: Points | None = None,
    sample_size: int = SILHOUETTE_SAMPLE,
) -> PartitionedCohorts:
    """Find the cohorts of learners in parts, bit for bit those of `Traits.discover` over all of them.

    Args:
        ask: puts a question to every part; all parts have the same trait weights.
        k: number of cohorts, or "auto": 2 to 12 by the silhouette of a sample.
        seed: of every choice.
        trait_weights: of the parts.
        parameters: of the trait definitions, for the model.
        threads: for the sample; one per processor by default.
        progress: called with (what, done, total).
        initial_centroids: shape (k, 5) in weighted space: begin there. No single learner is drawn then for it.
        sample_size: learners that the silhouette is measured on; 0 for none, which needs a k.

    Raises:
        InputError: as `Traits.discover`; without a single learner; for more than 2^30.
    """
    weights = trait_weight_tuple(trait_weights)
    tell = progress or (lambda what, done, total: None)
    count = merged(CountLearners(), ask(CountLearners()))
    if not 0 < count <= MOST_LEARNERS:
        raise InputError(f"there are {count} learners in all parts", expected=f"1 to {MOST_LEARNERS}")
    check_request(k, seed, count)
    if k == "auto" and not sample_size:
        raise InputError("k is 'auto' without a sample to choose it on", remedy="give k, or allow a sample")
    sample = _sample(ask, seed, sample_size, thread_count(threads)) if sample_size else None
    silhouette_by_k: dict[int, float] = {}
    if k == "auto":
        assert sample is not None
        k, silhouette_by_k = choose_k(sample, progress)
    what = f"k-means with k={k}"
    tell(what, 0, 1)
    initial = _seeds(ask, k, seed) if initial_centroids is None else initial_centroids
    check_distinct(k, len(initial))
    run = _iterate(ask, initial, lambda iterations: tell(f"{what}: iteration {iterations}", 0, 1))
    order = order_by_size(run.centroids, run.sums.sizes)
    centroids = np.ascontiguousarray(run.centroids[order])
    new_labels = np.full(len(run.centroids), -1, dtype=np.int32)
    new_labels[order] = np.arange(len(order), dtype=np.int32)
    sizes = run.sums.sizes[order]
    conclude = Conclude(run.centroids, new_labels)
    ended: Conclusion = merged(conclude, ask(conclude))
    means = means_of(ended.traits, sizes)
    overall = overall_means(ended.traits.sum(axis=0), count)
    deviations = SquareDeviations(tuple(overall))
    squared = merged(deviations, ask(deviations))
    quality = Quality(
        inertia=float(ended.squared_distances) * _STEP,
        silhouette=None if sample is None else _silhouette(sample, run.centroids, new_labels, len(order)),
        iterations=run.iterations,
        converged=run.converged,
    )
    scores = z_scores(means, overall, squared, count)
    model = model_of(centroids, sizes, means, scores, weights, parameters or TraitParameters(), seed, quality)
    tell(what, 1, 1)
    return PartitionedCohorts(model, silhouette_by_k)


def next_centroids(sums: ClusterSums, centroids: Points) -> Points:
    """The mean of each cluster, as the core rounds it; an empty one keeps its centroid."""
    filled = sums.sizes > 0
    means = sums.coordinates[filled].astype(np.float64) / sums.sizes[filled, None].astype(np.float64) * _STEP
    moved = centroids.copy()
    moved[filled] = means.astype(np.float32)
    return moved


@dataclass(frozen=True, eq=False, slots=True)
class _Iterated:
    centroids: Points
    sums: ClusterSums
    iterations: int
    converged: bool


def _iterate(ask: Ask, initial: Points, tell: Callable[[int], None]) -> _Iterated:
    """Lloyd's iterations until no label changes in any part."""
    before, centroids = None, np.ascontiguousarray(initial, dtype=np.float32)
    sums = _sums(ask, LloydStep(before, centroids))
    iterations, converged = 0, False
    while iterations < MAX_ITERATIONS and not converged:
        before, centroids = centroids, next_centroids(sums, centroids)
        sums = _sums(ask, LloydStep(before, centroids))
        iterations += 1
        converged = sums.changed == 0
        tell(iterations)
    return _Iterated(centroids, sums, iterations, converged)


def _sums(ask: Ask, step: LloydStep) -> ClusterSums:
    sums: ClusterSums = merged(step, ask(step))
    return sums


def _seeds(ask: Ask, k: int, seed: int) -> Points:
    """k-means++ by race: the least of all parts' winners; fewer than k where fewer points differ."""
    centroids: Points | None = None
    for _ in range(k):
        asked = np.empty((0, len(TRAIT_NAMES)), np.float32) if centroids is None else centroids
        race = Race(seed, asked)
        winner: Winner | None = merged(race, ask(race))
        if winner is None:
            break
        point = np.array([winner.point], dtype=np.float32)
        centroids = point if centroids is None else np.concatenate([centroids, point])
    assert centroids is not None
    return centroids


def _sample(ask: Ask, seed: int, size: int, threads: int) -> Run:
    draw = DrawSample(seed, size)
    drawn: Sample = merged(draw, ask(draw))
    return Run(engine_named("native"), drawn.points, drawn.hashes, seed, threads)


def _silhouette(sample: Run, centroids: Points, new_labels: NDArray[np.int32], k: int) -> float | None:
    labels = sample.engine.assign(sample.points, centroids, sample.threads)
    return sample.silhouette(new_labels[labels], k)
