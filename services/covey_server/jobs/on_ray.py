"""A discovery on Ray: the dataset's segments as Parquet files where every worker sees them (docs/engines.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covey.distributed.ray_engine import discovered
from covey.errors import InputError
from covey_server.datasets.segments import DamagedSegmentError, SegmentFile
from covey_server.datasets.view import data_loss, in_types, types_of_all
from covey_server.jobs.found import add_agreement, model_message
from covey_server.jobs.steps import clustering_step

if TYPE_CHECKING:
    from covey.v1 import cohorts_pb2
    from covey_server.jobs.order import DiscoveryRequest, RayCluster
    from covey_server.jobs.steps import Report

_ROWS_PER_ROW_GROUP = 1 << 17
# Where each step begins and how much of the whole it is; clustering goes on at a half.
_STEPS = {"looking": (0.1, 0.02), "parting": (0.12, 0.13), "starting": (0.25, 0.0), "traits": (0.25, 0.25)}


def discover_on_ray(request: DiscoveryRequest, cluster: RayCluster, report: Report) -> cohorts_pb2.CohortModel:
    """The bits of `discovery.discover`, by the workers of a cluster.

    Raises:
        CallError: the events cannot be read.
        InputError: the request does not fit them; the events cannot be written; Ray does not answer.
    """
    report("export", 0.0)
    for done, _ in enumerate(_exported(request, Path(cluster.folder)), 1):
        report("export", 0.1 * done / len(request.segments))

    def progress(what: str, done: int, total: int, unit: str) -> None:
        step = what.partition(" ")[0]
        if step in _STEPS:
            low, width = _STEPS[step]
            report(step, low + width * done / max(total, 1))
        elif unit == "":
            report(*clustering_step(what, done, total))

    with discovered(
        cluster.folder,
        as_of=request.as_of_us,
        parameters=request.trait_parameters(),
        k=request.cohort_count or "auto",
        seed=request.seed,
        trait_weights=request.trait_weights,
        address=cluster.address,
        workers=request.threads if cluster.address is None else None,
        progress=progress,
    ) as found:
        model = model_message(request, found.row_count, found.model)
        previous = request.model_to_compare_with()
        if previous is not None:
            report("agreement", 0.96)
            cohorts = found.collected()
            add_agreement(model, cohorts, previous, cohorts.traits, request)
    report("save", 0.98)
    return model


def _exported(request: DiscoveryRequest, folder: Path) -> Iterator[Path]:
    """Each segment as a file of its own, ordered by learner as it is; one at a time is in memory."""
    import pyarrow.parquet as pq

    try:
        types = types_of_all(_tables(request))
        folder.mkdir(parents=True, mode=0o700)
        for number, table in enumerate(_tables(request)):
            path = folder / f"{number:06}.parquet"
            pq.write_table(in_types(table, types), path, row_group_size=_ROWS_PER_ROW_GROUP)
            yield path
    except DamagedSegmentError as error:
        raise data_loss(request.dataset, error) from error
    except OSError as error:
        raise InputError(
            f"the events cannot be written for Ray's workers ({error.strerror or error})",
            source=str(folder),
            remedy="free space there, or name another --ray-folder that every worker sees",
        ) from error


def _tables(request: DiscoveryRequest) -> Iterator[Any]:
    # Opened anew each time: a file that stays open stays in memory where its events came in any order.
    return (SegmentFile(Path(request.folder), row).table() for row in request.segments)
