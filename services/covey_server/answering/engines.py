"""Variants at work: an engine, its trait parameters and its cohort model, answering for one learner at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
from numpy.typing import NDArray

from covey.engine import Engine, engine_named
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES, TraitParameters
from covey.v1 import traits_pb2
from covey_server.answering.online import online_analyzer
from covey_server.catalogue.parameters import parameters_of, trait_weights_of
from covey_server.decoding import EventColumns
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey import _core
    from covey.traits import Traits
    from covey.v1 import cohorts_pb2, variants_pb2
    from covey_server.catalogue.catalogue import Catalogue

# Engines written in Python answer one after the other: side by side they would be no faster, for they share one
# interpreter, and whatever else needs it (reading calls, refusing them, the control port) would wait for each in turn.
_PYTHON_TURN = threading.Lock()
_TIE = 1e-6
_LARGEST_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a variant found about one learner.

    Attributes:
        traits: the message of the answer.
        model: the cohort model that was asked; None where the variant has none.
        cohort_index: position of the nearest cohort in the model; -1 without a model.
        squared_distances: float32 (k,) to the centroids; empty without a model.
    """

    traits: traits_pb2.Traits
    model: cohorts_pb2.CohortModel | None
    cohort_index: int
    squared_distances: NDArray[np.float32]

    @property
    def cohort(self) -> cohorts_pb2.Cohort | None:
        """The learner's cohort; None without a model."""
        return None if self.model is None else self.model.cohorts[self.cohort_index]


class AnalyzerEngine:
    """An engine with its parameters and, where it has one, its cohort model. Safe to use from many threads.

    Args:
        engine: "native" or "reference".
        parameters: of the trait definitions.
        model: whose centroids define the cohorts.
        variant: name of the variant, for answers.

    Attributes:
        parameters: of the trait definitions.
        online: answers plain questions with the same bits; None for an engine that has no such form.
    """

    online: _core.OnlineAnalyzer | None

    def __init__(
        self, engine: str, parameters: TraitParameters, model: cohorts_pb2.CohortModel | None = None, variant: str = ""
    ) -> None:
        self._engine: Engine = engine_named(engine)
        self._turn = nullcontext() if engine == "native" else _PYTHON_TURN
        self.parameters = parameters
        self._model = model if model is not None and model.cohorts else None
        self._scale = np.ones(len(TRAIT_NAMES), np.float32)
        self._centroids = np.zeros((0, len(TRAIT_NAMES)), np.float32)
        if self._model is not None:
            self._scale = np.sqrt(np.array(trait_weights_of(self._model.trait_weights))).astype(np.float32)
            self._centroids = np.array(
                [[getattr(cohort.centroid, name) for name in TRAIT_NAMES] for cohort in self._model.cohorts],
                dtype=np.float32,
            )
        self.online = None
        if engine == "native":
            self.online = online_analyzer(variant, parameters, self._model, self._scale, self._centroids)

    def analyze(self, events: EventColumns, as_of_us: int) -> Analysis:
        """Traits at `as_of_us` and the nearest cohort.

        Raises:
            CallError: FAILED_PRECONDITION where there is no event at or before `as_of_us`.
        """
        columns = {
            "learner_index": np.zeros(events.row_count, np.int32),
            "learner_count": 1,
            "time": events.time_us,
            "domain_index": events.domain.index,
            "domain_count": len(events.domain.names),
            "capability_index": events.capability.index,
            "capability_count": len(events.capability.names),
            "kind": events.kind,
            "action_taken": events.action_taken,
            "weight": events.weight,
            "as_of_us": as_of_us,
        }
        with self._turn:
            found = self._engine.compute_traits(columns, self.parameters, 1)
        if not found["event_count"][0]:
            raise no_events(events.row_count, as_of_us)
        return self._analysis(found, as_of_us, int(found["ignored_event_count"]))

    def analysis_of(self, traits: Traits) -> Analysis:
        """The analysis that found the traits of one learner."""
        found = {name: traits[name] for name in TRAIT_NAMES + FURTHER_NAMES}
        return self._analysis(found, traits.as_of_us, traits.ignored_event_count)

    def _analysis(self, found: Mapping[str, Any], as_of_us: int, ignored_event_count: int) -> Analysis:
        traits = traits_pb2.Traits(
            learning_velocity=found["learning_velocity"][0],
            domain_affinity=found["domain_affinity"][0],
            interaction_frequency=found["interaction_frequency"][0],
            feedback_responsiveness=found["feedback_responsiveness"][0],
            retention_strength=found["retention_strength"][0],
            event_count=min(int(found["event_count"][0]), _LARGEST_INT32),
            active_days_count=int(found["active_days"][0]),
            tenure_days=float(found["tenure_days"][0]),
            recency_days=float(found["recency_days"][0]),
            domain_entropy=found["domain_entropy"][0],
            momentum=found["momentum"][0],
            ignored_event_count=min(ignored_event_count, _LARGEST_INT32),
        )
        traits.as_of.FromMicroseconds(as_of_us)
        return self.with_cohort(traits)

    def with_cohort(self, traits: traits_pb2.Traits) -> Analysis:
        """The analysis that found these traits."""
        if self._model is None:
            return Analysis(traits, None, -1, np.zeros(0, np.float32))
        values = np.array([getattr(traits, name) for name in TRAIT_NAMES], dtype=np.float32)
        difference = values * self._scale - self._centroids
        terms = difference * difference
        # Summed one trait after the other in float32, as both engines do: the label has the bits of a discovery's.
        distances = terms[:, 0]
        for trait in range(1, len(TRAIT_NAMES)):
            distances = distances + terms[:, trait]
        return Analysis(traits, self._model, int(distances.argmin()), distances)


class Engines:
    """The engine of each variant, made when it is first asked for; variants are immutable, so it is kept."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._engines: dict[str, AnalyzerEngine] = {}

    def of(self, variant_name: str) -> AnalyzerEngine:
        """The engine of a variant.

        Raises:
            CallError: NOT_FOUND where there is no such variant.
        """
        found = self._engines.get(variant_name)
        if found is None:
            variant = self._catalogue.variant(variant_name)
            found = self._engines[variant_name] = self._made(variant)
        return found

    def _made(self, variant: variants_pb2.Variant) -> AnalyzerEngine:
        model = self._catalogue.cohort_model(variant.cohort_model) if variant.cohort_model else None
        return AnalyzerEngine(variant.engine, parameters_of(variant.trait_parameters), model, variant.name)


def same_result(one: Analysis, other: Analysis) -> bool:
    """Whether two variants agree: traits to 1e-6, and the cohort where both were asked of the same model.

    A learner whose two cohorts lie equally near (distances within 1e-6) may be in either.
    """
    for name in TRAIT_NAMES:
        if abs(getattr(one.traits, name) - getattr(other.traits, name)) > _TIE:
            return False
    if one.traits.event_count != other.traits.event_count:
        return False
    if one.model is None or other.model is None:
        return one.model is other.model
    if one.model.name != other.model.name or one.cohort_index == other.cohort_index:
        return True
    distances = np.sqrt(one.squared_distances[[one.cohort_index, other.cohort_index]].astype(np.float64))
    return bool(abs(distances[0] - distances[1]) < _TIE)


def no_events(row_count: int, as_of_us: int) -> CallError:
    """FAILED_PRECONDITION of a history that has not begun at `as_of_us`."""
    moment = np.datetime64(as_of_us, "us")
    found = f"all {row_count} events are later than as_of" if row_count else "the history is empty"
    return CallError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"no events at or before {moment}Z: {found}; send events or set as_of to a later time",
        reason="NO_EVENTS",
    )
