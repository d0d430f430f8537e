"""FindSimilarLearners: the learners of a dataset as points in memory, made of its trait state, and again as it grows.

Points follow appends some seconds behind, and deletions at once: where a file of events that they were made of is gone,
they are too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

import grpc
import numpy as np

from covey.archetypes import ARCHETYPES
from covey.cohort_model import weighted_points
from covey.engine import engine_named
from covey.errors import InputError
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, TRAIT_NAMES, TraitParameters
from covey.together import Space, find_similar
from covey.together.similar import DEFAULT_COUNT, DEFAULT_FLOOR, MOST_COUNT
from covey.together.space import ARCHETYPE, COHORT, cohort_attributes
from covey.v1 import cohorts_pb2, together_pb2
from covey_server.catalogue.names import checked_learner_id, checked_name
from covey_server.catalogue.parameters import parameters_of, trait_weights_of
from covey_server.errors import CallError, invalid

if TYPE_CHECKING:
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.view import DatasetView

REFRESH_SECONDS = 5.0
_MOST_KEPT = 4


@dataclass(frozen=True, eq=False, slots=True)
class _Points:
    """A space and what it was made of."""

    space: Space
    segments: frozenset[int]
    as_of_us: int
    made_seconds: float


class Neighbourhoods:
    """Answers who is like whom.

    Args:
        datasets: whose learners.
        catalogue: of variants and cohort models.
        seconds: a monotonic clock.
    """

    def __init__(self, datasets: Datasets, catalogue: Catalogue, seconds: Callable[[], float] = time.monotonic) -> None:
        self._datasets = datasets
        self._catalogue = catalogue
        self._seconds = seconds
        self._lock = Lock()  # of the two below, held for a moment
        self._kept: dict[tuple[int, str], _Points] = {}
        self._making: dict[str, Lock] = {}  # by dataset: points of one are made while others are asked

    def find(self, request: together_pb2.FindSimilarLearnersRequest) -> together_pb2.FindSimilarLearnersResponse:
        """The nearest learners to one.

        Raises:
            CallError: INVALID_ARGUMENT; NOT_FOUND for the dataset, the model or the learner; FAILED_PRECONDITION
                where there are no events, or a filter needs a model and there is none; UNAVAILABLE while the traits
                of the dataset are being computed, RESOURCE_EXHAUSTED where the server has no memory for them.
        """
        learner_id = checked_learner_id(request.learner_id)
        if request.cohort_model:
            checked_name("cohort_model", request.cohort_model, "cohortModels")
        count = _in_range(request.count or DEFAULT_COUNT, "count")
        floor = max(DEFAULT_FLOOR, _in_range(request.floor_count or DEFAULT_FLOOR, "floor_count"))
        if not 0 <= request.max_distance <= 1:
            raise invalid("max_distance", f"{request.max_distance:g} is not 0 (any) to 1")
        view = self._datasets.view(request.dataset, "dataset")
        name = request.cohort_model or self._catalogue.variant(self._catalogue.stable()).cohort_model
        points = self._points(view.name, name)
        where, same = _filters(request, name, points.space)
        position = points.space.learner_ids.find(learner_id)
        if position is None:
            raise CallError(
                grpc.StatusCode.NOT_FOUND,
                f"{view.name} has no events of learner '{learner_id}'",
                reason="LEARNER_NOT_FOUND",
                metadata={"resource": view.name},
            )
        try:
            found = find_similar(
                points.space, [learner_id], count, where=where, same=same,
                max_distance=request.max_distance or None, floor=floor, threads=1,
            )  # fmt: skip
        except InputError as error:
            raise CallError(grpc.StatusCode.INVALID_ARGUMENT, str(error), reason="NO_SUCH_VALUE") from error
        message = together_pb2.FindSimilarLearnersResponse(
            is_withheld=bool(found.is_withheld[0]),
            floor_count=floor,
            learner_count=len(points.space),
            cohort_model=name,
        )
        message.as_of.FromMicroseconds(points.as_of_us)
        for near, far in zip(found.neighbours[0].tolist(), found.distances[0].tolist(), strict=True):
            if near >= 0:
                own = message.learners.add(learner_id=points.space.learner_ids.text(near), distance=far)
                if name:
                    own.cohort = int(points.space.attributes[COHORT].codes[near])
                    own.archetype = _archetype_of(points.space, near)
        return message

    def _points(self, dataset: str, model_name: str) -> _Points:
        with self._lock:
            making = self._making.setdefault(dataset, Lock())
        with making:  # one at a time: who waits for points finds them made
            # Looked at only now: an older look than that of whoever made the points would take appends for deletions.
            view = self._datasets.view(dataset, "dataset")
            key, now = (view.number, model_name), self._seconds()
            segments = frozenset(segment.row.number for segment in view.segments)
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and not kept.segments <= segments:
                    del self._kept[key]  # of learners who are deleted nothing is kept
                    kept = None
            if kept is None or not (kept.segments == segments or now - kept.made_seconds < REFRESH_SECONDS):
                kept = self._made(view, model_name, now)
            with self._lock:
                self._kept.pop(key, None)  # the last used comes last; the first go
                self._kept = {**dict(list(self._kept.items())[1 - _MOST_KEPT :]), key: kept}
            return kept

    def _made(self, view: DatasetView, model_name: str, now: float) -> _Points:
        if not view.segments:
            view.events()  # says that there are none
        model = self._catalogue.cohort_model(model_name) if model_name else None
        parameters = parameters_of(model.trait_parameters) if model else TraitParameters()
        states = self._datasets.states
        found = states.all_traits(view.name, parameters) if states else None
        if found is None:
            raise CallError(
                grpc.StatusCode.UNAVAILABLE,
                f"the traits of the learners of {view.name} are being computed; call again later. Where this goes on,"
                " the server has too little memory for them: raise --trait-state-megabytes, or use `covey similar`",
                reason="TRAITS_NOT_READY",
                retry_after_seconds=2.0,
            )
        traits, segments = found
        weights = trait_weights_of(model.trait_weights) if model else DEFAULT_TRAIT_WEIGHTS
        space = Space(traits.learner_ids, weighted_points(traits.matrix, weights), {})
        if model:
            space = _with_cohorts(space, model)
        return _Points(space, segments, traits.as_of_us, now)


def _with_cohorts(space: Space, model: cohorts_pb2.CohortModel) -> Space:
    centroids = np.array(
        [[getattr(cohort.centroid, name) for name in TRAIT_NAMES] for cohort in model.cohorts], dtype=np.float32
    )
    labels = engine_named("native").assign(space.points, centroids, 1)
    names = [ARCHETYPES[cohort.archetype - 1] for cohort in model.cohorts]
    return replace(space, attributes=cohort_attributes(labels, names))


def _archetype_of(space: Space, position: int) -> cohorts_pb2.Archetype.ValueType:
    return cohorts_pb2.Archetype.ValueType(ARCHETYPES.index(space.attributes[ARCHETYPE].name_of(position)) + 1)


def _in_range(value: int, field: str) -> int:
    if not 1 <= value <= MOST_COUNT:
        raise invalid(field, f"{value} is not 1 to {MOST_COUNT}")
    return value


def _filters(
    request: together_pb2.FindSimilarLearnersRequest, model: str, space: Space
) -> tuple[dict[str, str], list[str]]:
    same = [name for name, is_same in ((COHORT, request.same_cohort), (ARCHETYPE, request.same_archetype)) if is_same]
    where = {}
    if request.HasField("cohort"):
        where[COHORT] = str(request.cohort)
    if not 0 <= request.archetype <= len(ARCHETYPES):
        raise invalid("archetype", f"{request.archetype} is no archetype")
    if request.archetype:
        where[ARCHETYPE] = ARCHETYPES[request.archetype - 1]
    if (same or where) and not model:
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the stable variant has no cohort model, so that learners have no cohorts; name one in cohort_model"
            " (ListCohortModels shows them)",
            reason="NO_COHORT_MODEL",
        )
    return where, same
