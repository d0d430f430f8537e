"""The states as an operator says them."""

from __future__ import annotations

from covey.v1.rollouts_pb2 import Rollout


def state_word(state: Rollout.State.ValueType) -> str:
    """SCHEDULED, RUNNING, AWAITING_APPROVAL ..."""
    return Rollout.State.Name(state).removeprefix("STATE_")
