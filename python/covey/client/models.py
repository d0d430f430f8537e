"""A cohort model of the library as the wire has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from covey.parameters import TRAIT_NAMES
from covey.v1 import cohorts_pb2, traits_pb2

if TYPE_CHECKING:
    from covey.cohort_model import CohortModel


def cohort_model_message(model: CohortModel, name: str) -> cohorts_pb2.CohortModel:
    """The message of a model that no single dataset gave: without dataset, events and times.

    Args:
        model: as it was found.
        name: cohortModels/{cohort_model}
    """
    quality = model.quality
    message = cohorts_pb2.CohortModel(
        name=name,
        learner_count=sum(row.size for row in model.cohorts),
        engine="native",
        trait_parameters=traits_pb2.TraitParameters(**asdict(model.parameters)),
        trait_weights=_vector(model.trait_weights),
        seed=model.seed,
        quality=cohorts_pb2.CohortQuality(
            inertia=quality.inertia,
            silhouette=quality.silhouette or 0.0,
            iteration_count=quality.iterations,
            converged=quality.converged,
        ),
    )
    for row, centroid in zip(model.cohorts, model.centroids.tolist(), strict=True):
        archetype = "ARCHETYPE_" + row.archetype.upper().replace(" ", "_").replace("-", "_")
        message.cohorts.add(
            index=row.index,
            archetype=cohorts_pb2.Archetype.Value(archetype),
            learner_count=row.size,
            share=row.share,
            mean_traits=_vector(row.mean_traits),
            centroid=_vector(centroid),
        )
    return message


def _vector(values: Iterable[float]) -> traits_pb2.TraitVector:
    return traits_pb2.TraitVector(**dict(zip(TRAIT_NAMES, values, strict=True)))
