"""Harmless rollouts through the live decide() stay within the ledger, and a gate that believes too soon does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covey.rollout import questions, weighing
from covey.rollout.model import Plan
from covey.rollout.simulation import Ending, World, simulate
from covey.rollout.spec import load_spec
from covey.rollout.verify.live import WithinLedger, within_ledger

DEMO = Path(__file__).parents[2] / "examples" / "demo-plan.yaml"
# `make gates-live` has 500.
ROLLOUTS = 12


def harmless(rollouts: int) -> WithinLedger:
    """The demo's plan at the demo's own rate."""
    spec = load_spec(DEMO.read_text(encoding="utf-8"), DEMO.name)
    endings = [
        simulate(spec, World(200.0, watch_ticks=20), np.random.default_rng([1, number])) for number in range(rollouts)
    ]
    return within_ledger(endings, Plan.of(spec).ledger.total)


def ending(cause: str) -> Ending:
    return Ending("ROLLED_BACK" if cause else "SUCCEEDED", cause, "", "canary", 60.0, None, 1000, 100)


def test_only_rollbacks_by_evidence_are_held_against_the_ledger() -> None:
    endings = [ending(cause) for cause in ("", "trigger", "criterion", "max hold", "abort", "unavailable")]
    found = within_ledger(endings, 0.05)
    assert (found.rollouts, found.rolled_back) == (6, 2)


@pytest.mark.parametrize(("rolled_back", "holds"), [(0, True), (12, True), (16, False), (500, False)])
def test_the_bound_is_held_against_the_ledger_not_the_share(rolled_back: int, holds: bool) -> None:
    found = within_ledger([ending("trigger")] * rolled_back + [ending("")] * (500 - rolled_back), 0.05)
    assert found.holds == holds
    assert ("not shown to be within" in str(found)) == (not holds)


def test_few_rollouts_show_nothing() -> None:
    assert not within_ledger([ending("")] * 50, 0.05).holds
    with pytest.raises(ValueError, match="found is 0 of 0"):
        within_ledger([], 0.05)


def test_harmless_rollouts_of_the_demo_end_well() -> None:
    assert harmless(ROLLOUTS).rolled_back == 0


def test_a_gate_that_believes_too_soon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = questions.log_threshold
    # What the families of triggers spend is 0.9 %; criteria and their refutations stay as they are.
    monkeypatch.setattr(weighing, "log_threshold", lambda alpha: -2.0 if 0.002 < alpha < 0.02 else right(alpha))
    assert harmless(4).rolled_back >= 3
