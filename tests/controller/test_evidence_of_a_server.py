"""The server's own page through the controller: shards and durations reach the gates, a broken split holds."""

from __future__ import annotations

from pathlib import Path

from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout

from .pages import BASELINE, CANDIDATE
from .world import PLAN, World

COMPARING = f"{PLAN}  - statement: p99 worse than baseline\n"


def test_shards_and_durations_add_up_to_the_requests(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.begin(COMPARING)
    with world.controller() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 120)
    (reading,) = world.ticks()[-1].readings
    state = world.state()
    world.close()
    assert [shards.variant for shards in reading.shards] == [BASELINE, CANDIDATE]
    for counters, shards, durations in zip(reading.variants, reading.shards, reading.durations, strict=True):
        assert counters.request_count > 100
        assert sum(shards.request_counts) == sum(durations.request_counts) == counters.request_count
        assert len(durations.request_counts) == len(reading.durations[0].edges_seconds) + 1
    assert state.gates.thresholds[0] is not None, "the gates know the baseline's p99"
    assert reading.ByteSize() < 5_000


def test_a_split_that_does_not_follow_the_plan_is_invalid_and_holds(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.begin()

    def cheat() -> bool:
        """Somebody sends the candidate learners that the hash gave to the baseline."""
        split = world.server.board.current(world.wall())
        assert split is not None
        for number in range(75 if split.phase else 0):
            world.server.ledger.record(split, f"sent-{world.seconds}-{number}", CANDIDATE, "", world.wall())
        return world.state().phase_elapsed_seconds >= 600

    with world.controller() as loop:
        world.run(loop, cheat)
    rollout, kinds = world.rollout(), world.kinds()
    world.close()
    assert rollout.state == Rollout.STATE_HOLDING, rollout
    assert rollout.phase == "canary"
    assert "split" in rollout.explanation
    criteria = [verdict for verdict in rollout.verdicts if verdict.role == Verdict.ROLE_CRITERION]
    assert {verdict.result for verdict in criteria} == {Verdict.RESULT_INVALID}
    assert "rollback_started" not in kinds, "an invalid split stops the advance, it is no harm"
