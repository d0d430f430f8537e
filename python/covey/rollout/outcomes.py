"""From moments of outcomes to a relative effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covey.stats.special import Floats
from covey.v1.evidence_pb2 import OutcomeMoments
from covey.v1.rollout_spec_pb2 import RolloutSpec

FEWEST_LEARNERS = 2
# Before so much is there the asymptotic guarantee is not worth its name.
BURN_IN_TICKS = 30
BURN_IN_NONZERO = 100

# Candidate and baseline; None where nothing is known of an arm.
Arms: TypeAlias = tuple[OutcomeMoments | None, OutcomeMoments | None]


def moments_of(outcomes: Sequence[OutcomeMoments], spec: RolloutSpec, metric: str, segment: str = "") -> Arms:
    """The moments of an outcome for the spec's candidate and baseline."""
    return arms_by_segment(outcomes, spec, metric).get(segment, (None, None))


def arms_by_segment(outcomes: Sequence[OutcomeMoments], spec: RolloutSpec, metric: str) -> dict[str, Arms]:
    """The moments of an outcome for the spec's candidate and baseline, by segment; "" is all learners."""
    found: dict[str, Arms] = {}
    for moments in outcomes:
        if moments.metric != metric:
            continue
        candidate, baseline = found.get(moments.segment, (None, None))
        if moments.variant == spec.candidate:
            candidate = moments
        elif moments.variant == spec.baseline:
            baseline = moments
        found[moments.segment] = (candidate, baseline)
    return found


@dataclass(frozen=True)
class RelativeEffect:
    """Candidate against baseline, as a share of the baseline's mean.

    Attributes:
        estimate: m_c / m_b - 1.
        variance: of that estimate.
        candidate_learners: learners behind it.
        baseline_learners: likewise.
        fewest_nonzero: learners with an outcome in the arm that has fewer of them.
        explained: share of the outcome's variance that its covariate took away.
        baseline_part: what the baseline brings to the variance at an effect of 0.
    """

    estimate: float
    variance: float
    candidate_learners: int
    baseline_learners: int
    fewest_nonzero: int
    explained: float = 0.0
    baseline_part: float = 0.0

    def variance_against(self, limit: float) -> float:
        """The variance with which the estimate is held against a limit."""
        return float(variance_against(self.estimate, self.variance, self.baseline_part, limit))


def effects_by_metric(
    outcomes: Sequence[OutcomeMoments], spec: RolloutSpec
) -> dict[str, dict[str, RelativeEffect | None]]:
    """The relative effect on every outcome in every segment, in one evaluation; segment "" is all learners."""
    metrics = dict.fromkeys(moments.metric for moments in outcomes)
    arms = {metric: arms_by_segment(outcomes, spec, metric) for metric in metrics}
    found = iter(relative_effects([pair for segments in arms.values() for pair in segments.values()]))
    return {metric: {segment: next(found) for segment in segments} for metric, segments in arms.items()}


def relative_effect(arms: Arms) -> RelativeEffect | None:
    """The relative effect of (candidate, baseline); None where there is too little to compute one."""
    return relative_effects([arms])[0]


def relative_effects(pairs: Sequence[Arms]) -> list[RelativeEffect | None]:
    """The relative effect of each pair of arms, all in one evaluation; None where there is too little for one.

    Where both arms carry sums of one covariate, means and variances are adjusted by it (CUPED), with one slope from the
    pooled arms.
    """
    effects: list[RelativeEffect | None] = [None] * len(pairs)
    known = [
        (place, candidate, baseline)
        for place, (candidate, baseline) in enumerate(pairs)
        if candidate is not None
        and baseline is not None
        and min(candidate.learner_count, baseline.learner_count) >= FEWEST_LEARNERS
    ]
    if not known:
        return effects
    mine, other = ArmSums.of([arm for _, arm, _ in known]), ArmSums.of([arm for _, _, arm in known])
    found = effects_of_sums(mine, other, np.array([_one_covariate(arm, rival) for _, arm, rival in known]))
    columns = zip(*(column.tolist() for column in found), strict=True)
    for (place, candidate, baseline), (estimate, variance, part, explained) in zip(known, columns, strict=True):
        if math.isnan(estimate):
            continue
        effects[place] = RelativeEffect(
            estimate,
            variance,
            candidate.learner_count,
            baseline.learner_count,
            min(candidate.nonzero_count, baseline.nonzero_count),
            explained,
            part,
        )
    return effects


