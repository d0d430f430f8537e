"""The language of criteria and triggers.

"error_rate < 1 %", "p99 < 200 ms", "p99 not worse than baseline", "revenue > -3 %", "segments(engagement) < 5 %".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from functools import cached_property, lru_cache
from typing import Literal

from covey.v1.rollout_spec_pb2 import RolloutSpec

Operator = Literal["<", ">", "="]


class Kind(Enum):
    """How a statement is judged."""

    ERROR_RATE = "error_rate"
    AVAILABILITY = "availability"
    LATENCY = "latency"
    RELATIVE_LATENCY = "relative_latency"
    MISMATCH = "mismatch"
    INCIDENTS = "critical_incidents"
    OUTCOME = "outcome"
    SEGMENTS = "segments"


# Outcomes that a plan may name as they are; any other is written outcome(name), so that a typing error is no new
# metric.
OUTCOMES = ("revenue", "engagement", "retention", "conversion")
METRICS = ("error_rate", "availability", "p99", "p95", "p90", "p50", "mismatch", "critical_incidents", *OUTCOMES)

_STATEMENT = re.compile(
    r"\s*(?P<metric>[A-Za-z_][\w.]*)\s*(?:\(\s*(?P<argument>\w+)\s*\))?"
    r"\s*(?P<operator>[<>=!]=?|=)\s*(?P<number>[+-]?\d+(?:\.\d+)?)\s*(?P<unit>%|ms|s|)\s*\Z"
)
_QUANTILE = re.compile(r"p(\d\d(?:\.\d+)?)\Z")
_AGAINST_BASELINE = re.compile(r"\s*(?P<metric>p\d\d(?:\.\d+)?)\s+(?P<negated>not\s+)?worse\s+than\s+baseline\s*\Z")
_SHARE_KINDS = (Kind.ERROR_RATE, Kind.AVAILABILITY, Kind.MISMATCH, Kind.OUTCOME, Kind.SEGMENTS)
_GOOD: dict[Kind, Operator] = {
    Kind.ERROR_RATE: "<",
    Kind.AVAILABILITY: ">",
    Kind.LATENCY: "<",
    Kind.RELATIVE_LATENCY: "<",
    Kind.MISMATCH: "<",
    Kind.INCIDENTS: "=",
    Kind.OUTCOME: ">",
    Kind.SEGMENTS: "<",
}
_BAD: dict[Operator, Operator] = {"<": ">", ">": "<", "=": ">"}


class StatementError(ValueError):
    """Text that is no statement; says what was found and what to write."""


@dataclass(frozen=True)
class Statement:
    """One claim about the candidate.

    Attributes:
        text: the canonical spelling, by which statements are compared.
        metric: the first word, such as "p99" or "revenue".
        kind: how it is judged.
        operator: "<", ">" or "=".
        limit: in the base unit: a share of 1, seconds, or a count.
        argument: the outcome's name, of `segments(...)`, `outcome(...)` and named outcomes; else empty.
    """

    text: str
    metric: str
    kind: Kind
    operator: Operator
    limit: float
    argument: str = ""

    @cached_property
    def event_limit(self) -> float:
        """The limit as a probability of the bad event.

        availability > 99.9 % is at most 0.001 unavailable, a p99 at most 0.01 slower than the limit.
        """
        if self.kind is Kind.AVAILABILITY:
            return float(1 - Decimal(str(self.limit)))
        if self.kind in {Kind.LATENCY, Kind.RELATIVE_LATENCY}:
            return float(1 - Decimal(self.metric[1:]) / 100)
        return self.limit

    @cached_property
    def claims_good(self) -> bool:
        """Whether it claims that the candidate is good, as criteria do; triggers claim the opposite."""
        return self.operator == _GOOD[self.kind]

    @cached_property
    def counts_events(self) -> bool:
        """Whether it is about the probability of a bad event, so that `bernoulli_level` judges it."""
        return self.kind in {Kind.ERROR_RATE, Kind.AVAILABILITY, Kind.LATENCY, Kind.MISMATCH}


@lru_cache(maxsize=1024)
def parse_statement(text: str) -> Statement:
    """The statement that a text makes.

    Raises:
        StatementError: an unknown metric (with the closest known ones), operator or unit, or a limit that nothing
            can meet.
    """
    against = _AGAINST_BASELINE.match(text)
    if against is not None:
        return _relative_latency(against["metric"], text, better=against["negated"] is not None)
    match = _STATEMENT.match(text)
    if match is None:
        raise StatementError(
            f"'{text}' is not a statement; write a metric, an operator and a limit, "
            "such as 'error_rate < 1 %' or 'p99 < 200 ms'"
        )
    metric, argument = match["metric"], match["argument"] or ""
    kind = _kind(metric, argument, text)
    operator = match["operator"]
    if operator not in {"<", ">", "="}:
        raise StatementError(f"'{text}' compares with '{operator}'; use <, > or =")
    good = _GOOD[kind]
    if operator not in {good, _BAD[good]}:
        raise StatementError(f"'{text}' compares with '{operator}'; {metric} is compared with {good} or {_BAD[good]}")
    unit = match["unit"]
    limit = _limit(kind, Decimal(match["number"]), unit, text)
    name = f"{metric}({argument})" if argument else metric
    number = match["number"].lstrip("+")
    canonical = f"{name} {operator} {number} {unit}".rstrip()
    outcome = argument or (metric if kind is Kind.OUTCOME else "")
    return Statement(canonical, metric, kind, operator, limit, outcome)


def statement_texts(spec: RolloutSpec) -> list[str]:
    """What a spec claims, in its own words: every criterion's statement by phase, then every trigger's."""
    criteria = [criterion.statement for phase in spec.phases for criterion in phase.criteria]
    return criteria + [trigger.statement for trigger in spec.triggers]


def _relative_latency(metric: str, text: str, *, better: bool) -> Statement:
    """Exceedances of the baseline's own quantile; the limit is the share that the baseline exceeds it in.

    A criterion says "p99 not worse than baseline", a trigger "p99 worse than baseline".
    """
    if Decimal(metric[1:]) == 0:
        raise StatementError(f"'{text}': p00 is the fastest request of all; write a quantile such as p99")
    canonical = f"{metric} {'not ' if better else ''}worse than baseline"
    share = float(1 - Decimal(metric[1:]) / 100)
    return Statement(canonical, metric, Kind.RELATIVE_LATENCY, "<" if better else ">", share)


def _kind(metric: str, argument: str, text: str) -> Kind:
    if argument:
        if metric in {"segments", "outcome"}:
            return Kind.SEGMENTS if metric == "segments" else Kind.OUTCOME
        raise StatementError(f"'{text}': only segments(outcome) and outcome(name) take an argument")
    if _QUANTILE.match(metric):
        if Decimal(metric[1:]) == 0:
            raise StatementError(f"'{text}': p00 is the fastest request of all; write a quantile such as p99")
        return Kind.LATENCY
    if metric in OUTCOMES:
        return Kind.OUTCOME
    for kind in (Kind.ERROR_RATE, Kind.AVAILABILITY, Kind.MISMATCH, Kind.INCIDENTS):
        if metric == kind.value:
            return kind
    if metric == "segments":
        raise StatementError(f"'{text}': name the outcome, as in 'segments(engagement) < 5 %'")
    close = get_close_matches(metric, METRICS, n=2, cutoff=0.6)
    if close:
        remedy = f"did you mean {' or '.join(close)}?"
    else:
        remedy = f"there are {', '.join(METRICS)}; other outcomes as outcome({metric})"
    raise StatementError(f"'{text}': there is no metric '{metric}'; {remedy}")


def _limit(kind: Kind, number: Decimal, unit: str, text: str) -> float:
    if kind is Kind.INCIDENTS:
        if unit or number != 0:
            raise StatementError(f"'{text}': write 'critical_incidents = 0' or, as a trigger, 'critical_incidents > 0'")
        return 0.0
    if kind is Kind.LATENCY:
        if unit not in {"ms", "s"}:
            raise StatementError(f"'{text}': a latency needs its unit, ms or s")
        seconds = number / 1000 if unit == "ms" else number
        if not 0 < seconds <= 60:
            raise StatementError(f"'{text}': a latency limit lies above 0 and at most at 60 s")
        return float(seconds)
    if kind in _SHARE_KINDS and unit not in {"%", ""}:
        raise StatementError(f"'{text}': write the limit in %, not in {unit}")
    share = number / 100 if unit == "%" else number
    if kind is Kind.OUTCOME:
        if not -1 < share < 10:
            raise StatementError(f"'{text}': a relative change lies between -100 % and 1000 %")
    elif kind is Kind.SEGMENTS:
        if share <= 0:
            raise StatementError(f"'{text}': a spread between segments needs a limit above 0 %")
    elif not 0 < share < 1:
        raise StatementError(f"'{text}': no data can show it; the limit must lie strictly between 0 and 100 %")
    return float(share)
