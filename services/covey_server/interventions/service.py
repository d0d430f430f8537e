"""InterventionService: plans, what waits to be done, and whether it helped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import grpc

from covey.interventions.outbox import DEFAULT_QUIET_DAYS
from covey.interventions.playbook import NAME
from covey.v1 import churn_pb2, interventions_pb2, interventions_pb2_grpc
from covey_server.catalogue.calls import unary
from covey_server.catalogue.names import page_size_of, page_start_of, page_token_after
from covey_server.errors import invalid
from covey_server.interventions.messages import STATES, action_message, candidates_of, given_candidates, playbook_of
from covey_server.store import check_request_id

if TYPE_CHECKING:
    from covey.interventions import Candidates
    from covey_server.interventions.book import InterventionBook
    from covey_server.studies.desk import StudyDesk

_MOST_KEYS = 10_000
_NUMBER = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[0-9a-f]{32}")
_LONGEST_QUIET_DAYS = 3_650


class InterventionServicer(interventions_pb2_grpc.InterventionServiceServicer):
    """The methods of covey.v1.InterventionService.

    Args:
        book: enrolments and actions.
        desk: scores datasets and reads who came back.
    """

    def __init__(self, book: InterventionBook, desk: StudyDesk) -> None:
        self._book = book
        self._desk = desk

    @unary
    def PlanInterventions(  # noqa: N802 - named by the contract
        self, request: interventions_pb2.PlanInterventionsRequest, context: grpc.ServicerContext
    ) -> interventions_pb2.PlanInterventionsResponse:
        """Choose learners, hold some out, write the actions down once."""
        check_request_id(request.request_id)
        playbook = playbook_of(request.playbook)
        quiet_days = request.quiet_days if request.HasField("quiet_days") else DEFAULT_QUIET_DAYS
        if not 0 <= quiet_days <= _LONGEST_QUIET_DAYS:
            raise invalid("quiet_days", f"{quiet_days} is not 0 to {_LONGEST_QUIET_DAYS}")
        source = request.WhichOneof("source")
        if source is None:
            raise invalid("source", "give scores, or churn: what is to be scored here")
        if source == "scores":
            candidates = given_candidates(request.scores)
        else:
            known = self._book.remembered(request)
            if known is not None:  # it is not scored again for an answer that is there
                return known
            candidates = self._scored(request.churn, playbook.min_probability, context)
        return self._book.plan(request, playbook, candidates, quiet_days)

    @unary
    def ListInterventionActions(  # noqa: N802 - named by the contract
        self, request: interventions_pb2.ListInterventionActionsRequest, context: grpc.ServicerContext
    ) -> interventions_pb2.ListInterventionActionsResponse:
        """Actions in one state."""
        if request.state not in STATES:
            raise invalid("state", f"{request.state} is no state")
        if request.playbook and not NAME.fullmatch(request.playbook):
            raise invalid("playbook", "no name of a playbook; expected letters, digits, . _ and -, at most 100")
        start = page_start_of(request) or "0"
        if not _NUMBER.fullmatch(start):
            raise invalid("page_token", "not a token of this list; use next_page_token of the answer before")
        size, state = page_size_of(request), STATES[request.state]
        rows = self._book.page(state, request.playbook, int(start), size)
        return interventions_pb2.ListInterventionActionsResponse(
            actions=[action_message(row, state) for row in rows[:size]],
            next_page_token=page_token_after(str(rows[size - 1].number)) if len(rows) > size else "",
        )

    @unary
    def AdvanceInterventionActions(  # noqa: N802 - named by the contract
        self, request: interventions_pb2.AdvanceInterventionActionsRequest, context: grpc.ServicerContext
    ) -> interventions_pb2.AdvanceInterventionActionsResponse:
        """Note what was done, or is given up."""
        if len(request.done_keys) + len(request.given_up_keys) > _MOST_KEYS:
            raise invalid("done_keys", f"more than {_MOST_KEYS:,} keys; send them in parts")
        done, given_up = self._book.advance(
            *([key for key in keys if _KEY.fullmatch(key)] for keys in (request.done_keys, request.given_up_keys))
        )
        return interventions_pb2.AdvanceInterventionActionsResponse(done_count=done, given_up_count=given_up)

    @unary
    def ReportInterventionEffect(  # noqa: N802 - named by the contract
        self, request: interventions_pb2.ReportInterventionEffectRequest, context: grpc.ServicerContext
    ) -> interventions_pb2.ReportInterventionEffectResponse:
        """Compare those held out with those treated."""
        if not 0 <= request.alpha < 1:
            raise invalid("alpha", f"{request.alpha:g} is not 0 to below 1")
        rows = self._book.enrolments(playbook_of(request.playbook))
        more = {"enrolments": [[own.learner_id, own.arm, own.as_of_us, own.probability] for own in rows]}
        answer = self._desk.study("effect", request, context, more)
        return interventions_pb2.ReportInterventionEffectResponse.FromString(answer)

    def _scored(
        self, request: churn_pb2.ScoreChurnRequest, min_probability: float, context: grpc.ServicerContext
    ) -> Candidates:
        asked = churn_pb2.ScoreChurnRequest()
        asked.CopyFrom(request)
        asked.count, asked.min_probability = 0, min_probability
        found = churn_pb2.ScoreChurnResponse.FromString(self._desk.study("candidates", asked, context))
        return candidates_of(found.as_of.ToMicroseconds(), found.scores, "churn")
