"""FederationService: this server's learners as a region of a federation."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import grpc

from covey.v1 import federation_pb2, federation_pb2_grpc
from covey_server.catalogue.calls import unary
from covey_server.errors import invalid
from covey_server.federation.messages import checked_run
from covey_server.federation.models import checked_model

if TYPE_CHECKING:
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.federation.audit import AnswerLog
    from covey_server.federation.desk import RegionDesk

_PAGE_SIZE, _MOST_ON_A_PAGE = 100, 1000


class FederationServicer(federation_pb2_grpc.FederationServiceServicer):
    """The methods of covey.v1.FederationService.

    Args:
        desk: the runs at work.
        log: what was answered.
        catalogue: keeps models.
    """

    def __init__(self, desk: RegionDesk, log: AnswerLog, catalogue: Catalogue) -> None:
        self._desk = desk
        self._log = log
        self._catalogue = catalogue

    @unary
    def OpenRegion(  # noqa: N802 - named by the contract
        self, request: federation_pb2.OpenRegionRequest, context: grpc.ServicerContext
    ) -> federation_pb2.OpenRegionResponse:
        """Take part in a run."""
        return federation_pb2.OpenRegionResponse(public_key=self._desk.open(request))

    @unary
    def JoinRegion(  # noqa: N802 - named by the contract
        self, request: federation_pb2.JoinRegionRequest, context: grpc.ServicerContext
    ) -> federation_pb2.JoinRegionResponse:
        """Agree on masks."""
        self._desk.join(request)
        return federation_pb2.JoinRegionResponse()

    @unary
    def AskRegion(  # noqa: N802 - named by the contract
        self, request: federation_pb2.AskRegionRequest, context: grpc.ServicerContext
    ) -> federation_pb2.AskRegionResponse:
        """Answer one question."""
        return federation_pb2.AskRegionResponse(masked_numbers=self._desk.ask(request))

    @unary
    def CloseRegion(  # noqa: N802 - named by the contract
        self, request: federation_pb2.CloseRegionRequest, context: grpc.ServicerContext
    ) -> federation_pb2.CloseRegionResponse:
        """End a run and keep its model."""
        checked_run(request.run)
        if request.HasField("cohort_model"):
            self._catalogue.add_cohort_model(checked_model(request.cohort_model))
        self._desk.close(request.run)
        return federation_pb2.CloseRegionResponse()

    @unary
    def ListRegionAnswers(  # noqa: N802 - named by the contract
        self, request: federation_pb2.ListRegionAnswersRequest, context: grpc.ServicerContext
    ) -> federation_pb2.ListRegionAnswersResponse:
        """What left this region."""
        if request.run:
            checked_run(request.run)
        size = request.page_size or _PAGE_SIZE
        if not 1 <= size <= _MOST_ON_A_PAGE:
            raise invalid("page_size", f"{size} is not 1 to {_MOST_ON_A_PAGE}")
        if request.page_token and not (request.page_token.isascii() and request.page_token.isdigit()):
            raise invalid("page_token", "is not one that this method gave")
        # Counted from the oldest: what is answered meanwhile moves no page.
        answers = list(self._log.newest(request.run))
        end = int(request.page_token or len(answers))
        first = max(0, len(answers) - end)
        page = list(itertools.islice(answers, first, first + size))
        rest = len(answers) - first - len(page)
        return federation_pb2.ListRegionAnswersResponse(answers=page, next_page_token=str(rest) if rest > 0 else "")
