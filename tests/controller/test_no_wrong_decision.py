"""Every broken page at the worst moment: everything is proven and the phase's time is over. Nothing may move."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from findings import Finding

from covey.rollout.decide import draft_decision
from covey.rollout.evidence import Evidence
from covey.rollout.state import RolloutState, State
from covey.rollout.units import seconds_of
from covey.v1.evidence_pb2 import ProbeCounts, ReplicaReading
from covey.v1.journal_pb2 import Entry, RollbackStarted
from covey_controller.config import Replica, ScrapeLimits
from covey_controller.evidence import Gathered, Subject, gather
from covey_controller.scraper import Scraper

from .pages import Answer, http, page, sending, serving
from .test_broken_pages import BROKEN, PATIENT, limits
from .world import NAME, PLAN, World

REPLICA = "a"


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutState]:
    """A canary whose criteria pass and whose next tick ends it; its last page was the honest one of the table."""
    world = World(Path(tmp_path_factory.mktemp("world")))
    world.begin(PLAN)
    with world.controller() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 270)
    state = world.state()
    world.close()
    assert state.phase == "canary"
    (honest,) = look(sending(http(page())), state, {}).readings
    yield replace(state, last_readings={REPLICA: honest}, confirmed_replicas=frozenset({REPLICA}))


def look(
    answer: Answer, state: RolloutState, previous: Mapping[str, ReplicaReading], limits: ScrapeLimits = PATIENT
) -> Gathered:
    with serving(answer) as server:
        scraper = Scraper([Replica(REPLICA, "127.0.0.1:1", server.url)], limits)
        gathered = gather(scraper.look(time.time() - 60), Subject.of(NAME, state.spec), previous)
        scraper.close()
    return gathered


def after(state: RolloutState, gathered: Gathered, looks: int, candidate: str = "") -> tuple[RolloutState, list[Entry]]:
    """So many looks later, a minute each; all probes are answered but those of the candidate that is named."""
    made: list[Entry] = []
    for _ in range(looks):
        assert state.last_tick_at is not None
        now = state.last_tick_at + timedelta(seconds=60)
        probes = tuple(
            ProbeCounts(replica=REPLICA, variant=variant, answered_count=60 * lives, unanswered_count=60 * (not lives))
            for variant in (state.spec.baseline, state.spec.candidate)
            for lives in [variant != candidate]
        )
        evidence = Evidence(
            60.0, now, gathered.readings, probes, gathered.outcomes, gathered.learners, gathered.absences
        )
        draft = draft_decision(state.spec, state, evidence, now)
        made += draft.entries
        state = draft.state
    return state, made


def kinds(entries: list[Entry]) -> set[str]:
    return {entry.WhichOneof("payload") or "" for entry in entries}


def test_an_honest_page_advances(proven: RolloutState) -> None:
    """The twin: at this moment a page that can be believed does move the rollout."""
    gathered = look(sending(http(page())), proven, proven.last_readings)
    assert not gathered.absences
    assert "phase_entered" in kinds(after(proven, gathered, 1)[1])


def test_silence_taken_for_health_advances(proven: RolloutState) -> None:
    """The other twin: where what is missing is taken for what was there before, a dead page moves the rollout."""
    answer, _ = BROKEN["NaN"]
    gathered = look(answer, proven, proven.last_readings)
    believed = replace(gathered, readings=tuple(proven.last_readings.values()), absences=())
    assert "phase_entered" in kinds(after(proven, believed, 1)[1])


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_page_moves_nothing(name: str, proven: RolloutState) -> None:
    """Not at the deciding look; not while it lasts; and a candidate that falls silent is rolled back in time."""
    answer, kind = BROKEN[name]
    gathered = look(answer, proven, proven.last_readings, limits(name))
    assert kind in {absence.type for absence in gathered.absences}
    held, made = after(proven, gathered, 5)
    assert kinds(made) == {"tick", "held"}
    assert held.state == State.STATE_HOLDING
    assert held.phase_elapsed_seconds == proven.phase_elapsed_seconds, "nothing was observed, so nothing dwelt"
    grace = seconds_of(proven.spec.metrics_grace)
    silent = replace(held, unanswered_seconds=grace - 150)
    waiting, made = after(silent, gathered, 2, candidate=proven.spec.candidate)
    assert kinds(made) == {"tick"}
    gone, made = after(waiting, gathered, 3, candidate=proven.spec.candidate)
    (rollback,) = (entry.rollback_started for entry in made if entry.HasField("rollback_started"))
    assert rollback.cause == RollbackStarted.CAUSE_UNAVAILABLE
    assert gone.state == State.STATE_ROLLING_BACK, "over only when a page shows that nobody is served"


def test_how_many(finding: Finding) -> None:
    finding(f"{len(BROKEN)} broken pages, each at the deciding look, while it lasts and after metrics_grace")
