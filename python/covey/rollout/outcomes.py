"""From moments of outcomes to a relative effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covey.stats.means import relative_effects_of_sums
from covey.stats.special import Floats
from covey.v1.evidence_pb2 import OutcomeMoments
from covey.v1.rollout_spec_pb2 import RolloutSpec

FEWEST_LEARNERS = 2
# Before so much is there the asymptotic guarantee is not worth its name.
BURN_IN_TICKS = 30
BURN_IN_NONZERO = 100
_series_of = attrgetter("metric", "variant", "segment")
# The fields of ArmSums, then what else an effect depends on; the covariate's name comes last.
SUMS = 7
_told_of = attrgetter(
    *("learner_count", "center", "sum", "sum_of_squares", "covariate_sum", "covariate_sum_of_squares", "cross_sum"),
    *("nonzero_count", "covariate_center", "covariate"),
)

# Candidate and baseline; None where nothing is known of an arm.
Arms: TypeAlias = tuple[OutcomeMoments | None, OutcomeMoments | None]


def moments_of(outcomes: Sequence[OutcomeMoments], spec: RolloutSpec, metric: str, segment: str = "") -> Arms:
    """The moments of an outcome for the spec's candidate and baseline."""
    return arms_by_segment(outcomes, spec, metric).get(segment, (None, None))


def arms_by_segment(outcomes: Sequence[OutcomeMoments], spec: RolloutSpec, metric: str) -> dict[str, Arms]:
    """The moments of an outcome for the spec's candidate and baseline, by segment; "" is all learners."""
    return arms_by_metric(outcomes, spec).get(metric, {})


def arms_by_metric(outcomes: Sequence[OutcomeMoments], spec: RolloutSpec) -> dict[str, dict[str, Arms]]:
    """`arms_by_segment` of every outcome."""
    found: dict[str, dict[str, Arms]] = {}
    for moments, (metric, variant, segment) in zip(outcomes, map(_series_of, outcomes), strict=True):
        segments = found.setdefault(metric, {})
        candidate, baseline = segments.get(segment, (None, None))
        if variant == spec.candidate:
            candidate = moments
        elif variant == spec.baseline:
            baseline = moments
        segments[segment] = (candidate, baseline)
    return found


class RelativeEffect(NamedTuple):
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
        """The variance with which the estimate is held against a limit, as `variance_against` says."""
        return self.variance + max(0.0, (1 + limit) ** 2 - (1 + self.estimate) ** 2) * self.baseline_part


def effects_by_metric(
    outcomes: Sequence[OutcomeMoments], spec: RolloutSpec
) -> dict[str, dict[str, RelativeEffect | None]]:
    """The relative effect on every outcome in every segment, in one evaluation; segment "" is all learners.

    Segments come in the order of their names.
    """
    arms = {metric: sorted(segments.items()) for metric, segments in arms_by_metric(outcomes, spec).items()}
    found = iter(relative_effects([pair for segments in arms.values() for _, pair in segments]))
    return {metric: {segment: next(found) for segment, _ in segments} for metric, segments in arms.items()}


def relative_effect(arms: Arms) -> RelativeEffect | None:
    """The relative effect of (candidate, baseline); None where there is too little to compute one."""
    return relative_effects([arms])[0]


def relative_effects(pairs: Sequence[Arms]) -> list[RelativeEffect | None]:
    """The relative effect of each pair of arms, all in one evaluation; None where there is too little for one.

    Where both arms carry sums of one covariate, means and variances are adjusted by it (CUPED), with one slope from the
    pooled arms.
    """
    effects: list[RelativeEffect | None] = [None] * len(pairs)
    told = [
        (place, _told_of(candidate), _told_of(baseline))
        for place, (candidate, baseline) in enumerate(pairs)
        if candidate is not None and baseline is not None
    ]
    known = [(place, mine, other) for place, mine, other in told if min(mine[0], other[0]) >= FEWEST_LEARNERS]
    if not known:
        return effects
    sums = np.array([(mine[:SUMS], other[:SUMS]) for _, mine, other in known], dtype=np.float64)
    # Sums of the same covariate around the same center.
    covariates = np.array([bool(mine[-1]) and mine[-2:] == other[-2:] for _, mine, other in known])
    found = relative_effects_of_sums(sums[:, 0], sums[:, 1], covariates)
    for (place, mine, other), (estimate, variance, part, explained) in zip(known, found.T.tolist(), strict=True):
        if not math.isnan(estimate):
            fewest_nonzero = min(mine[SUMS], other[SUMS])
            effects[place] = RelativeEffect(estimate, variance, mine[0], other[0], fewest_nonzero, explained, part)
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
    return Effects(*relative_effects_of_sums(np.stack(mine, axis=-1), np.stack(other, axis=-1), asked))


def variance_against(estimate: ArrayLike, variance: ArrayLike, baseline_part: ArrayLike, limit: float) -> Floats:
    """The variance with which an estimate is held against a limit: the larger of its own and of that at the limit.

    The delta method takes the baseline's noise times (1 + estimate)^2. Where chance alone makes an estimate fall far,
    that is too little: a few hundred payers would be rolled back more often than alpha says.
    """
    own, part = np.asarray(variance, dtype=np.float64), np.asarray(baseline_part, dtype=np.float64)
    found: Floats = own + np.maximum(0.0, (1 + limit) ** 2 - (1 + np.asarray(estimate)) ** 2) * part
    return found


class ArmSums(NamedTuple):
    """Sums of many arms, each of shape (arms,): outcome y and covariate x less their centers."""

    n: Floats
    center: Floats
    y: Floats
    yy: Floats
    x: Floats
    xx: Floats
    xy: Floats
