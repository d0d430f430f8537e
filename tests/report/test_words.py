"""Numbers and states as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.report import words
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.5, "0.5 s"), (1, "1 s"), (9.97, "10 s"), (45.2, "45 s"), (60, "1 min"), (90, "1 min 30 s"),
        (3600, "1 h"), (5400, "1 h 30 min"), (7199.6, "2 h"), (86400, "1 d"), (13 * 86400 + 3600, "13 d 1 h"),
        (3601, "1 h"), (-90, "-1 min 30 s"),
    ],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("points", "text"), [(0, "0 %"), (1, "0.01 %"), (100, "1 %"), (1250, "12.5 %"), (10_000, "100 %")]
)
def test_shares(points: int, text: str) -> None:
    assert words.share(points) == text


def test_moments_are_utc() -> None:
    assert words.moment(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31 23:00:00Z"
    assert words.moment(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01 00:00:00Z"


def test_states_are_words() -> None:
    assert words.state(Rollout.STATE_AWAITING_APPROVAL) == "AWAITING APPROVAL"


def verdict(statement: str = "error_rate < 1 %", **fields: object) -> Verdict:
    return Verdict(**({"statement": statement, "role": Verdict.ROLE_CRITERION} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "result", "word"),
    [
        (Verdict.ROLE_CRITERION, Verdict.RESULT_PASS, "PASS"),
        (Verdict.ROLE_CRITERION, Verdict.RESULT_INSUFFICIENT, "INSUFFICIENT"),
        (Verdict.ROLE_TRIGGER, Verdict.RESULT_FAIL, "SHOWN"),
        (Verdict.ROLE_TRIGGER, Verdict.RESULT_INSUFFICIENT, "not shown"),
        (Verdict.ROLE_TRIGGER, Verdict.RESULT_PASS, "excluded"),
        (Verdict.ROLE_TRIGGER, Verdict.RESULT_INVALID, "INVALID"),
    ],
)
def test_results(role: Verdict.Role.ValueType, result: Verdict.Result.ValueType, word: str) -> None:
    assert words.result(verdict(role=role, result=result)) == word


def test_estimates_keep_what_matters() -> None:
    assert words.estimate(verdict()) == "no data"
    assert words.estimate(verdict(estimate=0.0012)) == "0.12 %"
    assert words.estimate(verdict(estimate=0.0012, lower=0.0, upper=0.00314)) == "0.12 % [0, 0.314]"
    available = verdict("availability > 99.9 %", estimate=0.9997, lower=0.99912, upper=1.0)
    assert words.estimate(available) == "99.97 % [99.91, 100]"
    incidents = verdict("critical_incidents = 0", estimate=2.0, event_count=2)
    assert (words.estimate(incidents), words.counters(incidents)) == ("2", "2 open")
    assert words.estimate(verdict("p95 < 200 ms", estimate=0.01)) == "1 %"
    assert words.counters(verdict(event_count=3, trial_count=9812)) == "3 of 9,812"
    assert words.counters(verdict(shed_count=1039)) == "0 of 0, 1,039 more refused"
    assert words.estimate(verdict(estimate=0.01, lower=2.81e-7)) == "1 % [0.00003, ∞]"
    assert words.estimate(verdict(estimate=0.5, lower=0.1)) == "50 % [10, ∞]"


def test_needs_only_where_a_criterion_waits() -> None:
    waiting = verdict(result=Verdict.RESULT_INSUFFICIENT, needed_count=3301, eta=Duration(seconds=720))
    assert words.needs(waiting) == "3,301 more, ~12 min"
    assert words.needs(verdict(result=Verdict.RESULT_INSUFFICIENT)) == "any traffic at all"
    assert words.needs(verdict(result=Verdict.RESULT_INSUFFICIENT, trial_count=9)) == "more than comes at this rate"
    late = verdict(result=Verdict.RESULT_INSUFFICIENT, trial_count=9, log_e_value=4.0, log_threshold=3.0)
    assert words.needs(late) == "a better last quarter of the phase"
    assert words.needs(verdict(result=Verdict.RESULT_PASS, needed_count=3)) == ""
    assert words.needs(verdict(role=Verdict.ROLE_TRIGGER, result=Verdict.RESULT_INSUFFICIENT)) == ""


@settings(max_examples=100)
@given(st.text())
def test_clean_text_cannot_steer_a_terminal(text: str) -> None:
    cleaned = words.clean(text)
    assert len(cleaned) == len(text)
    assert all(letter.isprintable() for letter in cleaned)
    assert "\x1b" not in cleaned
