"""From outcomes over the wire to a segment that gets the baseline: server, controller and gates together."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np

from covey.v1 import analyzer_pb2, outcomes_pb2
from covey.v1.outcomes_pb2_grpc import OutcomeServiceStub
from covey_controller.probes import probe_request

from .pages import BASELINE, CANDIDATE
from .world import World

LEARNERS_A_LOOK = 60
PLAN = """
target: analyzer
baseline: variants/reference
candidate: variants/native
shadow_share: 0 %
tick_interval: 30s
soak_tick_interval: 1m
probe_interval: 1s
metrics_grace: 1h
outcome_window: 30s
on_segment_harm: exclude
outcomes: [{metric: engagement, low: 0, high: 20}]
phases:
  - name: canary
    traffic_share: 50 %
    hold: 60m
    max_hold: 5h
    criteria:
      - {statement: error_rate < 5 %, margin: 0}
      - statement: segments(engagement) < 10 %
triggers:
  - {statement: error_rate > 10 %, tolerance: 0}
"""


class LearningWorld(World):
    """A world whose learners come from three segments; in one of them the candidate takes half of the engagement."""

    def __init__(self, directory: Path, harmed: str = "brazil") -> None:
        super().__init__(directory)
        self._harmed = harmed
        self._segments = ("asia", harmed, "canada")
        self.served: dict[tuple[str, str], int] = {}
        self._random = np.random.default_rng(3)
        self._outcomes = OutcomeServiceStub(self._channel)

    def traffic(self) -> None:
        requests: list[analyzer_pb2.AnalyzeLearnerRequest] = []
        for _ in range(LEARNERS_A_LOOK):
            self._learner += 1
            request = probe_request()
            request.learner_id = f"learner-{self._learner}"
            request.segment = self._segments[self._learner % len(self._segments)]
            requests.append(request)
        message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests)
        (answer,) = self._stub.AnalyzeLearners(iter([message]), timeout=30)
        report = outcomes_pb2.ReportOutcomesRequest(request_id=str(uuid.uuid4()))
        for request, result in zip(requests, answer.results, strict=True):
            variant = result.response.variant
            place = (request.segment, variant)
            self.served[place] = self.served.get(place, 0) + 1
            level = 5.0 if place == (self._harmed, CANDIDATE) else 10.0
            outcome = report.outcomes.add(
                learner_id=request.learner_id, metric="engagement", value=self._random.normal(level, 2.0)
            )
            outcome.time.FromDatetime(self.wall())
        self._outcomes.ReportOutcomes(report, timeout=30)


def test_harm_in_one_segment_takes_that_segment_back_and_the_rollout_goes_on(tmp_path: Path) -> None:
    world = LearningWorld(tmp_path)
    try:
        world.begin(PLAN)
        with world.controller() as loop:
            world.run(loop, lambda: bool(world.state().excluded_segments), passes=80)
            assert world.state().excluded_segments == ("brazil",)
            assert world.served["brazil", CANDIDATE] > 100
            world.served.clear()
            counted = world.ticks()[-1].readings[0].variants[0].request_count
            world.run(loop, lambda: len(world.ticks()) >= 45, passes=80)
        rollout, kinds, tick = world.rollout(), world.kinds(), world.ticks()[-1]
    finally:
        world.close()
    assert ("brazil", CANDIDATE) not in world.served
    assert world.served["brazil", BASELINE] > 100
    assert world.served["canada", CANDIDATE] > 0
    assert list(rollout.excluded_segments) == ["brazil"]
    assert "rollback_started" not in kinds
    assert rollout.candidate_weight_bp == 5000
    # Neither arm counts the requests of the segment, and no total has its learners.
    of_others = world.served["asia", BASELINE] + world.served["canada", BASELINE]
    since = tick.readings[0].variants[0].request_count - counted
    # The look in which it was excluded is counted, and not among those served since.
    assert since <= of_others + LEARNERS_A_LOOK < of_others + world.served["brazil", BASELINE]
    assert {moments.segment for moments in tick.outcomes} == {"", "asia", "canada"}


def test_harm_in_what_is_folded_together_rolls_back(tmp_path: Path) -> None:
    """Its learners name other segments: excluding it would reach nobody and hide the harm."""
    world = LearningWorld(tmp_path, "other")
    try:
        world.begin(PLAN)
        with world.controller() as loop:
            world.run(loop, lambda: "rollback_started" in world.kinds(), passes=80)
        state = world.state()
    finally:
        world.close()
    assert not state.excluded_segments
    assert "segment 'other'" in state.explanation
