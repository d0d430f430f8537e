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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covey.cohort_message import cohort_model_message
from covey.errors import InputError
from covey.parameters import TRAIT_NAMES, TraitParameters
from covey.v1 import cohorts_pb2, traits_pb2
from covey_server.catalogue.parameters import parameters_of, trait_weights_of
from covey_server.datasets.segments import SegmentFile
from covey_server.datasets.tables import SegmentRow
from covey_server.datasets.view import events_of
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey.cohorts import Cohorts
    from covey.engine import EngineName
    from covey.events import Events
    from covey.traits import Traits

_NICENESS = 10
Report = Callable[[str, float], None]
"""Called as report(step, progress from 0 to 1)."""


@dataclass(frozen=True, slots=True)
class DiscoveryRequest:
    """What to discover, ready for another process.

    Attributes:
        model: name of the cohort model to make.
        dataset: name of the dataset.
        folder: of its files.
        segments: its manifest.
        engine: "native" or "reference".
        parameters: of the trait definitions, as base64 of covey.v1.TraitParameters.
        as_of_us: microseconds since the epoch.
        cohort_count: 0: chosen by silhouette.
        seed: of the k-means++ seeding.
        threads: at most so many.
        previous_model: base64 of the covey.v1.CohortModel to compare with; "" for none.
        trait_weights: five with sum 1; None for the default.
    """

    model: str
    dataset: str
    folder: str
    segments: tuple[SegmentRow, ...]
    engine: EngineName
    parameters: str
    as_of_us: int
    cohort_count: int
    seed: int
    threads: int
    previous_model: str
    trait_weights: tuple[float, ...] | None = None

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DiscoveryRequest:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        fields["segments"] = tuple(SegmentRow(**segment) for segment in fields["segments"])
        return cls(**fields)


def discover(request: DiscoveryRequest, report: Report) -> cohorts_pb2.CohortModel:
    """Load, compute traits, cluster, compare.

    Raises:
        CallError: the events cannot be read.
        InputError: the request does not fit them, such as more cohorts than learners.
    """
    report("load", 0.0)
    events = events_of(request.dataset, [SegmentFile(Path(request.folder), row) for row in request.segments])
    report("traits", 0.3)
    parameters = parameters_of(_message(traits_pb2.TraitParameters, request.parameters))
    traits = events.traits(request.as_of_us, parameters, request.engine, request.threads)

    def progress(what: str, done: int, total: int) -> None:
        is_choice = "silhouette" in what
        low, width = (0.5, 0.3) if is_choice else (0.8, 0.15)
        report("silhouette" if is_choice else "k-means", low + width * done / max(total, 1))

    cohorts = traits.discover(
        request.cohort_count or "auto", request.seed, request.trait_weights, threads=request.threads, progress=progress
    )
    model = model_message(request, len(events), cohorts)
    if request.previous_model:
        report("agreement", 0.95)
        previous = _message(cohorts_pb2.CohortModel, request.previous_model)
        model.quality.agreement = _agreement(events, traits, cohorts, previous, request)
        model.quality.agreement_model = previous.name
    report("save", 0.98)
    return model


def model_message(request: DiscoveryRequest, event_count: int, cohorts: Cohorts) -> cohorts_pb2.CohortModel:
    """The model as it is stored; without `create_time`."""
    message = cohort_model_message(cohorts.model, request.model)
    message.dataset = request.dataset
    message.event_count = event_count
    message.engine = request.engine
    message.as_of.FromMicroseconds(request.as_of_us)
    return message


def _agreement(
    events: Events, traits: Traits, cohorts: Cohorts, previous: cohorts_pb2.CohortModel, request: DiscoveryRequest
) -> float:
    """Adjusted Rand index of the new cohorts and those that the previous model gives the same learners."""
    import numpy as np

    from covey.agreement import adjusted_rand_index
    from covey.cohort_model import weighted_points
    from covey.engine import engine_named

    parameters: TraitParameters = parameters_of(previous.trait_parameters)
    if parameters != traits.parameters:
        traits = events.traits(request.as_of_us, parameters, request.engine, request.threads)
    centroids = [[getattr(cohort.centroid, name) for name in TRAIT_NAMES] for cohort in previous.cohorts]
    points = weighted_points(traits.matrix, trait_weights_of(previous.trait_weights))
    labels = engine_named(request.engine).assign(points, np.array(centroids, np.float32), request.threads)
    return adjusted_rand_index(cohorts.labels, labels)


def _message(kind: Any, text: str) -> Any:
    return kind.FromString(base64.b64decode(text))


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
