"""From the folded state of a rollout to the traffic split that it asks for."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from covey.rollout.traffic import OWN_TARGET
from covey.v1.rollout_spec_pb2 import SEGMENT_SOURCE_STABLE_COHORT
from covey.v1.rollouts_pb2 import Rollout
from covey_server.split import JudgedOutcome, Split

if TYPE_CHECKING:
    from covey.rollout.state import RolloutState

TARGET = OWN_TARGET
"""What this server itself splits; of other targets it keeps the journal."""

_AT_ONCE = datetime.min.replace(tzinfo=UTC)


def has_started(state: RolloutState) -> bool:
    """Whether the rollout takes its target: started and not finished."""
    return state.state != Rollout.STATE_DRAFT and not state.is_terminal


def split_of(state: RolloutState) -> Split | None:
    """The split that a rollout asks of this server; None before its start, after its end, and for a foreign target.

    The candidate runs on nobody's behalf, not even in the shadow, before the first phase (nobody has agreed yet) and
    from a rollback on (it may be what brings the server down).
    """
    if not has_started(state) or state.spec.target != TARGET:
        return None
    spec = state.spec
    in_a_phase = state.phase_index >= 0 and state.state != Rollout.STATE_ROLLING_BACK
    return Split(
        rollout=state.name,
        uid=state.uid,
        phase=state.phase if state.phase_index >= 0 else "",
        baseline=spec.baseline,
        candidate=spec.candidate,
        candidate_weight_bp=state.candidate_weight_bp,
        effective_at=state.effective_at or _AT_ONCE,
        shadow_share=spec.shadow_share if in_a_phase else 0.0,
        limits_seconds=state.plan.limits_seconds,
        outcome_window_seconds=spec.outcome_window.ToNanoseconds() / 1e9,
        outcomes=tuple(
            JudgedOutcome(
                rule.metric,
                rule.low if rule.HasField("low") else -math.inf,
                rule.high if rule.HasField("high") else math.inf,
                rule.covariate,
            )
            for rule in spec.outcomes
        ),
        excluded_segments=frozenset(state.excluded_segments),
        segments_by_cohort=spec.segment_source == SEGMENT_SOURCE_STABLE_COHORT,
        is_over=state.state == Rollout.STATE_ROLLING_BACK,
    )


def runs_candidate(state: RolloutState) -> bool:
    """Whether the server computes answers of the candidate, for callers or in the shadow."""
    split = split_of(state)
    return split is not None and split.runs_candidate
