"""What is done about learners who are about to leave: limited, told at least once, and measured."""

from __future__ import annotations

from covey.interventions.effect import Effect, measure_effect
from covey.interventions.outbox import Outbox
from covey.interventions.planning import Candidates, Plan, plan_actions
from covey.interventions.playbook import Playbook, read_playbook

__all__ = [
    "Candidates",
    "Effect",
    "Outbox",
    "Plan",
    "Playbook",
    "measure_effect",
    "plan_actions",
    "read_playbook",
]
