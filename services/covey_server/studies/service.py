"""RetentionService and EvolutionService: what a dataset says of its learners together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from covey.v1 import evolution_pb2, evolution_pb2_grpc, retention_pb2, retention_pb2_grpc
from covey_server.catalogue.calls import unary

if TYPE_CHECKING:
    from covey_server.studies.desk import StudyDesk


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
