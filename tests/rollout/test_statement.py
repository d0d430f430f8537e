from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.rollout.codes import classify
from covey.rollout.statement import Kind, StatementError, parse_statement


@pytest.mark.parametrize(
    ("text", "kind", "limit", "event_limit", "good"),
    [
        ("error_rate < 1 %", Kind.ERROR_RATE, 0.01, 0.01, True),
        ("error_rate>1.5%", Kind.ERROR_RATE, 0.015, 0.015, False),
        ("availability > 99.95 %", Kind.AVAILABILITY, 0.9995, 0.0005, True),
        ("availability < 99 %", Kind.AVAILABILITY, 0.99, 0.01, False),
        ("p99 < 200 ms", Kind.LATENCY, 0.2, 0.01, True),
        ("p95 > 1.5 s", Kind.LATENCY, 1.5, 0.05, False),
        ("p99.9 < 2 s", Kind.LATENCY, 2.0, 0.001, True),
        ("mismatch < 0.1 %", Kind.MISMATCH, 0.001, 0.001, True),
        ("critical_incidents = 0", Kind.INCIDENTS, 0.0, 0.0, True),
        ("critical_incidents > 0", Kind.INCIDENTS, 0.0, 0.0, False),
        ("revenue > -3 %", Kind.OUTCOME, -0.03, -0.03, True),
        ("revenue < -5 %", Kind.OUTCOME, -0.05, -0.05, False),
        ("outcome(lessons) > -0.02", Kind.OUTCOME, -0.02, -0.02, True),
        ("segments(engagement) < 5 %", Kind.SEGMENTS, 0.05, 0.05, True),
    ],
)
def test_what_a_plan_may_say(text: str, kind: Kind, limit: float, event_limit: float, good: bool) -> None:
    statement = parse_statement(text)
    assert (statement.kind, statement.limit, statement.event_limit) == (kind, limit, event_limit)
    assert statement.claims_good is good
    assert parse_statement(statement.text) == statement, "the canonical text means the same"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eror_rate < 1 %", "did you mean error_rate"),
        ("speed < 1 %", "other outcomes as outcome"),
        ("error_rate", "is not a statement"),
        ("error_rate <= 1 %", "use <, > or ="),
        ("error_rate = 1 %", "is compared with < or >"),
        ("error_rate < 0 %", "no data can show it"),
        ("availability > 100 %", "no data can show it"),
        ("error_rate < 200 ms", "write the limit in %"),
        ("p99 < 200", "needs its unit"),
        ("p99 < 0 ms", "above 0"),
        ("p99 < 100 s", "at most at 60 s"),
        ("p00 < 1 s", "fastest request"),
        ("critical_incidents > 3", "critical_incidents = 0"),
        ("segments < 5 %", "name the outcome"),
        ("segments(engagement) < 0 %", "above 0 %"),
        ("revenue(x) > 1 %", "take an argument"),
        ("revenue > -200 %", "relative change"),
    ],
)
def test_what_it_may_not(text: str, said: str) -> None:
    with pytest.raises(StatementError, match=said):
        parse_statement(text)


@given(st.text(max_size=40))
def test_any_text_is_a_statement_or_an_error_with_words(text: str) -> None:
    try:
        parse_statement(text)
    except StatementError as error:
        assert str(error)


def test_codes_count_as_the_gates_say() -> None:
    assert {code: classify(code) for code in ("OK", "NOT_FOUND", "CANCELLED", "UNAUTHENTICATED")} == dict.fromkeys(
        ("OK", "NOT_FOUND", "CANCELLED", "UNAUTHENTICATED"), "served"
    )
    assert {classify(code) for code in ("INTERNAL", "UNKNOWN", "DATA_LOSS", "ABORTED", "UNIMPLEMENTED")} == {"error"}
    assert {classify(code) for code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")} == {"unavailable"}
    assert classify("RESOURCE_EXHAUSTED") == "shed"
