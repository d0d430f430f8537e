"""`covey rollout`: the verbs of an operator. Each module adds its own to the one application."""

from __future__ import annotations

from covey.cli import (
    rollout_check,
    rollout_history,
    rollout_look,
    rollout_outlook,
    rollout_people,
    rollout_replay,
    rollout_simulate,
    rollout_verbs,
    rollout_watch,
)
from covey.cli.rollout_arguments import rollout_app

_ORDER = (
    *(
        "check",
        "plan",
        "simulate",
        "create",
        "start",
        "status",
        "list",
        "watch",
        "explain",
        "pause",
        "resume",
        "promote",
        "postpone",
        "abort",
    ),
    *("approve", "deny", "revoke", "ack", "incident", "schedule", "history", "report", "postmortem", "replay"),
)

app = rollout_app
"""Holds every verb once the modules above are imported; listed in the order of a rollout's life."""
app.registered_commands.sort(key=lambda command: _ORDER.index(str(command.name)))

__all__ = [
    "app",
    "rollout_check",
    "rollout_history",
    "rollout_look",
    "rollout_outlook",
    "rollout_people",
    "rollout_replay",
    "rollout_simulate",
    "rollout_verbs",
    "rollout_watch",
]
