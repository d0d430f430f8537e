"""Requests refused for overload: no trials of a limit, failures to a comparison, and named where they decide."""

from __future__ import annotations

import pytest

from covey.v1.evidence_pb2 import Verdict

from .lane import Lane, Part, plan_text

ERROR = "error_rate > 1 %"


def rolled_back(candidate: Part) -> Verdict:
    """The verdict that ended a phase whose baseline serves everything."""
    lane = Lane(plan_text(ERROR, share="10 %"))
    lane.enter()
    assert lane.run([candidate] * 100, [Part(90)] * 100) is not None
    cause = lane.rollback()
    assert cause.statement == ERROR
    verdict = next(found for found in cause.verdicts if found.statement == ERROR)
    assert cause.explanation.startswith(verdict.sentence)
    return verdict


def test_a_candidate_that_refuses_everything_is_rolled_back_for_that() -> None:
    verdict = rolled_back(Part(shed=10))
    assert (verdict.event_count, verdict.trial_count) == (0, 0)
    assert verdict.shed_count > 0
    refused, served = f"{verdict.shed_count:,}", f"{verdict.baseline_trial_count:,}"
    assert verdict.sentence == (
        f"{ERROR}: {refused} of {refused} candidate requests were refused for overload, "
        f"of the baseline's 0 of {served}; shown, the candidate does harm"
    )


def test_refusals_beside_failures_are_named_with_what_is_compared() -> None:
    verdict = rolled_back(Part(requests=7, errors=1, shed=3))
    assert verdict.shed_count * 7 == verdict.trial_count * 3
    events, trials = verdict.event_count + verdict.shed_count, verdict.trial_count + verdict.shed_count
    assert verdict.sentence.startswith(
        f"{ERROR}: {verdict.event_count:,} of {verdict.trial_count:,} candidate requests failed and "
        f"{verdict.shed_count:,} more were refused for overload, that is {events:,} of {trials:,} to compare, "
    )


def test_the_interval_of_the_ratio_counts_what_its_estimate_counts() -> None:
    lane = Lane(plan_text(ERROR, share="10 %"))
    lane.enter()
    lane.run([Part(requests=1000, shed=2)], [Part(requests=9000, errors=2, shed=7)])
    verdict = lane.verdict(ERROR)
    ratio = next(test for test in verdict.tests if test.name.startswith("rate_ratio"))
    assert ratio.estimate == pytest.approx((2 / 1002) / (9 / 9007), rel=1e-6)
    assert ratio.lower < ratio.estimate < ratio.upper
    assert verdict.event_count == 0


def test_a_limit_alone_neither_counts_nor_names_them() -> None:
    lane = Lane(plan_text(f"{{statement: {ERROR}, tolerance: 0}}", share="10 %"))
    lane.enter()
    assert lane.run([Part(requests=10, shed=10)] * 20, [Part(90)] * 20) is None
    verdict = lane.verdict(ERROR)
    assert verdict.shed_count == 0
    assert "refused" not in verdict.sentence
