"""A discovery in a process of its own: `python -m covey_server.jobs.discovery`, started by the server's job room.

A process, not a thread: it runs at low priority, can be ended at any instant, and takes nothing with it when it dies.
Standard input brings one JSON line, the request, and then stays open: its end means that the server is gone. Standard
output carries JSON lines: {"step", "progress"} on the way, and at last {"model"} (base64 of covey.v1.CohortModel) or
{"error"} for people.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from covey.errors import InputError
from covey_server.catalogue.parameters import parameters_of
from covey_server.datasets.segments import SegmentFile
from covey_server.datasets.view import events_of
from covey_server.errors import CallError
from covey_server.jobs.found import add_agreement, model_message
from covey_server.jobs.order import DiscoveryRequest
from covey_server.jobs.steps import Report, clustering_step

if TYPE_CHECKING:
    from covey.v1 import cohorts_pb2

_NICENESS = 10


def discover(request: DiscoveryRequest, report: Report) -> cohorts_pb2.CohortModel:
    """Load, compute traits, cluster, compare.

    Raises:
        CallError: the events cannot be read.
        InputError: the request does not fit them, such as more cohorts than learners; Ray does not answer.
    """
    if request.ray is not None:
        from covey_server.jobs.on_ray import discover_on_ray

        return discover_on_ray(request, request.ray, report)
    report("load", 0.0)
    events = events_of(request.dataset, [SegmentFile(Path(request.folder), row) for row in request.segments])
    report("traits", 0.3)
    traits = events.traits(request.as_of_us, request.trait_parameters(), request.engine, request.threads)

    def progress(what: str, done: int, total: int) -> None:
        report(*clustering_step(what, done, total))

    cohorts = traits.discover(
        request.cohort_count or "auto", request.seed, request.trait_weights, threads=request.threads, progress=progress
    )
    model = model_message(request, len(events), cohorts.model)
    previous = request.model_to_compare_with()
    if previous is not None:
        report("agreement", 0.96)
        parameters = parameters_of(previous.trait_parameters)
        if parameters != traits.parameters:
            traits = events.traits(request.as_of_us, parameters, request.engine, request.threads)
        add_agreement(model, cohorts, previous, traits, request)
    report("save", 0.98)
    return model


def main() -> int:
    """Serve one request; see the module's text."""
    os.nice(_NICENESS)
    request = DiscoveryRequest.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()

    def report(step: str, progress: float) -> None:
        _send({"step": step, "progress": progress})

    try:
        model = discover(request, report)
    except (CallError, InputError) as error:
        _send({"error": str(error)})
    except MemoryError:
        _send({"error": f"not enough memory for the events of {request.dataset}; run on a machine with more"})
    else:
        _send({"model": base64.b64encode(model.SerializeToString()).decode()})
    return 0


def _send(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_the_server() -> None:
    # Nothing more is sent: reading ends when the server closes the pipe, or dies.
    os.read(sys.stdin.fileno(), 1)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
