"""Cohorts: clusters of learners in trait space, with their names, sizes and quality."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from covey.archetypes import name_cohorts
from covey.cohort_model import CohortModel, CohortRow, Quality, weighted_points
from covey.discovery import find_clusters
from covey.engine import EngineName, Progress
from covey.fixed_point import group_means, standardised
from covey.parameters import TRAIT_NAMES, TraitParameters, trait_weight_tuple
from covey.traits import Traits

if TYPE_CHECKING:
    from covey.notebook.plot import Plot, PlotKind


@dataclass(frozen=True, eq=False, slots=True)
class Cohorts:
    """The cohorts of a trait table, the largest first.

    Attributes:
        traits: the learners.
        labels: int32, shape (n,): the cohort of each learner.
        model: centroids, names, sizes, mean traits and quality.
        silhouette_by_k: what `k="auto"` compared; empty for a given k.
    """

    traits: Traits
    labels: NDArray[np.int32]
    model: CohortModel
    silhouette_by_k: Mapping[int, float]

    def __len__(self) -> int:
        return self.model.k

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Float32, shape (k, 5), in weighted space."""
        return self.model.centroids

    @property
    def archetypes(self) -> tuple[str, ...]:
        """One name per cohort."""
        return tuple(row.archetype for row in self.model.cohorts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Learners per cohort, descending."""
        return tuple(row.size for row in self.model.cohorts)

    @property
    def mean_traits(self) -> NDArray[np.float64]:
        """Shape (k, 5), unweighted."""
        return np.array([row.mean_traits for row in self.model.cohorts])

    @property
    def quality(self) -> Quality:
        """Inertia, silhouette, iterations, convergence."""
        return self.model.quality

    def agreement(self, other: Cohorts) -> float:
        """Adjusted Rand index over the learners that both hold: 1 for equal partitions, about 0 for unrelated ones."""
        from covey.agreement import adjusted_rand_index, common_positions

        mine, theirs = common_positions(self.traits.learner_ids, other.traits.learner_ids)
        return adjusted_rand_index(self.labels[mine], other.labels[theirs])

    def fingerprint(self) -> str:
        """SHA-256 of the bits of labels, centroids and traits, learners in the order of their ids."""
        digest = hashlib.sha256()
        for array in (self.labels, self.model.centroids, self.traits.matrix):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def to_arrow(self) -> Any:
        """A pyarrow table: learner_id, cohort, archetype (dictionary), then the columns of the traits."""
        import pyarrow as pa

        from covey.notebook.frames import named

        table = self.traits.to_arrow()
        names = named(self.labels, self.archetypes)
        return table.add_column(1, "cohort", pa.array(self.labels)).add_column(2, "archetype", names)

    def to_pandas(self) -> Any:
        """`to_arrow` as a pandas.DataFrame; numbers share memory with the cohorts and are read-only.

        Raises:
            InputError: without pandas.
        """
        from covey.notebook.frames import to_pandas

        return to_pandas(self.to_arrow())

    def to_polars(self) -> Any:
        """`to_arrow` as a polars.DataFrame; numbers share memory with the cohorts.

        Raises:
            InputError: without polars.
        """
        from covey.notebook.frames import to_polars

        return to_polars(self.to_arrow())

    def plot(self, kind: PlotKind = "overview") -> Plot:
        """A picture for a notebook or a file: `cohorts.plot().savefig("cohorts.svg")`.

        Args:
            kind: "profiles" (the traits of each cohort against all learners), "sizes", "separation" (where learners
                lie, the silhouette of each, and how k was chosen; of at most 4,000 learners drawn by hash), or
                "overview" (all of them).

        Raises:
            InputError: for another kind.
        """
        from covey.notebook.plot import plot

        return plot(self, kind)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """`to_arrow` through the Arrow C data interface: for polars, DuckDB, pandas and pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        from covey.notebook.text import of_cohorts

        return of_cohorts(self)

    def _repr_html_(self) -> str:
        from covey.notebook.html import of_cohorts

        return of_cohorts(self)


def discover(
    traits: Traits,
    k: int | Literal["auto"],
    seed: int,
    trait_weights: Mapping[str, float] | Sequence[float] | None,
    engine: EngineName,
    threads: int | None,
    progress: Progress | None,
) -> Cohorts:
    """See `Traits.discover`."""
    weights = trait_weight_tuple(trait_weights)
    points = weighted_points(traits.matrix, weights)
    found = find_clusters(points, traits.learner_ids.hashes(engine), k, seed, engine, threads, progress)
    means = group_means(traits.matrix, found.labels, len(found.centroids))
    model = model_of(
        found.centroids,
        np.bincount(found.labels, minlength=len(found.centroids)),
        means,
        standardised(means, traits.matrix),
        weights,
        traits.parameters,
        seed,
        found.quality,
    )
    return Cohorts(traits=traits, labels=found.labels, model=model, silhouette_by_k=found.silhouette_by_k)


def model_of(
    centroids: NDArray[np.float32],
    sizes: NDArray[np.int64],
    means: NDArray[np.float64],
    scores: NDArray[np.float64],
    trait_weights: tuple[float, ...],
    parameters: TraitParameters,
    seed: int,
    quality: Quality,
) -> CohortModel:
    """The model of k clusters: sizes (k,), mean traits (k, 5) and their z-scores, by which they are named."""
    names = name_cohorts(scores)
    learner_count = int(sizes.sum())
    rows = tuple(
        CohortRow(
            index=index,
            archetype=names[index],
            size=int(sizes[index]),
            share=int(sizes[index]) / learner_count,
            mean_traits=tuple(float(value) for value in means[index]),
        )
        for index in range(len(names))
    )
    assert len(rows[0].mean_traits) == len(TRAIT_NAMES)
    centroids.flags.writeable = False
    return CohortModel(
        trait_weights=trait_weights,
        centroids=centroids,
        cohorts=rows,
        parameters=parameters,
        seed=seed,
        k=len(rows),
        quality=quality,
    )
