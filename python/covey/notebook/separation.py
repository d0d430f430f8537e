"""How far apart cohorts are: the silhouette of each learner, and the plane in which learners differ most. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.cohort_model import weighted_points
from covey.engine import engine_named
from covey.reference.silhouette import silhouette_values

if TYPE_CHECKING:
    from covey.cohorts import Cohorts

LARGEST_SAMPLE = 4_000
"""Learners that are drawn at most: their distances to each other are all made."""


@dataclass(frozen=True, eq=False, slots=True)
class Separation:
    """Where a sample of learners lies, and how well they fit their cohorts.

    Attributes:
        positions: int64, shape (m,): of the sample in the trait table, ascending.
        labels: int32, shape (m,): their cohorts.
        silhouettes: float64, shape (m,), -1 to 1; None where the sample meets fewer than two cohorts.
        plane: float64, shape (m, 2): coordinates along the two directions of greatest variance.
        centroids: float64, shape (k, 2): the cohorts' centroids in the same plane.
        explained: share of the learners' variance along each of the two directions.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int32]
    silhouettes: NDArray[np.float64] | None
    plane: NDArray[np.float64]
    centroids: NDArray[np.float64]
    explained: tuple[float, float]


def separation(cohorts: Cohorts, largest_sample: int = LARGEST_SAMPLE) -> Separation:
    """The separation of cohorts in the weighted space in which they were found.

    The sample is that of the smallest hashes of learner ids, so it does not depend on the order of the learners.
    """
    traits = cohorts.traits
    engine = engine_named(traits.engine)
    positions = np.sort(
        engine.smallest_hashes(traits.learner_ids.hashes(traits.engine), cohorts.model.seed, largest_sample)
    )
    everyone = weighted_points(traits.matrix, cohorts.model.trait_weights)
    points, labels = np.ascontiguousarray(everyone[:, positions]), cohorts.labels[positions]
    middle, axes, explained = principal_plane(everyone)
    several = len(np.unique(labels)) > 1
    return Separation(
        positions=positions,
        labels=labels,
        silhouettes=silhouette_values(points, labels, len(cohorts)) if several else None,
        plane=(points.T - middle) @ axes,
        centroids=(cohorts.centroids - middle) @ axes,
        explained=explained,
    )


def principal_plane(
    points: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """The first two principal components (Pearson 1901) of points (d, n), d >= 2.

    Returns:
        The mean, shape (d,); two orthonormal directions, shape (d, 2), each with its largest entry positive, so that
        the picture is not mirrored from one run to the next; the share of the variance along each, 0 where all points
        are one.
    """
    wide = points.astype(np.float64)
    middle = wide.mean(axis=1)
    covariance = np.cov(wide, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :2]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, [0, 1]])
    total = float(values.sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in values[::-1][:2]]
    return middle, axes, (shares[0], shares[1])
