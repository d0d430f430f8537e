"""From what a caller asks a discovery to do to what its process is told."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import grpc

from covey.v1 import datasets_pb2
from covey_server.catalogue.names import checked_name
from covey_server.catalogue.parameters import checked_trait_weights, trait_weights_of
from covey_server.decoding import microseconds_of
from covey_server.errors import CallError, invalid
from covey_server.jobs.discovery import DiscoveryRequest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets

MOST_COHORTS = 1000


def resolved(
    spec: datasets_pb2.DiscoverySpec, catalogue: Catalogue, datasets: Datasets, connection: Connection
) -> datasets_pb2.DiscoverySpec:
    """The spec, checked, with nothing left to the time at which it runs.

    Raises:
        CallError: INVALID_ARGUMENT, NOT_FOUND, or FAILED_PRECONDITION for an empty dataset.
    """
    view = datasets.view(spec.dataset, "spec.dataset")
    if not 0 <= spec.cohort_count <= MOST_COHORTS:
        raise invalid("spec.cohort_count", f"{spec.cohort_count}; it is 0 (chosen by silhouette) to {MOST_COHORTS}")
    if spec.seed < 0:
        raise invalid("spec.seed", f"{spec.seed} is negative")
    if spec.variant:
        checked_name("spec.variant", spec.variant, "variants")
    if spec.previous_model:
        checked_name("spec.previous_model", spec.previous_model, "cohortModels")
        catalogue.cohort_model(spec.previous_model)
    if spec.HasField("trait_weights"):
        checked_trait_weights(spec.trait_weights, "spec.trait_weights")
    newest_us = view.newest_us
    if newest_us is None:
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{view.name} holds no events; append some first",
            reason="NO_EVENTS",
            metadata={"resource": view.name},
        )
    complete = datasets_pb2.DiscoverySpec()
    complete.CopyFrom(spec)
    complete.variant = catalogue.variant(spec.variant or catalogue.stable(connection)).name
    if spec.HasField("as_of"):
        microseconds_of(spec.as_of, "spec.as_of")
    else:
        complete.as_of.FromMicroseconds(newest_us)
    return complete


def process_request(
    job: datasets_pb2.Job, catalogue: Catalogue, datasets: Datasets, threads: int, model_suffix: str = ""
) -> DiscoveryRequest:
    """What the process of a job is told.

    Args:
        job: queued, with its name.
        catalogue: knows the variant and the model before.
        datasets: where the events are.
        threads: of the native engine.
        model_suffix: what distinguishes this server's models from those of others.

    Raises:
        CallError: NOT_FOUND for what was deleted since the job was queued.
    """
    variant = catalogue.variant(job.spec.variant)
    view = datasets.view(job.spec.dataset)
    previous = catalogue.cohort_model(job.spec.previous_model) if job.spec.previous_model else None
    return DiscoveryRequest(
        model=f"cohortModels/{job.name.removeprefix('jobs/')}{model_suffix}",
        dataset=view.name,
        folder=str(datasets.folder(view.name)),
        segments=tuple(segment.row for segment in view.segments),
        engine="native" if variant.engine == "native" else "reference",
        parameters=base64.b64encode(variant.trait_parameters.SerializeToString()).decode(),
        as_of_us=microseconds_of(job.spec.as_of, "as_of"),
        cohort_count=job.spec.cohort_count,
        seed=job.spec.seed,
        threads=threads,
        previous_model=base64.b64encode(previous.SerializeToString()).decode() if previous else "",
        trait_weights=trait_weights_of(job.spec.trait_weights) if job.spec.HasField("trait_weights") else None,
    )
