"""Kinds of journal entries, named as their payloads: who writes them, and of which nobody is told."""

from __future__ import annotations

DECISIONS = frozenset(
    {"approval_awaited", "phase_entered", "checkpoint", "held", "released", "segment_excluded", "escalated"}
)
"""Only ever follow from a tick; others are an operator's or the server's own."""
CONTROLLER_KINDS = DECISIONS | {"tick", "rollback_started", "finished"}
"""A controller may write these; the others belong to the operators' verbs and to the server."""
QUIET_KINDS = frozenset({"tick", "checkpoint"})
"""No transitions: nobody is told."""
