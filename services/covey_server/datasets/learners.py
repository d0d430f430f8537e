"""What is known of one learner of a dataset, and how to forget them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np

from covey.v1 import analyzer_pb2
from covey_server.answering.engines import AnalyzerEngine
from covey_server.catalogue.names import checked_learner_id, checked_name
from covey_server.catalogue.parameters import parameters_of
from covey_server.datasets.segments import DamagedSegmentError, WrittenSegment, write_segment
from covey_server.datasets.tables import delete_segment
from covey_server.datasets.view import data_loss
from covey_server.decoding import microseconds_of
from covey_server.errors import CallError
from covey_server.store import check_request_id, commit_once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.segments import SegmentFile
    from covey_server.datasets.view import DatasetView
    from covey_server.interventions.book import InterventionBook
    from covey_server.outcomes.exposures import ExposureLedger
    from covey_server.outcomes.outcomes import OutcomeBook
    from covey_server.store import Store

ENGINES_KEPT = 16
"""Engines of the models that were asked for last; making one anew costs a fraction of a millisecond."""

_Rewrite = tuple["DatasetView", "SegmentFile", WrittenSegment | None, int]


class Learners:
    """Looks a learner's cohort up, and removes a learner from everything that is stored.

    Args:
        store: an open store whose tables exist.
        catalogue: of variants and cohort models.
        datasets: their events.
        ledger: their exposures.
        outcomes: what they did afterwards.
        clock: the time, aware.
        interventions: what was planned for them; None: nothing is.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        datasets: Datasets,
        ledger: ExposureLedger,
        outcomes: OutcomeBook,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        interventions: InterventionBook | None = None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._datasets = datasets
        self._ledger = ledger
        self._outcomes = outcomes
        self._clock = clock
        self._interventions = interventions
        self._engines: dict[str, AnalyzerEngine] = {}

    def cohort(self, request: analyzer_pb2.GetLearnerCohortRequest) -> analyzer_pb2.GetLearnerCohortResponse:
        """The cohort of a learner of a dataset by the parameters of the cohort model, all acknowledged events counted.

        Answered from the dataset's trait state where that is ready, else from the learner's events by the model's
        engine: the same to 1e-6.

        Raises:
            CallError: NOT_FOUND for the learner, the dataset or the model; FAILED_PRECONDITION where the stable variant
                has no model, or as_of is before the dataset's newest event; DATA_LOSS for a damaged file.
        """
        learner_id = checked_learner_id(request.learner_id)
        if request.cohort_model:
            checked_name("cohort_model", request.cohort_model, "cohortModels")
        engine = self._engine(request.cohort_model or self._stable_model())
        as_of_us = microseconds_of(request.as_of, "as_of") if request.HasField("as_of") else None
        newest_us = self._datasets.view(request.dataset, "dataset").newest_us
        if as_of_us is not None and newest_us is not None and as_of_us < newest_us:
            raise _before_the_newest(request.dataset, as_of_us, newest_us)
        states = self._datasets.states
        found = states.learner_traits(request.dataset, learner_id, as_of_us, engine.parameters) if states else None
        if found is not None:
            analysis = engine.analysis_of(found)
        else:
            events, newest_us = self._datasets.learner_history(request.dataset, learner_id)
            analysis = engine.analyze(events, newest_us if as_of_us is None else max(as_of_us, newest_us))
        assert analysis.model is not None
        return analyzer_pb2.GetLearnerCohortResponse(
            learner_id=learner_id, traits=analysis.traits, cohort=analysis.cohort, cohort_model=analysis.model.name
        )

    def delete(self, request: analyzer_pb2.DeleteLearnerRequest) -> analyzer_pb2.DeleteLearnerResponse:
        """Remove a learner's events from every dataset, exposures, outcomes and interventions, all in one commit.

        Raises:
            CallError: INVALID_ARGUMENT; DATA_LOSS for a damaged file, UNAVAILABLE where the disk cannot be written
                (nothing is removed then).
        """
        learner_id = checked_learner_id(request.learner_id)
        check_request_id(request.request_id)
        with self._datasets.rewriting, self._ledger.settled():
            rewrites = self._rewritten(learner_id)
            done: list[bool] = []

            def run(connection: Connection) -> bytes:
                done.append(True)
                return self._commit(connection, learner_id, rewrites).SerializeToString()

            try:
                payload = commit_once(self._store, request, run, self._clock())
            except CallError:
                _remove(new.path for _, _, new, _ in rewrites if new)
                raise
            if done:
                self._ledger.forget_remembered(learner_id)
                self._outcomes.forget_remembered(learner_id)
                self._datasets.remove_files([old.path for _, old, _, _ in rewrites])
            else:
                _remove(new.path for _, _, new, _ in rewrites if new)
        return analyzer_pb2.DeleteLearnerResponse.FromString(payload)

    def _rewritten(self, learner_id: str) -> list[_Rewrite]:
        """(dataset, old file, new file or None, removed events) of every file that holds the learner."""
        rewrites: list[_Rewrite] = []
        for view in self._datasets.views():
            for segment in view.segments:
                try:
                    rows = segment.rows_of(learner_id)
                    if rows.stop > rows.start:
                        rest = segment.without(rows)
                        new = write_segment(segment.path.parent, rest) if rest else None
                        rewrites.append((view, segment, new, rows.stop - rows.start))
                except (DamagedSegmentError, OSError) as error:
                    if not self._datasets.has(view):
                        break  # deleted meanwhile, and the learner's events with it
                    _remove(new.path for _, _, new, _ in rewrites if new)
                    if isinstance(error, DamagedSegmentError):
                        raise data_loss(view.name, error) from error
                    _remove(new.path for _, _, new, _ in rewrites if new)
                    raise CallError(
                        grpc.StatusCode.UNAVAILABLE,
                        f"{view.name} cannot be written without the learner ({error}); nothing was removed. See to the"
                        " server's data directory, then retry with the same request_id",
                        reason="STORAGE_FAILED",
                        retry_after_seconds=5.0,
                    ) from error
        return rewrites

    def _commit(
        self, connection: Connection, learner_id: str, rewrites: list[_Rewrite]
    ) -> analyzer_pb2.DeleteLearnerResponse:
        event_count = 0
        for view, old, new, removed in rewrites:
            # Gone with its dataset meanwhile: then the new file has no place either, and the next start removes it.
            if not delete_segment(connection, old.row.number):
                continue
            row = old.row
            rows = (new.row(row.append_id, row.first_chunk, row.last_chunk),) if new else ()
            self._datasets.replace_segments(connection, view, (old,), rows, forgotten=learner_id)
            event_count += removed
        return analyzer_pb2.DeleteLearnerResponse(
            event_count=event_count,
            exposure_count=self._ledger.forget_stored(connection, learner_id),
            outcome_count=self._outcomes.forget_stored(connection, learner_id),
            intervention_count=self._interventions.forget_stored(connection, learner_id) if self._interventions else 0,
        )

    def _stable_model(self) -> str:
        stable = self._catalogue.stable()
        model = self._catalogue.variant(stable).cohort_model
        if not model:
            raise CallError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the stable variant {stable} has no cohort model; name one in cohort_model (ListCohortModels shows"
                " them), or roll out a variant that has one",
                reason="NO_COHORT_MODEL",
                metadata={"resource": stable},
            )
        return model

    def _engine(self, model_name: str) -> AnalyzerEngine:
        model = self._catalogue.cohort_model(model_name)
        engine = self._engines.get(model_name)
        if engine is None:
            engine = AnalyzerEngine(model.engine, parameters_of(model.trait_parameters), model)
            # Replaced, never changed: readers take no lock. The oldest go, as models come and go for ever.
            self._engines = {**dict(list(self._engines.items())[1 - ENGINES_KEPT :]), model_name: engine}
        return engine


def _before_the_newest(dataset: str, as_of_us: int, newest_us: int) -> CallError:
    return CallError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"as_of {np.datetime64(as_of_us, 'us')}Z is before the newest event of {dataset}"
        f" ({np.datetime64(newest_us, 'us')}Z), and what is kept of learners reaches no further back; analyse the"
        " dataset instead: AnalyzeLearner or DiscoverCohorts with this dataset and as_of",
        reason="AS_OF_BEFORE_NEWEST_EVENT",
        metadata={"resource": dataset},
    )


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