class Effects(NamedTuple):
    """Relative effects of many candidates over their baselines, each of shape (arms,); NaN where there is none.

    Attributes:
        estimate: m_c / m_b - 1.
        variance: of that estimate, by the delta method.
        baseline_part: what the baseline brings to it at an effect of 0: v_b / (n_b m_b^2).
        explained: share of the outcome's variance that its covariate took away.
    """

    estimate: Floats
    variance: Floats
    baseline_part: Floats
    explained: Floats


def effects_of_sums(mine: ArmSums, other: ArmSums, asked: NDArray[np.bool_]) -> Effects:
    """Relative effects from sums of both arms.

    Args:
        mine: sums of the candidates, each of shape (arms,).
        other: sums of the baselines.
        asked: whether the covariate is used, shape (arms,).

    There is none where the baseline's mean is not above 0.
    """
    from covey.stats import ratio_delta

    inner = mine.within(), other.within()
    slope, explained = _slopes(*inner, asked)
    middle = (mine.x + other.x) / (mine.n + other.n)
    mean_c, var_c = mine.adjusted(inner[0], slope, middle)
    mean_b, var_b = other.adjusted(inner[1], slope, middle)
    usable = mean_b > 0
    # Where there is none, any baseline will do for the formula.
    mean_b = np.where(usable, mean_b, 1.0)
    estimate, variance = ratio_delta(mean_c, var_c, mine.n, mean_b, var_b, other.n)
    part = var_b / (other.n * mean_b**2)
    none = np.where(usable, 0.0, np.nan)
    return Effects(estimate + none, variance + none, part + none, np.where(usable, explained, 0.0))


def variance_against(estimate: ArrayLike, variance: ArrayLike, baseline_part: ArrayLike, limit: float) -> Floats:
    """The variance with which an estimate is held against a limit: the larger of its own and of that at the limit.

    The delta method takes the baseline's noise times (1 + estimate)^2. Where chance alone makes an estimate fall far,
    that is too little: a few hundred payers would be rolled back more often than alpha says.
    """
    own, part = np.asarray(variance, dtype=np.float64), np.asarray(baseline_part, dtype=np.float64)
    found: Floats = own + np.maximum(0.0, (1 + limit) ** 2 - (1 + np.asarray(estimate)) ** 2) * part
    return found


_sums_of = attrgetter(
    "learner_count", "center", "sum", "sum_of_squares", "covariate_sum", "covariate_sum_of_squares", "cross_sum"
)
# Sums of squares and products around an arm's own means: outcome, covariate, both.
Within: TypeAlias = tuple[Floats, Floats, Floats]


class ArmSums(NamedTuple):
    """Sums of many arms, each of shape (arms,): outcome y and covariate x less their centers."""

    n: Floats
    center: Floats
    y: Floats
    yy: Floats
    x: Floats
    xx: Floats
    xy: Floats

    @classmethod
    def of(cls, arms: Sequence[OutcomeMoments]) -> ArmSums:
        """The sums of moments, one arm after the other."""
        return cls(*np.array([_sums_of(arm) for arm in arms], dtype=np.float64).T)

    def within(self) -> Within:
        """Sums of squares and products around each arm's own means: outcome, covariate, both."""
        return (
            np.maximum(0.0, self.yy - self.y**2 / self.n),
            np.maximum(0.0, self.xx - self.x**2 / self.n),
            self.xy - self.y * self.x / self.n,
        )

    def adjusted(self, within: Within, slope: Floats, middle: Floats) -> tuple[Floats, Floats]:
        """Means and sample variances of y - slope (x - middle)."""
        yy, xx, xy = within
        spread = (yy - 2 * slope * xy + slope**2 * xx) / (self.n - 1)
        means = self.center + self.y / self.n - slope * (self.x / self.n - middle)
        return means, np.maximum(0.0, spread)


def _one_covariate(candidate: OutcomeMoments, baseline: OutcomeMoments) -> bool:
    """Whether both arms carry sums of the same covariate around the same center."""
    same = candidate.covariate == baseline.covariate and candidate.covariate_center == baseline.covariate_center
    return bool(candidate.covariate) and same


def _slopes(mine: Within, other: Within, asked: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Slopes of the outcome on its covariate over both arms, and the share of the variance that they explain.

    `covey.stats.cuped` of sums around each arm's own means: what differs between arms is the effect, not the
    covariate's. Both are 0 where it is not asked, and where the sums are not those of any data.
    """
    yy, xx, xy = (one + another for one, another in zip(mine, other, strict=True))
    usable = asked & (xx > 0) & (xy * xy <= xx * yy)
    slope = np.where(usable, xy, 0.0) / np.where(usable, xx, 1.0)
    explained = np.minimum(slope * xy / np.where(yy > 0, yy, 1.0), 1.0)
    return slope, np.where(usable & (yy > 0), explained, 0.0)
