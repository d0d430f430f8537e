"""The fleet file: what is refused, with its line; the plan of each region; the digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.fleet.spec import (
    check_fleet,
    fleet_digest,
    global_plan,
    load_fleet,
    region_spec,
    wave_numbers,
    waves_of,
)
from covey.rollout.findings import SpecError
from covey.rollout.spec import check_spec, spec_digest
from covey.v1.fleet_pb2 import FleetSpec
from covey.v1.rollout_spec_pb2 import RolloutSpec

from .fleets import EXAMPLE, FLEET, fleet_text


def test_the_example_is_a_fleet() -> None:
    fleet = load_fleet(EXAMPLE.read_text(), "fleet.yaml")
    assert [it for it in check_fleet(fleet) if it.level == "error"] == []
    assert waves_of(fleet) == [["eu"], ["us", "ap"]]


def test_regions_without_waves_come_in_the_order_written() -> None:
    fleet = load_fleet(fleet_text(waves=None), "fleet.yaml")
    assert waves_of(fleet) == [["eu"], ["us"], ["ap"]]
    assert list(wave_numbers(fleet).values()) == [1, 2, 3]


def test_a_region_has_its_own_words_and_windows() -> None:
    fleet = load_fleet(EXAMPLE.read_text(), "fleet.yaml")
    eu, us, ap = (region_spec(fleet, region) for region in fleet.regions)
    assert [criterion.statement for criterion in ap.phases[0].criteria][1] == "p99 < 250 ms"
    assert ap.triggers[1].statement == "p99 > 300 ms"
    assert [criterion.statement for criterion in us.phases[0].criteria][1] == "p99 < 200 ms"
    assert [freeze.name for freeze in eu.calendar.freezes] == ["weekend", "year end"]
    assert (eu.calendar.time_zone, ap.calendar.time_zone) == ("Europe/Dublin", "Asia/Singapore")
    for spec in (eu, us, ap):
        assert not [it for it in check_spec(spec) if it.level == "error"]
        assert (spec.fleet.fleet, spec.fleet.fleet_digest) == ("native-everywhere", fleet_digest(fleet))
    assert [spec.fleet.region for spec in (eu, us, ap)] == ["eu", "us", "ap"]


def test_the_digest_is_that_of_what_is_done_and_not_of_where() -> None:
    fleet = load_fleet(FLEET, "fleet.yaml")
    moved, later = FleetSpec(), FleetSpec()
    moved.CopyFrom(fleet)
    moved.regions[0].control, moved.access.token_file = "elsewhere:1", "/another"
    later.CopyFrom(fleet)
    later.wave_dwell.seconds += 1
    assert fleet_digest(moved) == fleet_digest(fleet)
    assert fleet_digest(later) != fleet_digest(fleet)


def test_a_plan_that_is_no_fleets_keeps_its_digest() -> None:
    """Journals of earlier versions have digests of specs without the field; its absence changes nothing."""
    plan = load_fleet(FLEET, "fleet.yaml").rollout
    assert not plan.HasField("fleet")
    assert RolloutSpec.FromString(plan.SerializeToString(deterministic=True)) == plan
    part = RolloutSpec()
    part.CopyFrom(plan)
    part.fleet.fleet = "x"
    assert spec_digest(part) != spec_digest(plan)


def test_the_global_gate_is_a_plan_that_gates_can_judge() -> None:
    plan = global_plan(load_fleet(FLEET, "fleet.yaml"))
    assert [it for it in check_spec(plan) if it.level == "error"] == []


@pytest.mark.parametrize(
    ("was", "becomes", "line_of", "says"),
    [
        ("name: three", "name: Three", "name: Three", "is no name"),
        ("name: us", "name: eu", "name: eu", "every region has its own"),
        ("control: 127.0.0.1:2", "control: 127.0.0.1:1", "control: 127.0.0.1:1", "every region has its own"),
        ("wave_done_in_phase: ramp", "wave_done_in_phase: rump", "wave_done_in_phase: rump", "there is no phase"),
        ("wave: 3", "wave: 0", "wave: 0", "of every region or of none"),
        ("p90 < 200 ms", "p90 < 300 ms", "overrides", "the plan does not say"),
        ("instead: p90 < 400 ms", "instead: p90 is fine", "overrides", "p90 is fine"),
        ("- error_rate > 4 %", "- revenue < -5 %", "- revenue < -5 %", "is not summed over regions"),
        ("- error_rate > 4 %", "- p99 > 7 s", "- p99 > 7 s", "name that limit in the plan"),
        ("wave_dwell", "wave_dwel", "wave_dwel", "unknown key 'wave_dwel'"),
        ("target: analyzer", "target: analyzer\n  fleet: {fleet: x, region: y}", "fleet: {", "leave it out"),
        ("hold: 100s", "hold: -4m", "hold: -4m", "not a duration"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(was: str, becomes: str, line_of: str, says: str) -> None:
    text = FLEET.replace(was, becomes, 1)
    assert text != FLEET
    with pytest.raises(SpecError) as refused:
        load_fleet(text, "fleet.yaml")
    message = str(refused.value)
    assert says in message
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line_of in line]
    assert any(f"fleet.yaml:{number}:" in message for number in lines), message


def test_a_file_that_is_no_fleet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load_fleet("- 1", str(tmp_path / "fleet.yaml"))
