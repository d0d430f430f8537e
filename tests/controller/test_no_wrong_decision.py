"""Every broken page at the worst moment: everything is proven and the phase's time is over. Nothing may move."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.state import RolloutState
from covey.v1.evidence_pb2 import ReplicaReading
from covey_controller.config import Replica
from covey_controller.evidence import Gathered, Subject, gather
from covey_controller.scraper import Scraper

from .pages import Answer, http, page, sending, serving
from .test_broken_pages import BROKEN, LIMITS
from .world import NAME, PLAN, World

MOVES = {"phase_entered", "finished", "rollback_started"}
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


def look(answer: Answer, state: RolloutState, previous: Mapping[str, ReplicaReading]) -> Gathered:
    with serving(answer) as server:
        scraper = Scraper([Replica(REPLICA, "127.0.0.1:1", server.url)], LIMITS)
        gathered = gather(scraper.look(time.time() - 60), Subject.of(NAME, state.spec), previous)
        scraper.close()
    return gathered


def decided(state: RolloutState, gathered: Gathered) -> set[str]:
    """What the tick of a minute later brings, by name of the payloads."""
    assert state.last_tick_at is not None
    now = state.last_tick_at + timedelta(seconds=60)
    evidence = Evidence(60.0, now, gathered.readings, (), gathered.outcomes, gathered.learners, gathered.absences)
    return {entry.WhichOneof("payload") or "" for entry in decide(state.spec, state, evidence, now)}


def test_an_honest_page_advances(proven: RolloutState) -> None:
    """The twin: at this moment a page that can be believed does move the rollout."""
    gathered = look(sending(http(page())), proven, proven.last_readings)
    assert not gathered.absences
    assert "phase_entered" in decided(proven, gathered)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_page_moves_nothing(name: str, proven: RolloutState) -> None:
    answer, kind = BROKEN[name]
    gathered = look(answer, proven, proven.last_readings)
    assert kind in {absence.type for absence in gathered.absences}
    assert not decided(proven, gathered) & MOVES
