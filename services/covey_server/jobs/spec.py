"""From what a caller asks a discovery to do to what its process is told."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from covey.v1 import datasets_pb2
from covey_server.catalogue.names import checked_name
from covey_server.catalogue.parameters import checked_trait_weights, parameters_of, trait_weights_of
from covey_server.decoding import microseconds_of
from covey_server.errors import CallError, invalid
from covey_server.jobs.order import DiscoveryRequest, RayCluster

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey.v1 import variants_pb2
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets

MOST_COHORTS = 1000
Engine = datasets_pb2.DiscoverySpec.Engine


def resolved(
    spec: datasets_pb2.DiscoverySpec,
    catalogue: Catalogue,
    datasets: Datasets,
    connection: Connection,
    cluster: RayCluster | None = None,
) -> datasets_pb2.DiscoverySpec:
    """The spec, checked, with nothing left to the time at which it runs.

    Raises:
        CallError: INVALID_ARGUMENT, NOT_FOUND, or FAILED_PRECONDITION for an empty dataset and without Ray.
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
    variant = catalogue.variant(spec.variant or catalogue.stable(connection))
    complete.variant = variant.name
    if spec.HasField("as_of"):
        microseconds_of(spec.as_of, "spec.as_of")
    else:
        complete.as_of.FromMicroseconds(newest_us)
    complete.engine = spec.engine or Engine.ENGINE_PROCESS
    if complete.engine == Engine.ENGINE_RAY:
        if cluster is None:
            raise _without_ray()
        _check_ray(complete, variant, catalogue)
    elif complete.engine != Engine.ENGINE_PROCESS:
        raise invalid("spec.engine", f"{spec.engine} is no engine of this version; ENGINE_PROCESS or ENGINE_RAY")
    return complete


def _check_ray(spec: datasets_pb2.DiscoverySpec, variant: variants_pb2.Variant, catalogue: Catalogue) -> None:
    if variant.engine != "native":
        raise invalid(
            "spec.engine", f"{variant.name} computes with the {variant.engine} engine; Ray's workers are native ones"
        )
    if spec.previous_model:
        previous = catalogue.cohort_model(spec.previous_model)
        if parameters_of(previous.trait_parameters) != parameters_of(variant.trait_parameters):
            raise invalid(
                "spec.previous_model",
                f"{previous.name} was found with other trait parameters than those of {variant.name};"
                " compare with one that has the same, or run it with ENGINE_PROCESS",
            )


def _without_ray() -> CallError:
    return CallError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "this server knows no Ray: ask for ENGINE_PROCESS, or start the server with --ray-address local,"
        " or with the address of a cluster",
        reason="NO_RAY",
    )


def process_request(
    job: datasets_pb2.Job,
    catalogue: Catalogue,
    datasets: Datasets,
    threads: int,
    model_suffix: str = "",
    cluster: RayCluster | None = None,
) -> DiscoveryRequest:
    """What the process of a job is told.

    Args:
        job: queued, with its name.
        catalogue: knows the variant and the model before.
        datasets: where the events are.
        threads: of the native engine.
        model_suffix: what distinguishes this server's models from those of others.
        cluster: of Ray, with a folder of this server's own.

    Raises:
        CallError: NOT_FOUND for what was deleted since the job was queued; FAILED_PRECONDITION without the Ray of then.
    """
    on_ray = job.spec.engine == Engine.ENGINE_RAY
    if on_ray and cluster is None:
        raise _without_ray()
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
        ray=_of_job(cluster, job.name) if cluster is not None and on_ray else None,
    )


def _of_job(cluster: RayCluster, name: str) -> RayCluster:
    return RayCluster(cluster.address, str(Path(cluster.folder) / name.replace("/", "-")))
