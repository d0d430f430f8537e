"""Calls of InterventionService on the data port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from covey.client.retry import Connection
from covey.v1 import interventions_pb2 as pb
from covey.v1.interventions_pb2_grpc import InterventionServiceStub

_PAGE_SIZE = 1000


class InterventionCalls(Connection):
    """What callers ask about what is done for learners."""

    @cached_property
    def _intervention_stub(self) -> InterventionServiceStub:
        return self.stub(InterventionServiceStub, self.data)

    def plan_interventions(
        self, request: pb.PlanInterventionsRequest, *, timeout_seconds: float | None = None
    ) -> pb.PlanInterventionsResponse:
        """Chooses learners by a playbook and writes the actions down once; its request_id makes a retry harmless."""
        return self.call(self._intervention_stub.PlanInterventions, request, self.data, timeout_seconds)

    def list_intervention_actions(
        self, state: pb.InterventionAction.State.ValueType = pb.InterventionAction.STATE_WAITING, playbook: str = ""
    ) -> Iterator[pb.InterventionAction]:
        """Actions in one state, in the order in which they were planned, page by page."""
        request = pb.ListInterventionActionsRequest(state=state, playbook=playbook)
        for page in self.pages(self._intervention_stub.ListInterventionActions, request, self.data, _PAGE_SIZE):
            yield from page.actions

    def advance_intervention_actions(
        self, done_keys: Sequence[str] = (), given_up_keys: Sequence[str] = ()
    ) -> pb.AdvanceInterventionActionsResponse:
        """Notes what was done, or is given up; noting it again changes nothing."""
        request = pb.AdvanceInterventionActionsRequest(done_keys=done_keys, given_up_keys=given_up_keys)
        return self.call(self._intervention_stub.AdvanceInterventionActions, request, self.data)

    def report_intervention_effect(
        self, request: pb.ReportInterventionEffectRequest, *, timeout_seconds: float | None = None
    ) -> pb.ReportInterventionEffectResponse:
        """Compares those held out with those treated."""
        return self.call(self._intervention_stub.ReportInterventionEffect, request, self.data, timeout_seconds)
