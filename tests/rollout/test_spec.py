from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from covey.rollout.spec import (
    SpecError,
    active_limits_seconds,
    check_spec,
    dump_spec,
    load_spec,
    spec_digest,
    with_defaults,
)
from covey.rollout.units import duration_text, format_duration, parse_duration, parse_share, seconds_of
from covey.v1.rollout_spec_pb2 import RolloutSpec, Trigger

from .world import SHORT_PLAN, plan

DEFAULT_PLAN = (Path(__file__).resolve().parents[2] / "examples" / "default-plan.yaml").read_text(encoding="utf-8")


def test_the_default_plan_is_the_designs() -> None:
    spec = with_defaults(load_spec(DEFAULT_PLAN, "default-plan.yaml"))
    assert [(phase.name, phase.traffic_share, seconds_of(phase.hold)) for phase in spec.phases] == [
        ("canary", 0.01, 7200),
        ("ramp", 0.1, 14_400),
        ("rollout", 1.0, 13 * 86_400),
    ]
    assert [len(phase.checkpoints) for phase in spec.phases] == [5, 6, 59]
    assert [seconds_of(phase.max_hold) for phase in spec.phases] == [14_400, 28_800, 26 * 86_400]
    assert [criterion.statement for criterion in spec.phases[0].criteria] == [
        "error_rate < 1 %",
        "p99 < 200 ms",
        "availability > 99.9 %",
        "mismatch < 0.1 %",
    ]
    assert [(trigger.statement, seconds_of(trigger.sustained)) for trigger in spec.triggers] == [
        ("error_rate > 1.5 %", 120),
        ("p99 > 250 ms", 300),
        ("availability < 99 %", 300),
        ("revenue < -5 %", 600),
        ("critical_incidents > 0", 0),
    ]
    assert active_limits_seconds(spec) == (0.2, 0.25)


def test_defaults_are_filled_in_once() -> None:
    full = with_defaults(plan())
    assert (full.baseline, full.candidate) == ("variants/reference", "variants/native")
    assert full.shadow_share == 0.01
    assert seconds_of(full.outcome_window) == 7 * 86_400
    assert full.phases[0].criteria[0].alpha == 0.05
    assert full.phases[0].criteria[0].hold
    assert full.triggers[0].alpha == 0.01
    assert full.triggers[0].literal_minimum_count == 400
    assert full.triggers[0].literal == Trigger.LITERAL_HOLD
    assert with_defaults(full) == full
    assert spec_digest(plan()) == spec_digest(full)
    assert spec_digest(plan(SHORT_PLAN.replace("20s", "21s"))) != spec_digest(full)


@pytest.mark.parametrize("text", [SHORT_PLAN, DEFAULT_PLAN], ids=["short", "default"])
def test_yaml_there_and_back(text: str) -> None:
    spec = load_spec(text, "plan.yaml")
    assert load_spec(dump_spec(spec), "again.yaml") == spec
    full = with_defaults(spec)
    assert load_spec(dump_spec(full), "again.yaml") == full


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("target:", "taget:", 2, "unknown key 'taget'; did you mean 'target'"),
        ("hold: 20s", "hold: 20", 11, "'20' is not a duration"),
        ("hold: 20s", "hold: 0s", 11, "without time there is no evidence"),
        ("hold: 20s", "hold: [1s]", 11, "expected one value"),
        ("hold: 20s", "hold: 20s\n    hold: 30s", 12, "written twice, first in line 11"),
        ("traffic_share: 5 %", "traffic_share: 105 %", 10, "outside 0 to 100 %"),
        ("traffic_share: 5 %", "traffic_share: 0.001 %", 10, "no whole number of basis points"),
        ("traffic_share: 5 %", "traffic_share: some", 10, "is not a share"),
        ("traffic_share: 5 %", "traffic_share: 0 %", 10, "nobody gets the candidate"),
        ("name: rollout", "name: canary", 17, "the name of an earlier phase"),
        ("name: rollout", "name: Roll Out", 17, "is no name"),
        ("- p99 < 200 ms", "- p98x < 200 ms", 15, "there is no metric 'p98x'"),
        ("- p99 < 200 ms", "- p99 > 200 ms", 15, "is what a trigger says"),
        ("- p99 < 200 ms", "- error_rate < 2 %", 13, "is there 2 times"),
        ("- p99 < 200 ms", "- {statement: p99 < 200 ms, defer: canary}", 15, "is no later phase"),
        ("- p99 < 200 ms", "- {statement: p99 < 200 ms, hold: true, accept_by: x}", 15, "exclude each other"),
        ("- p99 < 200 ms", "- {statement: p99 < 200 ms, alpha: 70 %}", 15, "no error rate"),
        ("- p99 < 200 ms", "- {statement: p99 < 200 ms, report_only: maybe}", 15, "neither true nor false"),
        ("checkpoints: [10s, 20s]", "checkpoints: [20s, 10s]", 12, "rise"),
        ("checkpoints: [10s, 20s]", "checkpoints: 10s", 12, "expected a list"),
        ("roles: [operations]}", "roles: [operations, operations]}", 16, "is there twice"),
        ("statement: p99 > 250 ms", "statement: p99 < 250 ms", 27, "is what a criterion says"),
        ("statement: p99 > 250 ms", "statement: segments(revenue) > 5 %", 27, "no trigger"),
        ("sustained: 5s", "sustained: 5s\n    literal: never", 27, "is none of hold, rollback"),
        ("statement: p99 > 250 ms", "statement: p99 > 250 ms\n    literal: rollback", 28, "needs the time"),
        ("candidate: native", "candidate: reference", 4, "nothing to roll out"),
        ("candidate: native", "candidate: variants/Native One", 4, "is no variant"),
        ("tick_interval: 1s\nsoak", "tick_interval: 0s\nsoak", 5, "above 0"),
        ("metrics_grace: 10s", "metrics_grace: 10s\ndry_run: {}", 8, "expected one value"),
        ("hold: 20s", "hold: 20s\n    not_before: tomorrow", 12, "is no time with its zone"),
        ("hold: 20s", "hold: 20s\n    max_hold: 10s", 12, "shorter than the hold"),
    ],
)
def test_errors_say_where_and_what(old: str, new: str, line: int, said: str) -> None:
    assert old in SHORT_PLAN
    with pytest.raises(SpecError) as caught:
        load_spec(SHORT_PLAN.replace(old, new, 1), "plan.yaml")
    assert said in str(caught.value)
    assert f"plan.yaml:{line}: " in str(caught.value), str(caught.value)
    assert caught.value.findings


