"""From the folded journal to the traffic split that every request reads."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from covey.rollout.traffic import OWN_TARGET
from covey.v1.rollout_spec_pb2 import SEGMENT_SOURCE_STABLE_COHORT
from covey.v1.rollouts_pb2 import Rollout
from covey_server.split import JudgedOutcome, Split, SplitBoard

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
    )


def runs_candidate(state: RolloutState) -> bool:
    """Whether the server computes answers of the candidate, for callers or in the shadow."""
    split = split_of(state)
    return split is not None and split.runs_candidate


class BoardKeeper:
    """Brings the board up to what the journal says, one publication per change.

    Args:
        board: where requests read the split.
    """

    def __init__(self, board: SplitBoard) -> None:
        self._board = board
        # Between the journal, which follows under the writer's lock, and those who do not wait for it.
        self._lock = threading.RLock()
        self._rollout = ""
        # By the journal; what is published has weight 0 while it is held or suspended.
        self._wanted: Split | None = None
        self._asked: tuple[object, ...] = ()
        self._excluded: frozenset[str] = frozenset()
        self._held: set[str] = set()
        self._suspended = False

    def follow(self, state: RolloutState) -> None:
        """Publish what `state` asks for where it differs from what its journal asked for before.

        Called under the writer's lock, after the commit. A rollout that is held at 0 stays there until its journal has
        weight 0 itself.
        """
        with self._lock:
            asked = (state.name, state.state, state.phase, state.candidate_weight_bp, state.effective_at)
            excluded = frozenset(state.excluded_segments)
            if asked == self._asked:
                self._exclude(state.name, excluded)
                return
            split = split_of(state)
            if split is None or split.candidate_weight_bp == 0:
                self._held.discard(state.name)
            if split is None and self._rollout != state.name:
                return
            self._asked = asked
            self._excluded = excluded
            if split != self._wanted:
                self._wanted = split
                self._rollout = state.name if split is not None else ""
                self._publish()

    def hold_at_zero(self, rollout: str) -> bool:
        """Take the candidate's weight away at once, ahead of a journal that cannot be written, and keep it away.

        Returns:
            Whether this rollout had the board.
        """
        with self._lock:
            self._held.add(rollout)
            if self._wanted is None or self._rollout != rollout:
                return False
            self._publish()
            return True

    def let_go(self, rollout: str) -> None:
        """Give a rollout the weight of its journal again: it refused to take it away."""
        with self._lock:
            if rollout in self._held:
                self._held.discard(rollout)
                self._publish()

    def suspend(self) -> None:
        """Let the baseline serve everybody until `resume`: nobody knows what the journal says."""
        with self._lock:
            self._suspended = True
            self._publish()

    def resume(self) -> None:
        """Let the journal's split hold again."""
        with self._lock:
            self._suspended = False
            self._publish()

    def _exclude(self, rollout: str, excluded: frozenset[str]) -> None:
        """Route segments back at once, and leave everything else as it is."""
        if excluded == self._excluded or self._wanted is None or self._rollout != rollout:
            return
        self._excluded = excluded
        self._wanted = replace(self._wanted, excluded_segments=excluded)
        self._publish()

    def _publish(self) -> None:
        split = self._wanted
        if split is not None and (self._suspended or self._rollout in self._held):
            split = replace(split, candidate_weight_bp=0, shadow_share=0.0)
        self._board.publish(split)
