"""The traffic split in force, where every request reads it and the journal sets it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from covey.rollout.model import EFFECTIVE_AFTER

_OLDER_SPLITS_KEPT = 2


@dataclass(frozen=True, slots=True)
class JudgedOutcome:
    """How an outcome becomes one observation per learner.

    Attributes:
        metric: name of the outcome.
        low, high: ends within which a learner's sum is kept; infinite where there is none.
        covariate: trait at the first exposure that explains some of its variance; "": none.
    """

    metric: str
    low: float = -math.inf
    high: float = math.inf
    covariate: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """How learners are split between two variants.

    Attributes:
        rollout: rollouts/{rollout}.
        uid: salt of the routing hash.
        phase: name of the phase in force; empty before the first.
        baseline: variants/{variant}.
        candidate: variants/{variant}.
        candidate_weight_bp: basis points of learners served by the candidate, 0 to 10,000.
        effective_at: from when on it holds.
        shadow_share: share of answers that the other variant computes again, 0 to 1.
        limits_seconds: latency limits whose exceedances are counted exactly.
        outcome_window_seconds: how long after an exposure an outcome is credited to it.
        outcomes: rules of the spec's outcomes.
        excluded_segments: whose learners get the baseline and belong to neither arm any more.
        segments_by_cohort: whether a learner's segment is the cohort by the baseline's model at the first exposure in
            the rollout; else it is what the caller names.
        is_over: a rollback has begun: whoever is answered from now on was not exposed in the phase by that.
    """

    rollout: str
    uid: str
    phase: str
    baseline: str
    candidate: str
    candidate_weight_bp: int
    effective_at: datetime
    shadow_share: float
    limits_seconds: tuple[float, ...]
    outcome_window_seconds: float
    outcomes: tuple[JudgedOutcome, ...] = ()
    excluded_segments: frozenset[str] = frozenset()
    segments_by_cohort: bool = False
    is_over: bool = False

    @property
    def covariates(self) -> tuple[str, ...]:
        """Traits that are kept with a learner's first exposure."""
        return tuple(sorted({rule.covariate for rule in self.outcomes if rule.covariate}))

    @property
    def runs_candidate(self) -> bool:
        """Whether the candidate computes answers at all, for callers or in the shadow."""
        return self.candidate_weight_bp > 0 or self.shadow_share > 0

    def excludes(self, segment: str) -> bool:
        """Whether learners of a segment ("": none) get the baseline because their segment was routed back.

        A learner whose cohort cannot be told may be of the harmed one, and is not sent to what harms it.
        """
        if not self.excluded_segments:
            return False
        return segment in self.excluded_segments or (self.segments_by_cohort and not segment)


class SplitBoard:
    """Holds the split in force and the one that follows it.

    The time of day only says when within `EFFECTIVE_AFTER` a split begins to hold, so that replicas begin together.
    What was published longer ago than that holds whatever the clock on the wall says: set back an hour, it would take
    the candidate's learners away for an hour.

    Reading takes no lock: one attribute read of an immutable tuple. There is one publisher at a time (the journal,
    under the writer's lock).

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # Oldest first, each with when it holds at the latest; the last whose time has come is in force.
        self._splits: tuple[tuple[Split, float], ...] = ()

    def current(self, now: datetime) -> Split | None:
        """The split in force at `now`; None: the stable variant serves everybody."""
        for split, holds_at in reversed(self._splits):
            if split.candidate_weight_bp == 0 or split.effective_at <= now or holds_at <= self._monotonic():
                return split
        return None

    def latest(self) -> Split | None:
        """The split published last, also where its time has not come."""
        splits = self._splits
        return splits[-1][0] if splits else None

    def publish(self, split: Split | None) -> None:
        """Make `split` the one in force from its `effective_at` on; weight 0 and None are in force at once."""
        if split is None:
            self._splits = ()
        elif split.candidate_weight_bp == 0:
            # A split that nobody may wait for: it must hold even for a reader whose clock is behind.
            self._splits = ((split, self._monotonic()),)
        elif split != self.latest():
            # Segments are excluded at once, also for as long as an older weight is still in force.
            older = (
                (replace(old, excluded_segments=split.excluded_segments) if old.uid == split.uid else old, holds_at)
                for old, holds_at in self._splits[-_OLDER_SPLITS_KEPT:]
            )
            self._splits = (*older, (split, self._monotonic() + EFFECTIVE_AFTER.total_seconds()))
