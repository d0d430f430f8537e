"""OutcomeService: what learners did after an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from covey.v1 import outcomes_pb2, outcomes_pb2_grpc
from covey_server.catalogue.calls import unary

if TYPE_CHECKING:
    from covey_server.outcomes.outcomes import OutcomeBook


class OutcomeServicer(outcomes_pb2_grpc.OutcomeServiceServicer):
    """The methods of covey.v1.OutcomeService.

    Args:
        book: stores and credits outcomes.
    """

    def __init__(self, book: OutcomeBook) -> None:
        self._book = book

    @unary
    def ReportOutcomes(  # noqa: N802 - named by the contract
        self, request: outcomes_pb2.ReportOutcomesRequest, context: grpc.ServicerContext
    ) -> outcomes_pb2.ReportOutcomesResponse:
        """Store a batch; an acknowledged batch is synced."""
        return self._book.report(request)
