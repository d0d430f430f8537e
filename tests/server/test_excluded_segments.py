"""A segment that is harmed goes back to the baseline at once, and the arms are compared on the rest."""

from __future__ import annotations

import pytest

from covey.v1 import analyzer_pb2, journal_pb2
from covey_server.store import StoreError

from .rollout_rooms import Rooms
from .running import NATIVE, REFERENCE, ServedHere, question

Message = analyzer_pb2.AnalyzeLearnersRequest


def asked(learner_id: str, segment: str) -> analyzer_pb2.AnalyzeLearnerRequest:
    request = question(learner_id)
    request.segment = segment
    return request


def excluded(segment: str) -> journal_pb2.Entry:
    return journal_pb2.Entry(
        segment_excluded=journal_pb2.SegmentExcluded(
            segment=segment, statement="segments(engagement) < 5 %", explanation="it falls by 20 %"
        )
    )


def test_its_learners_get_the_baseline_and_are_counted_in_neither_arm(server: ServedHere) -> None:
    server.split(10_000, excluded_segments=frozenset({"eu"}), shadow_share=1.0)
    inside = server.analyzer.AnalyzeLearner(asked("ada", "eu"), timeout=30)
    outside = server.analyzer.AnalyzeLearner(asked("bob", "us"), timeout=30)
    assert (inside.variant, outside.variant) == (REFERENCE, NATIVE)
    assert not inside.exposure_token
    assert outside.exposure_token
    assert server.count(variant="excluded", code="OK") == 1
    assert server.count(variant=REFERENCE) == 0
    assert server.count("covey_shard_requests_total", variant="excluded") == 1
    assert server.samples("covey_learners", variant=NATIVE) == {(("segment", ""),): 0, (("segment", "us"),): 1}
    assert server.samples("covey_learners", variant=REFERENCE) == {(("segment", ""),): 0}


def test_a_message_is_parted_by_segment(server: ServedHere) -> None:
    server.split(5_000, excluded_segments=frozenset({"eu"}))
    segments = ["eu" if number % 2 else "us" for number in range(100)]
    requests = [asked(str(number), segment) for number, segment in enumerate(segments)]
    (answer,) = server.analyzer.AnalyzeLearners(iter([Message(requests=requests)]), timeout=60)
    found = [result.response for result in answer.results]
    assert [one.learner_id for one in found] == [str(number) for number in range(100)]
    of_excluded = [one for one, segment in zip(found, segments, strict=True) if segment == "eu"]
    of_others = [one for one, segment in zip(found, segments, strict=True) if segment == "us"]
    assert {one.variant for one in of_excluded} == {REFERENCE}
    assert not any(one.exposure_token for one in of_excluded)
    assert {one.variant for one in of_others} == {REFERENCE, NATIVE}
    assert server.count(variant="excluded", code="OK") == 50
    assert server.count("covey_learners") == 50


def test_the_journal_takes_the_segment_back_with_the_commit(rooms: Rooms) -> None:
    rooms.to_canary()
    before = rooms.board.current(rooms.clock.now)
    assert before is not None
    written = rooms.append(excluded("eu"))
    after = rooms.board.current(rooms.clock.now)
    assert after is not None
    assert after.excluded_segments == {"eu"}
    assert after.candidate_weight_bp == before.candidate_weight_bp == 100
    assert written.state.excluded_segments == ("eu",)
    rooms.enter("full", 10_000)
    rooms.append(excluded("us"))
    early = rooms.board.current(rooms.clock.now)
    assert early is not None
    assert (early.candidate_weight_bp, early.excluded_segments) == (100, {"eu", "us"}), "not after the new weight"
    again = rooms.reopened()
    try:
        again.clock.pass_time(1)
        split = again.board.current(again.clock.now)
        assert split is not None
        assert (split.candidate_weight_bp, split.excluded_segments) == (10_000, {"eu", "us"})
    finally:
        again.close()


def test_an_exclusion_does_not_bring_back_a_weight_that_was_set_to_zero(rooms: Rooms) -> None:
    rooms.to_canary()

    def failing(connection: object) -> None:
        raise StoreError("the disk is gone", place="store.db", remedy="bring it back")

    with pytest.raises(StoreError, match="the disk is gone"):
        rooms.journal.commit(failing, zero_ahead_of="rollouts/x")
    assert rooms.weight() == 0
    rooms.append(excluded("eu"))
    assert rooms.weight() == 0
    split = rooms.board.current(rooms.clock.now)
    assert split is not None
    assert split.excluded_segments == {"eu"}
