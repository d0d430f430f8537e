"""From moments of outcomes to a relative effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

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
    places: list[int] = []
    numbers: list[tuple[float, ...]] = []
    known: list[tuple[OutcomeMoments, OutcomeMoments, float]] = []
    for place, (candidate, baseline) in enumerate(pairs):
        if candidate is None or baseline is None:
            continue
        if min(candidate.learner_count, baseline.learner_count) < FEWEST_LEARNERS:
            continue
        slope, explained = _slope(candidate, baseline)
        middle = _pooled_covariate(candidate, baseline) if slope else 0.0
        mine, other = _adjusted(candidate, slope, middle), _adjusted(baseline, slope, middle)
        if other[0] <= 0:
            continue
        places.append(place)
        numbers.append((*mine, candidate.learner_count, *other, baseline.learner_count))
        known.append((candidate, baseline, explained))
    if not places:
        return effects
    estimates, variances = ratio_delta(*np.array(numbers, dtype=np.float64).T)
    for place, estimate, variance, (candidate, baseline, explained) in zip(
        places, estimates, variances, known, strict=True
    ):
        effects[place] = RelativeEffect(
            float(estimate),
            float(variance),
            candidate.learner_count,
            baseline.learner_count,
            min(candidate.nonzero_count, baseline.nonzero_count),
            explained,
        )
    return effects


def mean_and_variance(moments: OutcomeMoments) -> tuple[float, float]:
    """Mean and sample variance of one observation per learner, from sums of values minus `center`."""
    count = moments.learner_count
    spread = (moments.sum_of_squares - moments.sum**2 / count) / (count - 1)
    return moments.center + moments.sum / count, max(0.0, spread)


def _slope(candidate: OutcomeMoments, baseline: OutcomeMoments) -> tuple[float, float]:
    """Slope of the outcome on its covariate over both arms, and the share of the variance it explains; 0 without one.

    Arms are centred at their own means: what differs between them is the effect, not the covariate's.
    """
    from covey.stats import cuped

    same = candidate.covariate == baseline.covariate and candidate.covariate_center == baseline.covariate_center
    if not candidate.covariate or not same:
        return 0.0, 0.0
    squares = [_within(arm) for arm in (candidate, baseline)]
    yy, xx, xy = (sum(parts) for parts in zip(*squares, strict=True))
    learners = candidate.learner_count + baseline.learner_count
    if xx <= 0 or xy * xy > xx * yy:
        return 0.0, 0.0
    fit = cuped(0.0, 0.0, yy, xx, xy, learners)
    return float(fit.theta), float(fit.rho2)


def _within(arm: OutcomeMoments) -> tuple[float, float, float]:
    """Sums of squares and products of one arm around its own means: outcome, covariate, both."""
    n = arm.learner_count
    return (
        max(0.0, arm.sum_of_squares - arm.sum**2 / n),
        max(0.0, arm.covariate_sum_of_squares - arm.covariate_sum**2 / n),
        arm.cross_sum - arm.sum * arm.covariate_sum / n,
    )


def _pooled_covariate(candidate: OutcomeMoments, baseline: OutcomeMoments) -> float:
    """Mean of the covariate over both arms, less its center."""
    total = candidate.covariate_sum + baseline.covariate_sum
    return total / (candidate.learner_count + baseline.learner_count)


def _adjusted(arm: OutcomeMoments, slope: float, middle: float) -> tuple[float, float]:
    """Mean and sample variance of y - slope (x - middle)."""
    mean, variance = mean_and_variance(arm)
    if slope == 0.0:
        return mean, variance
    yy, xx, xy = _within(arm)
    n = arm.learner_count
    spread = (yy - 2 * slope * xy + slope**2 * xx) / (n - 1)
    return mean - slope * (arm.covariate_sum / n - middle), max(0.0, spread)
