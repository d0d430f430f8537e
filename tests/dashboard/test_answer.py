"""The five seconds at 3 a.m.: what, why and what to press, in every state."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from covey.rollout import commands
from covey.rollout.resource import to_resource
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.view.answer import answer, forecast
from covey_dashboard.view.rollouts import rollout_items


def told(world: Any, after: float = 0.0) -> Any:
    return answer(to_resource(world.state), world.now + timedelta(seconds=after))


def test_a_draft_says_start(worlds: ModuleType) -> None:
    said = told(worlds.World())
    assert (said.state, said.tone, said.verb) == ("DRAFT", "calm", "start")
    assert said.what == "Not started: everybody gets reference."
    assert not said.command  # the button says it


def test_a_running_rollout_says_that_nothing_is_to_be_done_and_when_it_goes_on(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(300)
    said = told(world)
    assert (said.state, said.tone, said.verb) == ("RUNNING", "good", "")
    assert said.what == "10 % of learners get native, in phase canary."
    assert said.press.startswith("Nothing: it advances by itself")
    assert said.forecast.startswith("in about ")
    assert 0 < said.elapsed_part < 1


def test_waiting_for_people_names_them(worlds: ModuleType) -> None:
    world = worlds.World()
    world.write(commands.start(world.state, world.now, reason="go"), "ada")
    world.run(30)
    said = told(world)
    assert (said.state, said.tone, said.verb) == ("AWAITING APPROVAL", "wait", "approve")
    assert said.press == "Phase canary needs the approval of engineering, operations."


def test_a_hold_without_traffic_says_what_is_not_shown(held: Any) -> None:
    said = told(held)
    assert (said.state, said.tone) == ("HOLDING", "wait")
    assert said.what == "Phase canary does not advance. 10 % of learners get native."
    assert said.why.startswith("Not shown yet: error_rate < 1 %")
    assert said.forecast == "error_rate < 1 % cannot be shown at this rate"


def test_a_silent_controller_is_bad_news_and_comes_first(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(300)
    said = told(world, after=600)
    assert said.is_silent
    assert said.tone == "bad"
    assert said.press.startswith("No controller has looked since")
    assert said.command == "covey controller --target analyzer"
    assert "as old as its last look" in said.why


def test_a_rollback_says_that_everybody_is_safe(back: Any) -> None:
    said = told(back)
    assert (said.state, said.tone) == ("ROLLED BACK", "bad")
    assert said.what == "native was taken back. Everybody gets reference."
    assert "candidate requests failed" in said.why


def test_an_end_says_who_gets_what(done: Any) -> None:
    said = told(done)
    assert (said.what, said.share_text, said.tone) == ("Done: everybody gets native.", "100 %", "good")


def test_a_pause_is_seen_in_every_state(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(60)
    world.write(commands.pause(world.state, world.now), "ada")
    said = told(world)
    assert said.what.startswith("Paused. ")
    assert (said.tone, said.verb) == ("wait", "resume")
    assert not said.forecast


def test_a_critical_incident_asks_to_be_resolved(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(60)
    incident = commands.report_incident(
        world.state, world.now, incident_id="INC-1", critical=True, description="login is down"
    )
    world.write(incident, "ada")
    said = told(world)
    assert (said.tone, said.verb) == ("bad", "resolve-incident")


@pytest.mark.parametrize("state", Rollout.State.values())
def test_every_state_has_its_words(state: Rollout.State.ValueType, held: Any) -> None:
    rollout = to_resource(held.state)
    rollout.state = state
    said = answer(rollout, held.now)
    is_known = state != Rollout.STATE_UNSPECIFIED
    assert ("does not know" not in said.what) == is_known
    assert said.press


def test_what_cannot_be_shown_is_said_in_the_forecast(worlds: ModuleType) -> None:
    world = worlds.World(worlds.Traffic(requests_per_second=0.01))
    world.start()
    world.run(300)
    assert "cannot be shown at this rate" in forecast(to_resource(world.state))


def test_who_needs_people_stands_first_in_the_list(worlds: ModuleType, done: Any, held: Any) -> None:
    def named(world: Any, name: str) -> Rollout:
        rollout = to_resource(world.state, verdicts=False)
        rollout.name = f"rollouts/{name}"
        return rollout

    running = worlds.World()
    running.start()
    running.run(60)
    rollouts = [named(done, "done"), named(running, "running"), named(held, "holding")]
    items = rollout_items(rollouts, running.now)
    assert [item.name for item in items] == ["holding", "running", "done"]
