"""Buttons: what is legal now and theirs to press, by the state machine's own rules."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from covey.rollout import commands
from covey.rollout.resource import to_resource
from covey_dashboard.offers import Offer, offers
from covey_dashboard.person import Person
from covey_dashboard.verbs import VERBS

METHODS = frozenset(verb.method for verb in VERBS.values())
EVERYBODY = Person("ada", signs_for=frozenset({"*"}), methods=METHODS)
ENGINEER = Person(
    "edda", signs_for=frozenset({"engineering"}), methods=frozenset({"ApproveRollout", "DenyRollout", "RevokeApproval"})
)


def offered(world: Any, person: Person = EVERYBODY) -> list[Offer]:
    return offers(world.state, to_resource(world.state), person, world.now)


def names(found: list[Offer]) -> list[str]:
    return [offer.verb.name for offer in found]


def test_who_may_call_nothing_sees_nothing(worlds: ModuleType, held: Any) -> None:
    for world in (worlds.World(), held):
        assert offered(world, Person("vera")) == []


def test_a_draft_is_started_first_of_all(worlds: ModuleType) -> None:
    found = offered(worlds.World())
    assert found[0].verb.name == "start"
    assert found[0].is_next
    assert "resume" not in names(found)


def test_an_end_leaves_nothing_to_press(done: Any, back: Any) -> None:
    assert offered(done) == offered(back) == []


def test_a_pause_makes_resuming_the_next_step(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(60)
    assert {"pause", "abort"} <= set(names(offered(world)))
    world.write(commands.pause(world.state, world.now), "ada")
    found = offered(world)
    assert (found[0].verb.name, found[0].is_next) == ("resume", True)
    assert "pause" not in names(found)


def test_a_hold_asks_for_somebody_to_look_after_it(held: Any) -> None:
    found = offered(held)
    assert found[0].verb.name == "acknowledge"
    assert "promote" not in names(found)  # it would need everybody's approval of the next phase


def test_approvers_get_their_own_roles_while_the_phase_is_to_come(worlds: ModuleType) -> None:
    world = worlds.World()
    world.write(commands.start(world.state, world.now), "ada")
    world.run(30)
    found = offered(world, ENGINEER)
    assert [(offer.verb.name, offer.is_next) for offer in found] == [("approve", True), ("deny", False)]
    assert "role=engineering" in found[0].query
    assert "evidence_digest=" in found[0].query
    world.write(commands.approve(world.state, world.now, phase="canary", role="engineering"), "edda")
    assert names(offered(world, ENGINEER)) == ["revoke"]


def test_only_the_signature_that_is_awaited_stands_out(worlds: ModuleType) -> None:
    spec = worlds.plan().replace(
        "- {statement: error_rate < 1 %, margin: 0}", "- {statement: error_rate < 1 %, accept_by: finance}"
    )
    spec = spec.replace("  - name: rollout", "    approvals: {roles: [operations]}\n  - name: rollout")
    world = worlds.World(worlds.Traffic(requests_per_second=0.5), spec=spec)
    world.start()
    world.run(700)
    stand_out = {offer.label for offer in offered(world) if offer.is_next}
    assert stand_out == {"Accept error_rate < 1 % for finance", "I look after it"}


def test_incidents_are_reported_and_resolved(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(60)
    incident = commands.report_incident(world.state, world.now, incident_id="INC 1", critical=True, description="x")
    world.write(incident, "ada")
    found = {offer.verb.name: offer for offer in offered(world)}
    assert found["resolve-incident"].query == "incident_id=INC+1"
    assert found["resolve-incident"].is_next
    assert found["report-incident"].place == "incidents"


def test_every_verb_says_what_it_does(held: Any) -> None:
    rollout = to_resource(held.state)
    subject = {"phase": "ramp", "role": "engineering", "incident_id": "INC-1"}
    told = [verb.told(rollout, subject) for verb in VERBS.values()]
    assert len(set(told)) == len(VERBS)
    assert all(text.endswith(".") and len(text) > 20 for text in told)
