"""A server that does not split its learners as the plan says: its own metrics show it, and nothing advances."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout
from covey_server.answering import routing

from .world import World


@pytest.mark.parametrize("served", [1.0, 1.5])
def test_a_broken_split_is_invalid(served: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the learners should get the candidate; with 1.5 times as many it is three of four."""
    honest = routing.in_candidate
    monkeypatch.setattr(routing, "in_candidate", lambda bucket, bp: honest(bucket, round(bp * served)))
    world = World(tmp_path)
    try:
        world.begin()
        with world.controller() as loop:
            world.run(loop, lambda: world.state().phase == "rollout" or len(world.ticks()) >= 20, passes=40)
        state, rollout, ticks = world.state(), world.rollout(), world.ticks()
    finally:
        world.close()
    if served == 1:
        assert state.phase == "rollout", "the twin with an honest split advances"
        return
    counted = {learners.variant: learners.learner_count for learners in ticks[-1].learners}
    share = counted["variants/native"] / sum(counted.values())
    assert share == pytest.approx(0.75, abs=0.03)
    assert rollout.state == Rollout.STATE_HOLDING
    assert state.phase == "canary"
    assert state.candidate_weight_bp == 5000, "an untrue split stops the advance and rolls nothing back"
    verdicts = [verdict for verdict in rollout.verdicts if verdict.role == Verdict.ROLE_CRITERION]
    assert {verdict.result for verdict in verdicts} == {Verdict.RESULT_INVALID}
    assert "got the candidate where 50 % should" in verdicts[0].sentence
