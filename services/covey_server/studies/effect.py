"""ReportInterventionEffect: enrolments and the events of a dataset as arguments of the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from covey.experiment import experiment_data
from covey.interventions import measure_effect
from covey.interventions.effect import came_back
from covey.interventions.planning import Enrolment
from covey.v1 import interventions_pb2
from covey_server.experiments.asked import message_of
from covey_server.interventions.messages import playbook_of

if TYPE_CHECKING:
    from covey.events import Events

_DEFAULT_ALPHA = 0.05


def report_effect(
    request: interventions_pb2.ReportInterventionEffectRequest, rows: Sequence[Any], events: Callable[[], Events]
) -> interventions_pb2.ReportInterventionEffectResponse:
    """Measure and answer.

    Args:
        request: what is asked.
        rows: fields of each `Enrolment`.
        events: loads them.

    Raises:
        CallError: INVALID_ARGUMENT for the playbook.
        InputError: nobody was held out, or nobody's days are over.
    """
    playbook = playbook_of(request.playbook)
    enrolments = [Enrolment(*row) for row in rows]
    outcomes = came_back(enrolments, events(), playbook.outcome_days)
    found = measure_effect(playbook, enrolments, outcomes, request.alpha or _DEFAULT_ALPHA)
    message = interventions_pb2.ReportInterventionEffectResponse(open_count=found.open_count)
    message_of(experiment_data(found.result), message.analysis)
    return message
