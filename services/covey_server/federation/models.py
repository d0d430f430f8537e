"""A model that a federation found, as a region may keep it: checked like everything that others made."""

from __future__ import annotations

import math

from covey.federation.discovery import MOST_COHORTS
from covey.parameters import TRAIT_NAMES
from covey.v1 import cohorts_pb2
from covey_server.catalogue.parameters import checked_trait_weights, parameters_of
from covey_server.errors import invalid


def checked_model(model: cohorts_pb2.CohortModel) -> cohorts_pb2.CohortModel:
    """The model, where learners can be put to its cohorts.

    Raises:
        CallError: INVALID_ARGUMENT that names the field.
    """
    field = "cohort_model"
    if not 1 <= len(model.cohorts) <= MOST_COHORTS:
        raise invalid(f"{field}.cohorts", f"there are {len(model.cohorts)}, and 1 to {MOST_COHORTS} may be")
    if model.engine not in ("native", "reference"):
        raise invalid(f"{field}.engine", f"{model.engine[:40]!r} is neither native nor reference")
    parameters_of(model.trait_parameters, f"{field}.trait_parameters")
    checked_trait_weights(model.trait_weights, f"{field}.trait_weights")
    for index, cohort in enumerate(model.cohorts):
        where = f"{field}.cohorts[{index}]"
        if cohort.index != index:
            raise invalid(f"{where}.index", f"is {cohort.index}, and cohorts are counted from 0")
        for vector in (cohort.centroid, cohort.mean_traits):
            if not all(0 <= getattr(vector, name) <= 1 for name in TRAIT_NAMES):
                raise invalid(where, "centroid and mean traits are numbers from 0 to 1")
        if not math.isfinite(cohort.share) or not 0 <= cohort.share <= 1:
            raise invalid(f"{where}.share", f"{cohort.share:g} is not 0 to 1")
    if not math.isfinite(model.quality.inertia) or model.quality.inertia < 0:
        raise invalid(f"{field}.quality.inertia", "is a number of 0 or more")
    return model
