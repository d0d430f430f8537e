"""From moments of outcomes to a relative effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from covey.v1.evidence_pb2 import OutcomeMoments
from covey.v1.rollout_spec_pb2 import RolloutSpec

FEWEST_LEARNERS = 2

# Candidate and baseline; None where nothing is known of an arm.
Arms: TypeAlias = tuple[OutcomeMoments | None, OutcomeMoments | None]


def moments_of(outcomes: Sequence[OutcomeMoments], spec: RolloutSpec, metric: str, segment: str = "") -> Arms:
    """The moments of an outcome for the spec's candidate and baseline."""
    found = {moments.variant: moments for moments in outcomes if (moments.metric, moments.segment) == (metric, segment)}
    return found.get(spec.candidate), found.get(spec.baseline)


@dataclass(frozen=True)
class RelativeEffect:
    """Candidate against baseline, as a share of the baseline's mean.

    Attributes:
        estimate: m_c / m_b - 1.
        variance: of that estimate.
        candidate_learners: learners behind it.
        baseline_learners: likewise.
        fewest_nonzero: learners with an outcome in the arm that has fewer of them.
    """

    estimate: float
    variance: float
    candidate_learners: int
    baseline_learners: int
    fewest_nonzero: int


def relative_effect(arms: Arms) -> RelativeEffect | None:
    """The relative effect of (candidate, baseline); None where there is too little to compute one."""
    from covey.stats import ratio_delta

    candidate, baseline = arms
    if candidate is None or baseline is None or min(candidate.learner_count, baseline.learner_count) < FEWEST_LEARNERS:
        return None
    mean_c, variance_c = mean_and_variance(candidate)
    mean_b, variance_b = mean_and_variance(baseline)
    if mean_b <= 0:
        return None
    estimate, variance = ratio_delta(
        mean_c, variance_c, candidate.learner_count, mean_b, variance_b, baseline.learner_count
    )
    return RelativeEffect(
        float(estimate),
        float(variance),
        candidate.learner_count,
        baseline.learner_count,
        min(candidate.nonzero_count, baseline.nonzero_count),
    )


def mean_and_variance(moments: OutcomeMoments) -> tuple[float, float]:
    """Mean and sample variance of one observation per learner, from sums of values minus `center`."""
    count = moments.learner_count
    spread = (moments.sum_of_squares - moments.sum**2 / count) / (count - 1)
    return moments.center + moments.sum / count, max(0.0, spread)
