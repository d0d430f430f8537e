"""A cohort that the candidate harms while the total gains (Simpson): found through a real server's metrics."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from covey.rollout.outcomes import arms_by_segment, relative_effect
from covey.v1 import analyzer_pb2, cohorts_pb2, events_pb2, outcomes_pb2, traits_pb2, variants_pb2
from covey.v1.evidence_pb2 import Verdict
from covey.v1.outcomes_pb2_grpc import OutcomeServiceStub

from .pages import CANDIDATE
from .world import BEGIN, World

STEADY = "variants/steady"
NEWCOMERS, REGULARS = "cohort-0", "cohort-1"
DAYS = {NEWCOMERS: 1, REGULARS: 28}
# What the candidate makes of an engagement of 10: a third of the learners lose, the others gain more.
EFFECTS = {NEWCOMERS: -4.0, REGULARS: 4.0}
LEARNERS_A_LOOK = 60
DAY_SECONDS = 86_400
PLAN = """
target: analyzer
baseline: variants/steady
candidate: variants/native
shadow_share: 0 %
tick_interval: 30s
soak_tick_interval: 1m
probe_interval: 1s
metrics_grace: 1h
outcome_window: 30s
segment_source: stable_cohort
on_segment_harm: {on_harm}
outcomes: [{{metric: engagement, low: 0, high: 30}}]
phases:
  - name: canary
    traffic_share: 50 %
    hold: 60m
    max_hold: 5h
    criteria:
      - {{statement: error_rate < 5 %, margin: 0}}
      - statement: segments(engagement) < 10 %
      - {{statement: engagement > -3 %, report_only: true}}
triggers:
  - {{statement: error_rate > 10 %, tolerance: 0}}
"""


class CohortWorld(World):
    """A world whose stable variant knows two cohorts, and whose candidate is good for one of them.

    What a learner does under the candidate changes the learner: after the first answer the history is the other
    cohort's.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.served: dict[tuple[str, str], int] = {}
        self._random = np.random.default_rng(3)
        self._outcomes = OutcomeServiceStub(self._channel)
        self._returning: list[str] = []
        self._cohorts: dict[str, str] = {}
        catalogue = self.server.catalogue
        catalogue.add_cohort_model(
            cohorts_pb2.CohortModel(
                name="cohortModels/two",
                trait_weights=traits_pb2.TraitVector(interaction_frequency=1),
                cohorts=[
                    cohorts_pb2.Cohort(index=index, centroid=traits_pb2.TraitVector(interaction_frequency=frequency))
                    for index, frequency in enumerate((0.05, 0.9))
                ],
            )
        )
        catalogue.create_variant(
            analyzer_pb2.CreateVariantRequest(
                variant_id="steady",
                variant=variants_pb2.Variant(engine="native", cohort_model="cohortModels/two"),
                request_id="steady",
            )
        )
        with self.server.store.write() as connection:
            catalogue.set_stable(connection, STEADY)

    def traffic(self) -> None:
        requests = [self._question(learner, 29 - DAYS[self._cohorts[learner]]) for learner in self._returning]
        self._returning = []
        for _ in range(LEARNERS_A_LOOK):
            self._learner += 1
            learner = f"learner-{self._learner}"
            cohort = self._cohorts[learner] = NEWCOMERS if self._learner % 3 == 0 else REGULARS
            requests.append(self._question(learner, DAYS[cohort]))
            self._returning.append(learner)
        message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests)
        (answer,) = self._stub.AnalyzeLearners(iter([message]), timeout=30)
        report = outcomes_pb2.ReportOutcomesRequest(request_id=str(uuid.uuid4()))
        for request, result in zip(requests, answer.results, strict=True):
            variant, learner = result.response.variant, request.learner_id
            place = (self._cohorts[learner], variant)
            self.served[place] = self.served.get(place, 0) + 1
            if learner in self._returning:
                level = 10.0 + (EFFECTS[place[0]] if variant == CANDIDATE else 0.0)
                value = self._random.normal(level, 2.0)
                outcome = report.outcomes.add(learner_id=learner, metric="engagement", value=value)
                outcome.time.FromDatetime(self.wall())
        self._outcomes.ReportOutcomes(report, timeout=30)

    def _question(self, learner: str, day_count: int) -> analyzer_pb2.AnalyzeLearnerRequest:
        now = int(BEGIN.timestamp())
        times = np.array([now - DAY_SECONDS * day for day in range(day_count)]) * 1_000_000
        column = events_pb2.DictionaryColumn(values=["d"], indices_uint8=bytes(day_count))
        packed = events_pb2.PackedEvents(
            event_count=day_count, time_us=times.astype("<i8").tobytes(), domain=column, capability=column
        )
        return analyzer_pb2.AnalyzeLearnerRequest(learner_id=learner, packed=packed, as_of=Timestamp(seconds=now))


@pytest.mark.parametrize("on_harm", ["rollback", "exclude"])
def test_harm_to_a_cohort_that_the_total_hides_is_found(on_harm: str, tmp_path: Path) -> None:
    world = CohortWorld(tmp_path)
    found = "rollback_started" if on_harm == "rollback" else "segment_excluded"
    try:
        world.begin(PLAN.format(on_harm=on_harm))
        with world.controller() as loop:
            world.run(loop, lambda: found in world.kinds(), passes=80)
            (entry,) = [e for e in world.entries() if e.WhichOneof("payload") == found]
            outcomes, spec = world.ticks()[-1].outcomes, world.state().spec
            world.served.clear()
            world.run(loop, lambda: len(world.ticks()) >= 50 or world.state().is_terminal, passes=80)
        kinds, state = world.kinds(), world.state()
    finally:
        world.close()
    arms = arms_by_segment(outcomes, spec, "engagement")
    assert arms.keys() == {"", NEWCOMERS, REGULARS}
    for segment, share in ((NEWCOMERS, 1 / 3), (REGULARS, 2 / 3)):
        seen = sum(arm.learner_count for arm in arms[segment] if arm) / sum(
            arm.learner_count for arm in arms[""] if arm
        )
        assert seen == pytest.approx(share, abs=0.02), "nobody moved, though every history became the other cohort's"
    total = relative_effect(arms[""])
    assert total is not None
    assert total.estimate > 0.05, "the total gains"
    cause = entry.rollback_started if on_harm == "rollback" else entry.segment_excluded
    assert f"segment '{NEWCOMERS}'" in cause.explanation
    assert [v.statement for v in cause.verdicts if v.result == Verdict.RESULT_FAIL] == ["segments(engagement) < 10 %"]
    if on_harm == "rollback":
        assert state.candidate_weight_bp == 0
        return
    assert state.excluded_segments == (NEWCOMERS,)
    assert "rollback_started" not in kinds
    assert (NEWCOMERS, CANDIDATE) not in world.served
    assert world.served[NEWCOMERS, STEADY] > 100
    assert world.served[REGULARS, CANDIDATE] > 100
