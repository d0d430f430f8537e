"""AnalyzerService as a whole: each group of methods comes from its own room."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from covey.v1 import analyzer_pb2_grpc
from covey_server.answering.learner_service import PerLearnerMethods
from covey_server.catalogue.service import CatalogueMethods
from covey_server.datasets.service import DatasetMethods
from covey_server.jobs.service import JobMethods

if TYPE_CHECKING:
    from covey_server.answering.learner_calls import LearnerCalls
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.rooms import DatasetRooms
    from covey_server.facts import ServerFacts
    from covey_server.split import SplitBoard


class AnalyzerServicer(  # type: ignore[misc] # per-learner calls have a codec of their own
    PerLearnerMethods, DatasetMethods, JobMethods, CatalogueMethods, analyzer_pb2_grpc.AnalyzerServiceServicer
):
    """The methods of covey.v1.AnalyzerService.

    Args:
        learner_calls: answers per-learner questions.
        dataset_rooms: datasets, appends, jobs and learners.
        board: the traffic split in force.
        catalogue: variants and models.
        facts: what does not change while the server lives.
        clock: the time, aware.
    """

    def __init__(
        self,
        *,
        learner_calls: LearnerCalls,
        dataset_rooms: DatasetRooms,
        board: SplitBoard,
        catalogue: Catalogue,
        facts: ServerFacts,
        clock: Callable[[], datetime],
    ) -> None:
        PerLearnerMethods.__init__(self, learner_calls, board, catalogue, facts, clock)
        self._datasets = dataset_rooms.datasets
        self._appends = dataset_rooms.appends
        self._jobs = dataset_rooms.jobs
        self._learners = dataset_rooms.learners
