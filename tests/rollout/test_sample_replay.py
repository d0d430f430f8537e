"""Counters from elsewhere through the live decide()."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covey.cli.rollout_replay import read_table
from covey.report.rehearsal import write_rehearsal
from covey.rollout.rehearsal import Operator
from covey.rollout.replay import replay
from covey.rollout.sample_replay import rehearse_samples
from covey.rollout.samples import SampleError, Samples, read_samples
from covey.rollout.spec import load_spec
from covey.rollout.state import State
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import Verdict

from .world import SHORT_PLAN, plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "historical-canary"
HEADER = ("time", "variant", "requests", "errors", "unavailable", "over_0.2", "over_0.25")


def table(minutes: int, error_rate: float, *, per_minute: int = 2000, header: tuple[str, ...] = HEADER) -> Samples:
    random = np.random.default_rng(3)
    rows = []
    for minute in range(1, minutes + 1):
        errors = int(random.binomial(per_minute, error_rate))
        for name, bad in (("native", errors), ("reference", 1)):
            cells = {"time": f"{minute}m", "variant": name, "requests": per_minute, "errors": bad}
            rows.append([{**cells, "unavailable": 0, "over_0.2": 3, "over_0.25": 1}[column] for column in header])
    return read_samples(header, rows, "s.csv")


def minutes_plan(text: str = SHORT_PLAN) -> str:
    return text.replace("hold: 20s", "hold: 20m").replace("hold: 15s", "hold: 15m").replace("[10s, 20s]", "[10m, 20m]")


def test_healthy_counters_go_through_every_phase() -> None:
    made = rehearse_samples(plan(minutes_plan()), table(40, 0.0005))
    assert made.state.state == State.STATE_SUCCEEDED
    # What it writes is a journal like any other.
    assert replay(made.entries) == list(made.entries)


def test_errors_are_rolled_back() -> None:
    made = rehearse_samples(plan(minutes_plan()), table(40, 0.1))
    assert made.state.state == State.STATE_ROLLED_BACK
    assert "error_rate > 3 %" in made.state.explanation


def test_nobody_signs() -> None:
    made = rehearse_samples(plan(minutes_plan()), table(5, 0.0), operator=Operator.NOBODY)
    assert made.state.state == State.STATE_AWAITING_APPROVAL


def test_a_missing_row_holds_and_is_no_zero() -> None:
    rows = [[f"{minute}m", "native", 2000, 0, 0, 0, 0] for minute in range(1, 25) if minute != 24]
    rows += [["24m", "reference", 2000, 0, 0, 0, 0]]
    made = rehearse_samples(plan(minutes_plan()), read_samples(HEADER, rows, "s.csv"))
    assert any("metrics are missing" in e.held.explanation for e in made.entries if e.HasField("held"))


def test_counters_that_the_plan_needs() -> None:
    with pytest.raises(SampleError, match="needs the column 'unavailable'"):
        rehearse_samples(plan(minutes_plan()), table(5, 0.0, header=(*HEADER[:4], *HEADER[5:])))
    with pytest.raises(SampleError, match="cannot be bracketed"):
        rehearse_samples(plan(minutes_plan()), table(5, 0.0, header=HEADER[:5]))
    with pytest.raises(SampleError, match="no row of the candidate variants/other"):
        rehearse_samples(plan(minutes_plan().replace("candidate: native", "candidate: other")), table(5, 0.0))


def test_the_nearest_counted_limit_on_the_safe_side_stands_for_one_that_is_not() -> None:
    text = minutes_plan().replace("p99 < 200 ms", "p99 < 230 ms").replace("p99 > 250 ms", "p99 > 220 ms")
    made = rehearse_samples(plan(text), table(5, 0.0))
    assert any("slower than 0.23 s were not counted; those slower than 0.2 s" in note for note in made.notes)
    assert any("slower than 0.22 s were not counted; those slower than 0.25 s" in note for note in made.notes)


def test_the_historical_canary_holds() -> None:
    spec = load_spec((EXAMPLE / "plan.yaml").read_text(), "plan.yaml")
    made = rehearse_samples(spec, read_table(EXAMPLE / "samples.csv"))
    assert made.state.state == State.STATE_HOLDING
    assert sum(entry.HasField("checkpoint") for entry in made.entries) == 5
    errors, availability = (v for v in current_verdicts(made.state) if v.role == Verdict.ROLE_CRITERION)
    assert errors.result == availability.result == Verdict.RESULT_INSUFFICIENT
    assert errors.trial_count == availability.trial_count == 380
    assert errors.trial_count + errors.needed_count == 496
    assert "needs 2,921 more" in availability.sentence
    told = " ".join(made.notes)
    assert "0.071 %, 0.087 %, 0.074 %, 0.074 %, 0.079 % cannot come from these counters" in told
    assert "0.071 % of all 380 requests is 0.27 errors" in told
    assert "printed_p99_ms: printed summaries are no evidence" in told
    report = write_rehearsal(made, "samples.csv", "plan.yaml")
    could, could_not = report.split("## What could not be concluded")
    assert "at most 1.46 %, with 95 % confidence" in could
    assert "availability is at least 98.5 %" in could
    assert "even without any failure it takes 496, and 380 have come" in could_not
    assert "even without any failure it takes 3,301, and 380 have come" in could_not


def test_a_printed_rate_that_the_counters_give_is_left_alone() -> None:
    header = ("time", "variant", "requests", "errors", "unavailable", "error_rate")
    rows = [["1m", "canary", 48, 1, 0, "2.08"], ["2m", "canary", 47, 0, 0, "1.05"]]
    spec = load_spec((EXAMPLE / "plan.yaml").read_text(), "plan.yaml")
    made = rehearse_samples(spec, read_samples(header, rows, "s.csv"))
    assert not any("cannot come" in note for note in made.notes)
