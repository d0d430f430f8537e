"""What a discovery found, as the catalogue keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covey.cohort_message import cohort_model_message
from covey.parameters import TRAIT_NAMES
from covey.v1 import cohorts_pb2
from covey_server.catalogue.parameters import trait_weights_of

if TYPE_CHECKING:
    from covey.cohort_model import CohortModel
    from covey.cohorts import Cohorts
    from covey.traits import Traits
    from covey_server.jobs.order import DiscoveryRequest


def model_message(request: DiscoveryRequest, event_count: int, model: CohortModel) -> cohorts_pb2.CohortModel:
    """The model as it is stored; without `create_time`."""
    message = cohort_model_message(model, request.model)
    message.dataset = request.dataset
    message.event_count = event_count
    message.engine = request.engine
    message.as_of.FromMicroseconds(request.as_of_us)
    return message


def add_agreement(
    message: cohorts_pb2.CohortModel,
    cohorts: Cohorts,
    previous: cohorts_pb2.CohortModel,
    traits: Traits,
    request: DiscoveryRequest,
) -> None:
    """Say how far the new cohorts and those that the previous model gives the same learners agree.

    Args:
        message: gets the adjusted Rand index of both, and the previous model's name.
        cohorts: new.
        previous: a stored model.
        traits: of the same learners by the previous model's parameters.
        request: says with which engine.
    """
    import numpy as np

    from covey.agreement import adjusted_rand_index
    from covey.cohort_model import weighted_points
    from covey.engine import engine_named

    centroids = [[getattr(cohort.centroid, name) for name in TRAIT_NAMES] for cohort in previous.cohorts]
    points = weighted_points(traits.matrix, trait_weights_of(previous.trait_weights))
    labels = engine_named(request.engine).assign(points, np.array(centroids, np.float32), request.threads)
    message.quality.agreement = adjusted_rand_index(cohorts.labels, labels)
    message.quality.agreement_model = previous.name
