"""Who may spend how much of the chance of a false rollback."""

from __future__ import annotations

import pytest

from covey.rollout.gates.ledger import Family, Ledger
from covey.rollout.model import Plan
from covey.rollout.spec import load_spec

from ..lane import plan_text


def ledger(*triggers: str, criteria: tuple[str, ...]) -> Ledger:
    return Plan.of(load_spec(plan_text(*triggers, criteria=criteria), "plan.yaml")).ledger


def test_every_family_spends_its_alpha_once() -> None:
    found = ledger(
        "error_rate > 3 %",
        "p99 > 250 ms",
        "p99 worse than baseline",
        "availability < 97 %",
        "revenue < -5 %",
        "critical_incidents > 0",
        criteria=("error_rate < 1 %", "mismatch < 1 %", "p99 < 200 ms", "segments(engagement) < 5 %"),
    )
    assert dict(found.family_alphas) == dict.fromkeys(Family, 0.01)
    assert found.total == pytest.approx(0.05)
    # Nine tenths where criteria of the family may refute, all of it elsewhere; nothing for incidents.
    assert found.trigger_alphas == pytest.approx((0.009, 0.009, 0.009, 0.01, 0.01, 0.0))
    assert found.trigger_counts == (1, 2, 2, 1, 1, 1)
    # A tenth of the family, divided; segments have all of theirs.
    assert found.refutation_alphas[0] == pytest.approx((0.0005, 0.0005, 0.001, 0.01))


def test_sums_of_triggers_and_refutations_are_the_familys_alpha() -> None:
    found = ledger("error_rate > 3 %", criteria=("error_rate < 1 %", "mismatch < 1 %"))
    assert found.trigger_alphas[0] + sum(found.refutation_alphas[0]) == pytest.approx(0.01)


def test_a_family_without_triggers_spends_a_tenth() -> None:
    found = ledger("error_rate > 3 %", criteria=("p99 < 200 ms", "p95 < 100 ms"))
    assert found.family_alphas[Family.LATENCY] == pytest.approx(0.001)
    assert found.refutation_alphas[0] == pytest.approx((0.0005, 0.0005))
    assert found.total == pytest.approx(0.011)


def test_a_criterion_that_only_reports_spends_nothing() -> None:
    found = ledger("error_rate > 3 %", criteria=("{statement: error_rate < 1 %, report_only: true}",))
    assert found.refutation_alphas == ((0.0,),)
    assert found.trigger_alphas == pytest.approx((0.01,))


def test_the_largest_alpha_of_a_family_counts() -> None:
    found = ledger(
        "{statement: p99 > 250 ms, alpha: 0.02}",
        "{statement: p95 > 200 ms, alpha: 0.005}",
        criteria=("error_rate < 1 %",),
    )
    assert found.family_alphas[Family.LATENCY] == pytest.approx(0.02)
    assert found.trigger_alphas == pytest.approx((0.02, 0.02))
