"""The one way in which a decision takes the candidate's traffic away."""

from __future__ import annotations

from covey.rollout.draft import Draft
from covey.rollout.verdicts import current_verdicts
from covey.v1.journal_pb2 import RollbackStarted


def roll_back(draft: Draft, cause: RollbackStarted.Cause.ValueType, explanation: str, statement: str = "") -> None:
    """Adds the start of a rollback with every verdict of the moment.

    Args:
        draft: what it is added to.
        cause: why.
        explanation: one sentence with the statement and the counters that decided.
        statement: the statement that was shown or refuted, where there is one.
    """
    verdicts = current_verdicts(draft.state)
    draft.add(
        rollback_started=RollbackStarted(cause=cause, explanation=explanation, statement=statement, verdicts=verdicts)
    )
