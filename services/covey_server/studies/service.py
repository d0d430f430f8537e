"""The services of studies of a dataset: retention, evolution, together, churn, tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from covey.v1 import (
    churn_pb2,
    churn_pb2_grpc,
    evolution_pb2,
    evolution_pb2_grpc,
    retention_pb2,
    retention_pb2_grpc,
    together_pb2,
    together_pb2_grpc,
    tuning_pb2,
    tuning_pb2_grpc,
)
from covey_server.catalogue.calls import unary
from covey_server.interventions.service import InterventionServicer
from covey_server.studies.desk import StudyDesk
from covey_server.studies.neighbours import Neighbourhoods

if TYPE_CHECKING:
    from pathlib import Path

    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets
    from covey_server.interventions.book import InterventionBook
    from covey_server.studies.process import StudyProcesses


class RetentionServicer(retention_pb2_grpc.RetentionServiceServicer):
    """The methods of covey.v1.RetentionService.

    Args:
        desk: runs the studies.
    """

    def __init__(self, desk: StudyDesk) -> None:
        self._desk = desk

    @unary
    def GetRetention(  # noqa: N802 - named by the contract
        self, request: retention_pb2.GetRetentionRequest, context: grpc.ServicerContext
    ) -> retention_pb2.GetRetentionResponse:
        """Count who of a dataset came back."""
        answer = self._desk.study("retention", request, context)
        return retention_pb2.GetRetentionResponse.FromString(answer)


class EvolutionServicer(evolution_pb2_grpc.EvolutionServiceServicer):
    """The methods of covey.v1.EvolutionService.

    Args:
        desk: runs the studies.
    """

    def __init__(self, desk: StudyDesk) -> None:
        self._desk = desk

    @unary
    def GetEvolution(  # noqa: N802 - named by the contract
        self, request: evolution_pb2.GetEvolutionRequest, context: grpc.ServicerContext
    ) -> evolution_pb2.GetEvolutionResponse:
        """Follow the learners of a dataset."""
        answer = self._desk.study("evolution", request, context)
        return evolution_pb2.GetEvolutionResponse.FromString(answer)


class TogetherServicer(together_pb2_grpc.TogetherServiceServicer):
    """The methods of covey.v1.TogetherService.

    Args:
        desk: runs the studies.
        neighbourhoods: answers about one learner.
    """

    def __init__(self, desk: StudyDesk, neighbourhoods: Neighbourhoods) -> None:
        self._desk = desk
        self._neighbourhoods = neighbourhoods

    @unary
    def FindSimilarLearners(  # noqa: N802 - named by the contract
        self, request: together_pb2.FindSimilarLearnersRequest, context: grpc.ServicerContext
    ) -> together_pb2.FindSimilarLearnersResponse:
        """The nearest learners to one."""
        return self._neighbourhoods.find(request)

    @unary
    def FormGroups(  # noqa: N802 - named by the contract
        self, request: together_pb2.FormGroupsRequest, context: grpc.ServicerContext
    ) -> together_pb2.FormGroupsResponse:
        """Study groups of a dataset's learners."""
        return together_pb2.FormGroupsResponse.FromString(self._desk.study("groups", request, context))


class ChurnServicer(churn_pb2_grpc.ChurnServiceServicer):
    """The methods of covey.v1.ChurnService.

    Args:
        desk: runs the studies.
    """

    def __init__(self, desk: StudyDesk) -> None:
        self._desk = desk

    @unary
    def ScoreChurn(  # noqa: N802 - named by the contract
        self, request: churn_pb2.ScoreChurnRequest, context: grpc.ServicerContext
    ) -> churn_pb2.ScoreChurnResponse:
        """Say who of a dataset is about to leave."""
        return churn_pb2.ScoreChurnResponse.FromString(self._desk.study("churn", request, context))


class TuningServicer(tuning_pb2_grpc.TuningServiceServicer):
    """The methods of covey.v1.TuningService.

    Args:
        desk: runs the searches: not that of the studies, which would wait for minutes.
    """

    def __init__(self, desk: StudyDesk) -> None:
        self._desk = desk

    @unary
    def TuneAnalyzer(  # noqa: N802 - named by the contract
        self, request: tuning_pb2.TuneAnalyzerRequest, context: grpc.ServicerContext
    ) -> tuning_pb2.TuneAnalyzerResponse:
        """Say what better constants would bring."""
        return tuning_pb2.TuneAnalyzerResponse.FromString(self._desk.study("tuning", request, context))


def open_studies(
    datasets: Datasets,
    catalogue: Catalogue,
    data_directory: Path,
    processes: StudyProcesses,
    interventions: InterventionBook,
) -> tuple[RetentionServicer, EvolutionServicer, TogetherServicer, ChurnServicer, TuningServicer, InterventionServicer]:
    """The services of this room.

    Args:
        datasets: whose learners.
        catalogue: of variants and cohort models.
        data_directory: where models of churn are.
        processes: run the studies.
        interventions: what is done about learners.
    """
    desk = StudyDesk(datasets, data_directory, processes)
    together = TogetherServicer(desk, Neighbourhoods(datasets, catalogue))
    tuning = TuningServicer(StudyDesk(datasets, data_directory, processes, "search for constants"))
    acting = InterventionServicer(interventions, desk)
    return RetentionServicer(desk), EvolutionServicer(desk), together, ChurnServicer(desk), tuning, acting