def test_every_error_is_listed() -> None:
    text = SHORT_PLAN.replace("5 %", "5000 %", 1).replace("- p99 < 200 ms", "- p99 < 200")
    with pytest.raises(SpecError) as caught:
        load_spec(text, "plan.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_a_finding_is_one_line_whatever_it_quotes() -> None:
    text = SHORT_PLAN.replace("- p99 < 200 ms", '- "p99 <\\n\\n 200"')
    with pytest.raises(SpecError) as caught:
        load_spec(text, "plan.yaml")
    assert len(str(caught.value).splitlines()) == len(caught.value.findings) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("just words", "expected keys and values"),
        ("a: [", "this is not YAML"),
        ("[" * 20_000, "nested too deeply"),
        ("a: " + "x" * (1 << 20), "more than"),
        ("target: analyzer", "there is no phase"),
    ],
)
def test_files_that_are_no_plan(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load_spec(text, "plan.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("traffic_share: 100 %", "traffic_share: 2 %"), "it falls from 5 % to 2 %"),
        (("traffic_share: 100 %", "traffic_share: 50 %"), "success gives it all"),
        (("hold: 20s", "hold: 3s"), "fewer than 5 looks"),
        (("checkpoints: [10s, 20s]", "checkpoints: [10s, 30s]"), "comes after the hold"),
        (("sustained: 5s", "sustained: 5s\n    literal: rollback"), "no bound on false alarms"),
        (("target: analyzer", "target: analyzer\nsegment_source: stable_cohort"), "no statement is about segments"),
    ],
)
def test_warnings_do_not_stop_a_plan(change: tuple[str, str], said: str) -> None:
    text = SHORT_PLAN.replace(*change, 1)
    spec = load_spec(text, "plan.yaml")
    warnings = [finding for finding in check_spec(spec) if said in finding.message]
    assert [finding.level for finding in warnings] == ["warning"]


def test_a_spec_without_triggers_or_criteria_is_warned_about() -> None:
    spec = RolloutSpec(target="t", baseline="a", candidate="b")
    phase = spec.phases.add(name="all", traffic_share=1.0)
    phase.hold.CopyFrom(Duration(seconds=1000))
    messages = " ".join(finding.message for finding in check_spec(spec))
    assert "without triggers" in messages
    assert "passes by time alone" in messages
    assert {finding.level for finding in check_spec(spec)} == {"warning"}


@given(st.integers(0, 10**9))
def test_durations_there_and_back(milliseconds: int) -> None:
    duration = parse_duration(f"{milliseconds}ms")
    assert seconds_of(duration) == pytest.approx(milliseconds / 1000)
    assert parse_duration(duration_text(duration)) == duration


def test_units_as_people_write_them() -> None:
    assert [seconds_of(parse_duration(text)) for text in ("2h", "15m", "20s", "13d", "1h30m", "90 min", "0.5s")] == [
        7200,
        900,
        20,
        1_123_200,
        5400,
        5400,
        0.5,
    ]
    assert [parse_share(text) for text in ("1 %", "0.5%", "0.01", "-3 %")] == [0.01, 0.005, 0.01, -0.03]
    assert [format_duration(seconds) for seconds in (0.25, 45, 420, 5400, 90_061)] == [
        "0.25 s",
        "45 s",
        "7 min",
        "1 h 30 min",
        "1 d 1 h",
    ]
