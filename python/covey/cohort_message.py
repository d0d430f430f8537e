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
    """The message of a model; dataset, events and times are left to who knows them, and the engine is "native".

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
        trait_weights=trait_vector(model.trait_weights),
        seed=model.seed,
        quality=cohorts_pb2.CohortQuality(
            inertia=quality.inertia,
            silhouette=quality.silhouette or 0.0,
            iteration_count=quality.iterations,
            converged=quality.converged,
        ),
    )
    for row, centroid in zip(model.cohorts, model.centroids.tolist(), strict=True):
        message.cohorts.add(
            index=row.index,
            archetype=archetype_number(row.archetype),
            learner_count=row.size,
            share=row.share,
            mean_traits=trait_vector(row.mean_traits),
            centroid=trait_vector(centroid),
        )
    return message


def archetype_number(name: str) -> cohorts_pb2.Archetype.ValueType:
    """The enum value of a name such as "Long-term Retainer"."""
    return cohorts_pb2.Archetype.Value("ARCHETYPE_" + name.upper().replace(" ", "_").replace("-", "_"))


def trait_vector(values: Iterable[float]) -> traits_pb2.TraitVector:
    """A value for each trait, in their order."""
    return traits_pb2.TraitVector(**dict(zip(TRAIT_NAMES, values, strict=True)))
