"""A journal under another plan."""

from __future__ import annotations

import pytest

from covey.rollout.other_gates import judged_by
from covey.rollout.state import State

from .world import SHORT_PLAN, ended, in_phase, plan, started


def test_the_same_plan_decides_the_same() -> None:
    world = started(requests_per_second=700.0)
    world.run(ended)
    made = judged_by(world.journal.entries, world.journal.entries[0].created.spec)
    assert made.state.state == State.STATE_SUCCEEDED
    assert not any("of another size" in note for note in made.notes)


def test_a_stricter_plan_would_have_rolled_back() -> None:
    world = started(requests_per_second=700.0, error_rate=0.025)
    world.run(ended)
    assert "max_hold" in world.journal.state.explanation
    stricter = SHORT_PLAN.replace("error_rate > 3 %", "error_rate > 0.5 %")
    made = judged_by(world.journal.entries, plan(stricter))
    assert made.state.state in {State.STATE_ROLLED_BACK, State.STATE_ROLLING_BACK}
    assert "error_rate > 0.5 %" in made.state.explanation
    assert made.entries[-1].time.ToSeconds() <= world.journal.entries[-1].time.ToSeconds()


def test_another_share_is_said() -> None:
    world = started(requests_per_second=700.0)
    world.run(in_phase("rollout"))
    made = judged_by(world.journal.entries, plan(SHORT_PLAN.replace("5 %", "20 %")))
    assert any("to 5 % of the learners where this plan would have to 20 %" in note for note in made.notes)


def test_another_candidate_was_not_counted() -> None:
    world = started()
    with pytest.raises(ValueError, match="the journal's candidate is variants/native"):
        judged_by(world.journal.entries, plan(SHORT_PLAN.replace("candidate: native", "candidate: other")))
