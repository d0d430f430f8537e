"""Three real control ports in virtual time under the coordinator: waves, outages, crashes, doubles, the report."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from covey.fleet.model import FleetState
from covey.report.fleet import fleet_report
from covey.report.fleet_forms import write_fleet_html, write_fleet_markdown
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout

from .conftest import Regions, turn
from .fleets import GATE

MakeRegions = Callable[..., Regions]
# A phase of 100 s is ten looks; the weight takes a look or two.
A_PHASE, TO_THE_END = 13, 80


def test_waves_an_outage_and_the_catching_up(regions_of: MakeRegions) -> None:
    regions = regions_of(done="ramp", gate=GATE)
    coordinator = regions.coordinator()
    turn(coordinator, 2)
    assert regions.kinds("eu") == ["created", "started"]
    assert regions.kinds("us") == regions.kinds("ap") == ["created"]
    assert regions.clients["us"].get_rollout("three").spec.fleet.region == "us"

    regions.cut("us")
    regions.go_on("eu", A_PHASE)
    look = turn(coordinator, 2)
    assert look.decision.state is FleetState.WAITING
    assert "us" in look.decision.sentence or "us" in look.decision.waits["us"]
    assert regions.kinds("ap") == ["created"]
    assert regions.go_on("eu", TO_THE_END).state == Rollout.STATE_SUCCEEDED, "the others go on"

    regions.heal("us")
    look = turn(coordinator, 2)
    assert "started" in regions.kinds("us"), "it is caught up"
    assert "incident_reported" in regions.kinds("us"), "its journal tells of the outage"
    assert [it.incident_id for it in regions.clients["us"].get_rollout("three").open_incidents] == []

    regions.go_on("us", A_PHASE)
    regions.cut("us")
    turn(coordinator, 1)
    assert "started" not in regions.kinds("ap"), "nobody knows whether us is still well"
    before = len(regions.kinds("us"))
    assert regions.go_on("us", TO_THE_END).state == Rollout.STATE_SUCCEEDED, "it needs nobody"
    assert len(regions.kinds("us")) > before
    regions.heal("us")
    turn(coordinator, 2)
    regions.go_on("ap", TO_THE_END)
    look = turn(coordinator)
    assert (look.decision.state, look.decision.is_final) == (FleetState.SUCCEEDED, True)
    assert [verdict.result for verdict in look.gate.criteria] == [Verdict.RESULT_PASS]
    counted = sum(it.everything.candidate.counts.requests for j in coordinator.journals.values() for it in j.looks)
    assert look.gate.criteria[0].trial_count > 0.9 * counted, "the sum of all regions"


def test_a_region_that_is_cut_off_rolls_back_alone(regions_of: MakeRegions) -> None:
    regions = regions_of(waves=(1, 1, 2))
    coordinator = regions.coordinator()
    turn(coordinator, 2)
    regions.go_on("us", 5)
    regions.cut("us")
    turn(coordinator, 2)
    regions.controllers["us"].traffic.error_rate = lambda _: 0.3
    rollout = regions.go_on("us", 40)
    assert rollout.state == Rollout.STATE_ROLLED_BACK, "nothing central is needed for that"
    regions.heal("us")
    look = turn(coordinator, 2)
    assert look.decision.state is FleetState.RUNNING, "eu goes on"
    regions.go_on("eu", TO_THE_END)
    look = turn(coordinator, 2)
    assert look.decision.state is FleetState.STOPPED
    assert regions.kinds("ap") == ["created"]
    report = fleet_report(regions.fleet, look.views, coordinator.journals, look.gate, look.decision, look.time)
    (us,) = (it for it in report.regions if it.name == "us")
    assert us.state == "ROLLED BACK" and "error_rate" in us.why
    markdown, page = write_fleet_markdown(report), write_fleet_html(report)
    for text in (markdown, page):
        assert "STOPPED" in text and "taken back: us" in text
    assert markdown.index("STOPPED") < markdown.index("Regions") < markdown.index("Timeline"), "the decision first"
    assert "<script" not in page and "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_one_bad_region_takes_all_back_and_one_out_of_reach_later(regions_of: MakeRegions) -> None:
    regions = regions_of(waves=(1, 1, 2), harm="rollback_all")
    coordinator = regions.coordinator()
    turn(coordinator, 2)
    for name in ("eu", "us"):
        regions.go_on(name, 5)
    regions.cut("eu")
    regions.controllers["us"].traffic.error_rate = lambda _: 0.3
    regions.go_on("us", 40)
    look = turn(coordinator)
    assert look.decision.state is FleetState.ROLLING_BACK
    assert regions.clients["ap"].get_rollout("three").state == Rollout.STATE_ABORTED, "a draft, too"
    assert regions.clients["eu"].get_rollout("three").state == Rollout.STATE_RUNNING
    regions.heal("eu")
    turn(regions.coordinator(), 2)  # another one, who was not there
    assert regions.clients["eu"].get_rollout("three").candidate_weight_bp == 0
    regions.go_on("eu", 5)
    assert turn(coordinator).decision.state is FleetState.ROLLED_BACK


def test_coordinators_may_be_doubled_and_killed_at_any_time(regions_of: MakeRegions) -> None:
    """Several that share nothing turn at once, and new ones take over: every verb happens once."""
    regions = regions_of(waves=(1, 2, 2), done="ramp")
    with ThreadPoolExecutor(3) as pool:
        for _ in range(8):
            rivals = [regions.coordinator() for _ in range(3)]
            list(pool.map(turn, rivals))
            for name in ("eu", "us", "ap"):
                if "started" in regions.kinds(name):
                    regions.go_on(name, A_PHASE)
            for rival in rivals:
                rival.close()
    for name in ("eu", "us", "ap"):
        kinds = regions.kinds(name)
        assert kinds[:2] == ["created", "started"]
        assert (kinds.count("started"), kinds.count("finished")) == (1, 1)
        assert "incident_reported" not in kinds
    assert regions.coordinator().look().decision.state is FleetState.SUCCEEDED


@pytest.mark.parametrize("cut_off", ["us", ""])
def test_an_abort_of_all_reaches_who_was_out_of_reach(regions_of: MakeRegions, cut_off: str) -> None:
    regions = regions_of(waves=(1, 1, 2))
    coordinator = regions.coordinator()
    turn(coordinator, 2)
    for name in ("eu", "us"):
        regions.go_on(name, 5)
    if cut_off:
        regions.cut(cut_off)
    coordinator.turn(abort_reason="a law")
    shares = {name: regions.clients[name].get_rollout("three").candidate_weight_bp for name in ("eu", "us")}
    assert shares == {"eu": 0, "us": 1000 if cut_off else 0}
    if cut_off:
        regions.heal(cut_off)
        turn(regions.coordinator(), 1)
        assert regions.clients["us"].get_rollout("three").candidate_weight_bp == 0
    reasons = {it.reason for it in regions.clients["eu"].list_entries("three", omit_ticks=True)}
    assert "a law" in reasons
