"""Questions of the wire as the library's, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.federation.discovery import MOST_COHORTS
from covey.federation.questions import Asked, StepSizes, StepSums
from covey.federation.region import MINIMUM_GROUP_SIZE
from covey.parameters import TRAIT_NAMES
from covey.parts.questions import Conclude, CountLearners, LloydStep, SquareDeviations
from covey_server.errors import invalid

if TYPE_CHECKING:
    from covey.v1 import federation_pb2

_RUN = re.compile(r"[A-Za-z0-9-]{8,64}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_LARGEST_COUNT = 2**31 - 1


def checked_run(run: str) -> str:
    """The id of a run.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    if not _RUN.fullmatch(run):
        raise invalid("run", "expected 8 to 64 letters, digits and '-'")
    return run


def checked_region(region: str, field: str = "region") -> str:
    """The name of a region.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    if not _REGION.fullmatch(region):
        raise invalid(field, "expected 1 to 63 letters, digits and '-'")
    return region


def minimum_of(request: federation_pb2.OpenRegionRequest) -> int:
    """Learners that a sum is about at the least.

    Raises:
        CallError: INVALID_ARGUMENT for fewer than any region tells of.
    """
    given = request.minimum_group_size or MINIMUM_GROUP_SIZE
    if given < MINIMUM_GROUP_SIZE:
        raise invalid("minimum_group_size", f"{given} is below {MINIMUM_GROUP_SIZE}, which this region keeps")
    return given


def question_of(request: federation_pb2.AskRegionRequest) -> Asked:
    """What is asked.

    Raises:
        CallError: INVALID_ARGUMENT that names the field.
    """
    if not 1 <= request.number <= _LARGEST_COUNT:
        raise invalid("number", f"{request.number} is not 1 to {_LARGEST_COUNT}")
    match request.WhichOneof("question"):
        case "count":
            return CountLearners()
        case "sizes":
            return StepSizes(_step(request.sizes, "sizes"))
        case "sums":
            step = _step(request.sums.step, "sums.step")
            kept = np.array(request.sums.kept, np.bool_)
            if len(kept) != len(step.centroids):
                raise invalid("sums.kept", f"has {len(kept)} values for {len(step.centroids)} centroids")
            return StepSums(step, kept)
        case "conclusion":
            return _conclude(request.conclusion)
        case "deviations":
            means = tuple(request.deviations.means)
            if len(means) != len(TRAIT_NAMES) or not all(0 <= mean <= 1 for mean in means):
                raise invalid("deviations.means", f"expected {len(TRAIT_NAMES)} numbers from 0 to 1")
            return SquareDeviations(means)
    raise invalid("question", "one of count, sizes, sums, conclusion and deviations is required")


def _step(message: federation_pb2.RegionStep, field: str) -> LloydStep:
    centroids = _centroids(message.centroids, f"{field}.centroids")
    before = _centroids(message.before, f"{field}.before") if message.before else None
    if before is not None and before.shape != centroids.shape:
        raise invalid(f"{field}.before", f"has {len(before)} centroids, and there are {len(centroids)}")
    return LloydStep(before, centroids)


def _conclude(message: federation_pb2.RegionConclusion) -> Conclude:
    centroids = _centroids(message.centroids, "conclusion.centroids")
    labels = np.array(message.new_labels, np.int32)
    kept = np.sort(labels[labels >= 0])
    if len(labels) != len(centroids) or labels.min() < -1 or not np.array_equal(kept, np.arange(len(kept))):
        raise invalid("conclusion.new_labels", "expected one for each centroid: -1, or 0, 1, 2 ... each once")
    if not len(kept):
        raise invalid("conclusion.new_labels", "leaves no cohort")
    return Conclude(centroids, labels)


def _centroids(values: Sequence[float], field: str) -> NDArray[np.float32]:
    found = np.array(values, np.float32)
    count, rest = divmod(len(found), len(TRAIT_NAMES))
    if rest or not 1 <= count <= MOST_COHORTS:
        raise invalid(field, f"expected 1 to {MOST_COHORTS} times {len(TRAIT_NAMES)} numbers, found {len(found)}")
    if not ((found >= 0) & (found <= 1)).all():
        raise invalid(field, "expected numbers from 0 to 1")
    return found.reshape(count, len(TRAIT_NAMES))
