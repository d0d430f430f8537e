"""The states and causes as an operator says them."""

from __future__ import annotations

from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollouts_pb2 import Rollout


def state_word(state: Rollout.State.ValueType) -> str:
    """SCHEDULED, RUNNING, AWAITING_APPROVAL ..."""
    return Rollout.State.Name(state).removeprefix("STATE_")


def cause_word(cause: RollbackStarted.Cause.ValueType) -> str:
    """TRIGGER, ABORT, MAX_HOLD ..."""
    return RollbackStarted.Cause.Name(cause).removeprefix("CAUSE_")
