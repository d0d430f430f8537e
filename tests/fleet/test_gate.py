"""The global gate: exact sums, what three regions show together, and that the order of looks does not matter."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest

from covey.fleet.gate import GlobalGate, judge_globally
from covey.fleet.journal import RegionJournal, RegionLook
from covey.fleet.model import NO_GATE, GlobalReading
from covey.fleet.spec import load_fleet, region_spec
from covey.rollout import commands
from covey.rollout.spec import dump_spec
from covey.v1.evidence_pb2 import Verdict
from covey.v1.fleet_pb2 import FleetSpec

from .fleets import GATE, fleet_text

STRICT = """\
global_gate:
  criteria:
    - {statement: error_rate < 0.5 %, margin: 0}
    - p90 < 200 ms
  triggers:
    - {statement: error_rate > 1 %, tolerance: 0}
"""


def looks_of(
    worlds: ModuleType, fleet: FleetSpec, seconds: float = 300.0, **traffic: Any
) -> dict[str, list[RegionLook]]:
    """Looks of each region's rollout in virtual time; what is said of traffic holds everywhere, or in `only` one."""
    only, found = traffic.pop("only", ""), {}
    for region in fleet.regions:
        mine = traffic if only in {"", region.name} else {}
        world = worlds.World(worlds.Traffic(**mine), spec=dump_spec(region_spec(fleet, region)))
        world.write(commands.start(world.state, world.now), "ada")
        world.run(seconds)
        journal = RegionJournal(region.name)
        journal.read(world.journal)
        assert journal.state == world.state
        found[region.name] = journal.looks
    return found


def together(looks: dict[str, list[RegionLook]]) -> list[RegionLook]:
    return [look for region in looks.values() for look in region]


def test_the_sum_is_exact(worlds: ModuleType) -> None:
    fleet = load_fleet(fleet_text(gate=STRICT), "fleet.yaml")
    looks = looks_of(worlds, fleet)
    reading = judge_globally(fleet, together(looks))
    of_phase = [look.of_phase.candidate.counts for look in together(looks) if look.of_phase is not None]
    errors, slow = reading.criteria
    assert (errors.event_count, errors.trial_count) == (
        sum(it.errors for it in of_phase), sum(it.requests for it in of_phase)
    )  # fmt: skip
    assert slow.event_count == sum(it.over[0] for it in of_phase) > 0
    assert reading.triggers[0].trial_count == sum(it.everything.candidate.counts.requests for it in together(looks))


def test_three_regions_show_what_none_of_them_can(worlds: ModuleType) -> None:
    fleet = load_fleet(fleet_text(gate=STRICT), "fleet.yaml")
    looks = looks_of(worlds, fleet, seconds=110.0, requests_per_second=45.0, error_rate=lambda _: 0.0)
    alone = [judge_globally(fleet, region).criteria[0].result for region in looks.values()]
    assert alone == [Verdict.RESULT_INSUFFICIENT] * 3
    assert judge_globally(fleet, together(looks)).criteria[0].result == Verdict.RESULT_PASS


def test_harm_that_is_spread_over_regions_is_found(worlds: ModuleType) -> None:
    fleet = load_fleet(fleet_text(gate=GATE), "fleet.yaml")
    harmless = judge_globally(fleet, together(looks_of(worlds, fleet)))
    harmful = judge_globally(fleet, together(looks_of(worlds, fleet, error_rate=lambda _: 0.055)))
    assert (harmless.harm, bool(harmful.harm)) == ("", True)
    assert "error_rate > 4 %" in harmful.harm


def test_neither_order_nor_lateness_matters(worlds: ModuleType) -> None:
    """A region that was out of reach is added late; a coordinator that starts anew adds everything at once."""
    fleet = load_fleet(fleet_text(gate=STRICT), "fleet.yaml")
    looks = looks_of(worlds, fleet, only="us", error_rate=lambda _: 0.01)
    everything = together(looks)
    at_once = judge_globally(fleet, everything)
    shuffled = random.Random(5).sample(everything, len(everything))
    assert judge_globally(fleet, shuffled) == at_once
    gate = GlobalGate(fleet)
    partial = gate.read([*looks["eu"], *looks["ap"]])
    assert partial != at_once
    for end in range(0, len(looks["us"]), 7):
        gate.read([*looks["eu"], *looks["us"][:end], *looks["ap"]])
    assert gate.read(everything) == at_once


def test_a_fleet_without_a_gate_has_nothing_to_wait_for(worlds: ModuleType) -> None:
    fleet = load_fleet(fleet_text(), "fleet.yaml")
    assert judge_globally(fleet, together(looks_of(worlds, fleet, seconds=60.0))) is NO_GATE
    assert (NO_GATE.harm, NO_GATE.refuted, NO_GATE.unproven) == ("", "", "")


@pytest.mark.parametrize("result", [Verdict.RESULT_FAIL, Verdict.RESULT_INSUFFICIENT])
def test_what_is_only_reported_decides_nothing(result: Verdict.Result.ValueType) -> None:
    reading = GlobalReading(criteria=[Verdict(result=result, report_only=True, sentence="x")])
    assert (reading.refuted, reading.unproven) == ("", "")
