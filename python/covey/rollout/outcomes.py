"""From moments of outcomes to a relative effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
    """

    estimate: float
    variance: float
    candidate_learners: int
    baseline_learners: int
    fewest_nonzero: int
    explained: float = 0.0


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
    from covey.stats import ratio_delta

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
    mine, other = _Sums.of([arm for _, arm, _ in known]), _Sums.of([arm for _, _, arm in known])
    slope, explained = _slopes(mine, other, np.array([_one_covariate(arm, rival) for _, arm, rival in known]))
    middle = (mine.x + other.x) / (mine.n + other.n)
    mean_c, var_c = mine.adjusted(slope, middle)
    mean_b, var_b = other.adjusted(slope, middle)
    usable = np.flatnonzero(mean_b > 0)
    columns = (mean_c, var_c, mine.n, mean_b, var_b, other.n)
    estimates, variances = ratio_delta(*(column[usable] for column in columns))
    for number, estimate, variance in zip(usable, estimates.tolist(), variances.tolist(), strict=True):
        place, candidate, baseline = known[number]
        effects[place] = RelativeEffect(
            estimate,
            variance,
            candidate.learner_count,
            baseline.learner_count,
            min(candidate.nonzero_count, baseline.nonzero_count),
            float(explained[number]),
        )
    return effects


class _Sums(NamedTuple):
    """Sums of many arms, each of shape (arms,): outcome y and covariate x less their centers."""

    n: Floats
    center: Floats
    y: Floats
    yy: Floats
    x: Floats
    xx: Floats
    xy: Floats

    @classmethod
    def of(cls, arms: Sequence[OutcomeMoments]) -> _Sums:
        table = [
            (
                arm.learner_count,
                arm.center,
                arm.sum,
                arm.sum_of_squares,
                arm.covariate_sum,
                arm.covariate_sum_of_squares,
                arm.cross_sum,
            )
            for arm in arms
        ]
        return cls(*np.array(table, dtype=np.float64).T)

    def within(self) -> tuple[Floats, Floats, Floats]:
        """Sums of squares and products around each arm's own means: outcome, covariate, both."""
        return (
            np.maximum(0.0, self.yy - self.y**2 / self.n),
            np.maximum(0.0, self.xx - self.x**2 / self.n),
            self.xy - self.y * self.x / self.n,
        )

    def adjusted(self, slope: Floats, middle: Floats) -> tuple[Floats, Floats]:
        """Means and sample variances of y - slope (x - middle)."""
        yy, xx, xy = self.within()
        spread = (yy - 2 * slope * xy + slope**2 * xx) / (self.n - 1)
        means = self.center + self.y / self.n - slope * (self.x / self.n - middle)
        return means, np.maximum(0.0, spread)


def _one_covariate(candidate: OutcomeMoments, baseline: OutcomeMoments) -> bool:
    """Whether both arms carry sums of the same covariate around the same center."""
    same = candidate.covariate == baseline.covariate and candidate.covariate_center == baseline.covariate_center
    return bool(candidate.covariate) and same


def _slopes(mine: _Sums, other: _Sums, asked: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Slopes of the outcome on its covariate over both arms, and the share of the variance that they explain.

    Arms are centred at their own means: what differs between them is the effect, not the covariate's. Both are 0 where
    it is not asked, and where the sums are not those of any data.
    """
    from covey.stats import cuped

    slope, explained = np.zeros(asked.shape), np.zeros(asked.shape)
    yy, xx, xy = (one + another for one, another in zip(mine.within(), other.within(), strict=True))
    usable = asked & (xx > 0) & (xy * xy <= xx * yy)
    if usable.any():
        fit = cuped(0.0, 0.0, yy[usable], xx[usable], xy[usable], (mine.n + other.n)[usable])
        slope[usable], explained[usable] = fit.theta, fit.rho2
    return slope, explained
