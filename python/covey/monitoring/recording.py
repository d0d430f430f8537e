"""What is computed once and used by alerts and panels: names are level:what:operation."""

from __future__ import annotations

from dataclasses import dataclass

from covey.monitoring import expressions
from covey.monitoring.objectives import WINDOWS, Objectives

FAILED = "job:covey_request_failures:ratio_rate"
SLOW = "job:covey_request_slow:ratio_rate"
SHED = "job:covey_requests_shed:ratio_rate5m"
CANDIDATE_LEARNERS = "rollout:covey_learners_candidate:max"
BASELINE_LEARNERS = "rollout:covey_learners_baseline:max"
OBSERVED_SHARE = "rollout:covey_candidate_share:observed"
SPLIT_DEVIATION = "rollout:covey_candidate_share:deviation"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes.

    Attributes:
        name: of the series.
        expression: PromQL.
    """

    name: str
    expression: str

    def rule(self) -> dict[str, object]:
        """As a rule file has it."""
        return {"record": self.name, "expr": self.expression}


def promise_recordings(objectives: Objectives) -> list[Recording]:
    """How the promise is kept over every window that alerts look at."""
    failed = [Recording(FAILED + window, expressions.failed_ratio(window)) for window in WINDOWS]
    slow = [Recording(SLOW + window, expressions.slow_ratio(window, objectives.edge)) for window in WINDOWS]
    return [*failed, *slow, Recording(SHED, expressions.shed_ratio("5m"))]


def split_recordings() -> list[Recording]:
    """Who was answered by whom, against who should be.

    The deviation is |c - n w| / sqrt(n w (1 - w)) of c candidate learners among n at a wanted share w: a learner is
    routed once, so c is binomial and the deviation is about normal. No series at a share of 0 or 1, where replicas
    differ, or where fewer than 50 candidate learners are expected.
    """
    candidate, baseline = CANDIDATE_LEARNERS, BASELINE_LEARNERS
    everybody = f"({candidate} + {baseline})"
    wanted = expressions.WANTED_SHARE
    agreed = f"({wanted} == min by (job, rollout) (covey_rollout_weight_ratio))"
    open_share = f"({agreed} > 0 < 1)"
    enough = f"({everybody} * {wanted} >= 50)"
    deviation = f"abs({candidate} - {everybody} * {open_share}) / sqrt({everybody} * {wanted} * (1 - {wanted}))"
    return [
        Recording(candidate, expressions.learners_of("candidate")),
        Recording(baseline, expressions.learners_of("baseline")),
        Recording(OBSERVED_SHARE, f"{candidate} / {everybody}"),
        Recording(SPLIT_DEVIATION, f"{deviation} and {enough}"),
    ]
