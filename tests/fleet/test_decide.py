"""decide_fleet on real journals: waves, harm, outages, strangers, the dwell, the global gate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from covey.fleet.decide import decide_fleet
from covey.fleet.model import ABORT_ALL, CREATE, PAUSE, START, Action, FleetState, GlobalReading
from covey.fleet.spec import load_fleet
from covey.rollout import commands
from covey.rollout.model import State
from covey.v1.evidence_pb2 import Verdict
from covey.v1.fleet_pb2 import FleetSpec

from .fleets import fleet_text
from .servers import Server, fleet_of, tick

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def made(**options: object) -> tuple[FleetSpec, dict[str, Server]]:
    fleet = load_fleet(fleet_text(**options), "fleet.yaml")  # type: ignore[arg-type]
    return fleet, fleet_of(fleet)


def verbs(fleet: FleetSpec, servers: dict[str, Server], **more: object) -> list[tuple[str, str]]:
    """What would be done now."""
    decision = decide_fleet(fleet, [it.view() for it in servers.values()], NOW, **more)  # type: ignore[arg-type]
    assert all(action.reason for action in decision.actions)
    return [(action.verb, action.region) for action in decision.actions]


def test_drafts_first_then_wave_by_wave() -> None:
    fleet, servers = made()
    assert verbs(fleet, servers) == [(CREATE, "eu"), (CREATE, "us"), (CREATE, "ap")]
    tick(fleet, servers, NOW)
    for name, following in (("eu", "us"), ("us", "ap")):
        assert verbs(fleet, servers) == [(START, name)]
        decision = tick(fleet, servers, NOW)
        assert verbs(fleet, servers) == [], "what was started is not started again"
        assert "waits for wave" in decision.waits[following]
        servers[name].succeed(NOW)
    tick(fleet, servers, NOW)
    servers["ap"].succeed(NOW)
    decision = tick(fleet, servers, NOW)
    assert (decision.state, decision.actions) == (FleetState.SUCCEEDED, ())
    assert "the candidate serves everybody in eu, us, ap" in decision.sentence


def test_regions_of_one_wave_go_side_by_side() -> None:
    fleet, servers = made(waves=(1, 2, 2))
    tick(fleet, servers, NOW, times=2)
    servers["eu"].succeed(NOW)
    assert verbs(fleet, servers) == [(START, "us"), (START, "ap")]


def test_a_wave_may_be_done_in_a_phase() -> None:
    fleet, servers = made(done="rollout")
    tick(fleet, servers, NOW, times=2)
    servers["eu"].go_on(NOW)
    servers["eu"].go_on(NOW)
    assert verbs(fleet, servers) == [], "it is in the ramp"
    servers["eu"].go_on(NOW)
    assert verbs(fleet, servers) == [(START, "us")]


def test_the_dwell_is_waited_for_and_says_until_when() -> None:
    fleet, servers = made(dwell="1h")
    tick(fleet, servers, NOW, times=2)
    servers["eu"].succeed(NOW)
    decision = tick(fleet, servers, NOW + timedelta(minutes=59))
    assert (decision.state, decision.actions) == (FleetState.WAITING, ())
    assert "2026-01-05T10:00:00Z" in decision.sentence
    tick(fleet, servers, NOW + timedelta(minutes=60))
    assert servers["us"].is_started


def test_a_region_whose_clock_is_ahead_makes_no_dwell() -> None:
    fleet, servers = made()
    tick(fleet, servers, NOW, times=2)
    servers["eu"].succeed(NOW + timedelta(hours=1))
    tick(fleet, servers, NOW)
    assert servers["us"].is_started


def test_a_region_out_of_reach_holds_up_later_waves_only() -> None:
    fleet, servers = made(waves=(1, 1, 2))
    servers["us"].cut = True
    tick(fleet, servers, NOW, times=2)
    assert servers["eu"].is_started
    servers["eu"].succeed(NOW)
    decision = tick(fleet, servers, NOW)
    assert (decision.state, decision.actions) == (FleetState.WAITING, ())
    assert "us" in decision.sentence and "out of reach" in decision.waits["us"]
    servers["us"].cut = False
    tick(fleet, servers, NOW, times=2)
    assert servers["us"].is_started, "it is caught up"
    assert not servers["ap"].is_started
    servers["us"].succeed(NOW)
    servers["eu"].cut = True
    decision = tick(fleet, servers, NOW)
    assert decision.state is FleetState.WAITING and not servers["ap"].is_started, "eu may have gone back meanwhile"
    servers["eu"].cut = False
    tick(fleet, servers, NOW)
    assert servers["ap"].is_started


def test_a_bad_region_goes_back_alone_and_nothing_later_starts() -> None:
    fleet, servers = made(waves=(1, 1, 2))
    tick(fleet, servers, NOW, times=2)
    servers["us"].go_on(NOW)
    servers["us"].be_harmed(NOW)
    decision = tick(fleet, servers, NOW)
    assert (decision.state, decision.actions) == (FleetState.RUNNING, ()), "eu goes on"
    servers["us"].go_on(NOW)
    servers["eu"].succeed(NOW)
    decision = tick(fleet, servers, NOW)
    assert (decision.state, decision.actions) == (FleetState.STOPPED, ())
    assert "taken back: us" in decision.sentence
    assert decision.is_final and not servers["ap"].is_started


def test_a_bad_region_may_be_tolerated() -> None:
    fleet, servers = made(waves=(1, 1, 2), tolerated=1)
    tick(fleet, servers, NOW, times=2)
    servers["us"].go_on(NOW)
    servers["us"].be_harmed(NOW)
    servers["us"].go_on(NOW)
    servers["eu"].succeed(NOW)
    tick(fleet, servers, NOW)
    assert servers["ap"].is_started
    servers["ap"].succeed(NOW)
    decision = tick(fleet, servers, NOW)
    assert decision.state is FleetState.SUCCEEDED and "tolerates: us" in decision.sentence


def test_a_bad_region_may_take_everybody_back() -> None:
    fleet, servers = made(waves=(1, 1, 2), harm="rollback_all")
    tick(fleet, servers, NOW, times=2)
    for name in ("eu", "us"):
        servers[name].go_on(NOW)
    servers["us"].be_harmed(NOW)
    servers["eu"].cut = True
    assert verbs(fleet, servers) == [(ABORT_ALL, "ap")], "its draft; us goes back already"
    decision = tick(fleet, servers, NOW)
    assert decision.state is FleetState.ROLLING_BACK and "out of reach: eu" in decision.sentence
    servers["eu"].cut = False
    tick(fleet, servers, NOW)
    assert servers["eu"].state.state == State.STATE_ROLLING_BACK, "it is caught up"
    for name in ("eu", "us"):
        servers[name].go_on(NOW)
    decision = tick(fleet, servers, NOW)
    assert (decision.state, decision.actions) == (FleetState.ROLLED_BACK, ())


def test_an_abort_of_one_region_by_its_people_takes_nobody_else_back() -> None:
    fleet, servers = made(waves=(1, 1, 2), harm="rollback_all")
    tick(fleet, servers, NOW, times=2)
    servers["us"].go_on(NOW)
    servers["us"].write(commands.abort(servers["us"].state, NOW, reason="a strike"), NOW)
    decision = tick(fleet, servers, NOW)
    assert decision.actions == () and decision.state is FleetState.RUNNING


def test_an_abort_wins_and_is_carried_on_by_whoever_sees_one_journal() -> None:
    fleet, servers = made(waves=(1, 1, 2))
    tick(fleet, servers, NOW, times=2)
    servers["us"].cut = True
    tick(fleet, servers, NOW, abort_reason="a law")
    servers["us"].cut = False
    decision = tick(fleet, servers, NOW)
    assert decision.actions == (Action(ABORT_ALL, "us", decision.actions[0].reason),)
    assert "aborted" in decision.actions[0].reason
    assert all(server.state.rollback_cause for server in servers.values())


def test_a_rollout_of_somebody_else_stops_every_start_and_is_left_alone() -> None:
    fleet, servers = made()
    other = load_fleet(fleet_text(dwell="5m"), "fleet.yaml")
    servers["us"].fleet = other
    servers["us"].act(Action(CREATE, "us", "theirs"), NOW)
    tick(fleet, servers, NOW, times=3)
    decision = tick(fleet, servers, NOW)
    assert decision.state is FleetState.HELD and decision.waits["us"].startswith("a rollout of this name is there")
    assert not any(server.is_started for server in servers.values())
    assert (ABORT_ALL, "us") in verbs(fleet, servers, abort_reason="by name, whatever was changed in the file since")


def test_a_pause_by_people_is_no_progress() -> None:
    fleet, servers = made(done="ramp")
    tick(fleet, servers, NOW, times=2)
    servers["eu"].go_on(NOW)
    servers["eu"].go_on(NOW)
    servers["eu"].write(commands.pause(servers["eu"].state, NOW), NOW)
    decision = tick(fleet, servers, NOW)
    assert decision.state is FleetState.HELD and "paused eu" in decision.sentence and not servers["us"].is_started


def verdict(role: Verdict.Role.ValueType, result: Verdict.Result.ValueType) -> Verdict:
    return Verdict(role=role, result=result, statement="error_rate < 2 %", sentence="error_rate < 2 %: the sentence")


@pytest.mark.parametrize(
    ("result", "state", "starts", "pauses"),
    [
        (Verdict.RESULT_PASS, FleetState.RUNNING, True, False),
        (Verdict.RESULT_INSUFFICIENT, FleetState.WAITING, False, False),
        (Verdict.RESULT_INVALID, FleetState.WAITING, False, False),
        (Verdict.RESULT_FAIL, FleetState.HELD, False, True),
    ],
)
def test_the_next_wave_starts_where_the_global_criteria_pass(
    result: Verdict.Result.ValueType, state: FleetState, starts: bool, pauses: bool
) -> None:
    fleet, servers = made(done="ramp")
    tick(fleet, servers, NOW, times=2)
    servers["eu"].go_on(NOW)
    servers["eu"].go_on(NOW)
    gate = GlobalReading(criteria=[verdict(Verdict.ROLE_CRITERION, result)])
    decision = tick(fleet, servers, NOW, gate=gate)
    assert decision.state is state
    assert servers["us"].is_started is starts
    assert servers["eu"].state.paused is pauses
    if pauses:
        servers["eu"].write(commands.resume(servers["eu"].state, NOW), NOW)
        assert (PAUSE, "eu") not in verbs(fleet, servers, gate=gate), "people have decided"


def test_harm_shown_by_all_regions_together_takes_all_back() -> None:
    fleet, servers = made()
    tick(fleet, servers, NOW, times=2)
    servers["eu"].go_on(NOW)
    gate = GlobalReading(triggers=[verdict(Verdict.ROLE_TRIGGER, Verdict.RESULT_FAIL)])
    assert verbs(fleet, servers, gate=gate) == [(ABORT_ALL, "eu"), (ABORT_ALL, "us"), (ABORT_ALL, "ap")]
