"""Numbers, shares, times and states as people read them; shared by the report and the terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import evidence_pb2, rollouts_pb2

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def clean(text: str) -> str:
    """Text from elsewhere without characters that could steer a terminal; line breaks become spaces."""
    return "".join(" " if letter in "\n\r\t" else letter if letter.isprintable() else "\ufffd" for letter in text)


def share(basis_points: int) -> str:
    """Basis points as per cent: 100 is "1 %"."""
    return f"{basis_points / 100:g} %"


def count(number: int) -> str:
    """3301 is "3,301"."""
    return f"{number:,}"


def span(seconds: float) -> str:
    """A duration in its two largest units: "1 h 30 min", "45 s", "0.5 s"."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 9.95 and not math.isclose(seconds, round(seconds), abs_tol=0.05):
        return f"{seconds:.1f} s"
    left = round(seconds)
    for index, (size, unit) in enumerate(_UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            if index + 1 == len(_UNITS):
                return f"{whole} {unit}"
            smaller, smaller_unit = _UNITS[index + 1]
            return f"{whole} {unit}" + (f" {rest // smaller} {smaller_unit}" if rest // smaller else "")
    return "0 s"


def about(seconds: float) -> str:
    """An estimated time in one unit, for what is not known to the second: "20 min", "2.2 h"."""
    for size, unit in _UNITS:
        if seconds >= (2 * size if size > 60 else size):
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{round(seconds / size):,} {unit}"
    return f"{seconds:.2g} s"


def duration(message: Duration) -> str:
    """A protobuf duration, as `span`."""
    return span(message.ToTimedelta().total_seconds())


def instant(message: Timestamp) -> str:
    """A protobuf timestamp to the second, UTC: "2026-01-31 09:00:00Z"."""
    return moment(message.ToDatetime(UTC))


def moment(time: datetime) -> str:
    """A datetime to the second, UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def state(value: rollouts_pb2.Rollout.State.ValueType) -> str:
    """STATE_AWAITING_APPROVAL is "AWAITING APPROVAL"."""
    return rollouts_pb2.Rollout.State.Name(value).removeprefix("STATE_").replace("_", " ")


def result(verdict: evidence_pb2.Verdict) -> str:
    """A criterion's result in its own word; a trigger's in a word that does not sound like an exam."""
    word = evidence_pb2.Verdict.Result.Name(verdict.result).removeprefix("RESULT_")
    if verdict.role == evidence_pb2.Verdict.ROLE_TRIGGER:
        return {"PASS": "excluded", "INSUFFICIENT": "not shown", "FAIL": "SHOWN"}.get(word, word)
    return word


def is_percentage(verdict: evidence_pb2.Verdict) -> bool:
    """Whether the verdict's numbers are shares; a latency is judged by its share of slower requests."""
    return "%" in verdict.statement or _is_latency(verdict.statement)


def is_ratio(verdict: evidence_pb2.Verdict) -> bool:
    """Whether the verdict's numbers are candidate over baseline."""
    return verdict.statement.endswith("worse than baseline")


def quantity(verdict: evidence_pb2.Verdict, value: float, *, unit: bool = True) -> str:
    """One number of a verdict in the unit of its statement."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if is_ratio(verdict):
        return f"{rounded(value)}{' x' if unit else ''}"
    if is_percentage(verdict):
        return f"{rounded(100 * value)}{' %' if unit else ''}"
    return rounded(value)


def estimate(verdict: evidence_pb2.Verdict) -> str:
    """Estimate and interval, "0.12 % [0.04, 0.31]"; "no data" where there is none."""
    if not verdict.HasField("estimate"):
        return "no data"
    text = quantity(verdict, verdict.estimate)
    if verdict.HasField("lower") or verdict.HasField("upper"):
        lower = verdict.lower if verdict.HasField("lower") else -math.inf
        upper = verdict.upper if verdict.HasField("upper") else math.inf
        text += f" [{quantity(verdict, lower, unit=False)}, {quantity(verdict, upper, unit=False)}]"
    return text


def counters(verdict: evidence_pb2.Verdict) -> str:
    """Events of trials, "3 of 9,812", and what a comparison counts beside them; open incidents have no trials."""
    if verdict.statement.startswith("critical_incidents"):
        return f"{count(verdict.event_count)} open"
    refused = f", {count(verdict.shed_count)} more refused" if verdict.shed_count else ""
    return f"{count(verdict.event_count)} of {count(verdict.trial_count)}{refused}"


def rival(verdict: evidence_pb2.Verdict) -> str:
    """The baseline's counters where it was compared, "baseline 9 of 3,100"; else empty."""
    if not verdict.baseline_trial_count:
        return ""
    return f"baseline {count(verdict.baseline_event_count)} of {count(verdict.baseline_trial_count)}"


def proof(verdict: evidence_pb2.Verdict) -> list[str]:
    """What is behind a verdict beyond its counters, one fact each: tests, design effect, alpha, learners."""
    facts = [
        f"{test.name}: ln E {test.log_e_value:.3g} of {test.log_threshold:.3g}"
        + (f", at {rounded(test.estimate)} against {rounded(test.null_value)}" if test.HasField("estimate") else "")
        for test in verdict.tests
    ]
    if verdict.design_effect > 1:
        facts.append(f"design effect {verdict.design_effect:.3g}")
    if verdict.alpha_spent:
        facts.append(f"alpha {100 * verdict.alpha_spent:.3g} %")
    if verdict.affected_learner_count:
        facts.append(f"at least {count(verdict.affected_learner_count)} learners affected")
    return facts


def needs(verdict: evidence_pb2.Verdict) -> str:
    """What an INSUFFICIENT criterion waits for; empty for everything that is decided, and for triggers."""
    if verdict.role == evidence_pb2.Verdict.ROLE_TRIGGER or verdict.result != evidence_pb2.Verdict.RESULT_INSUFFICIENT:
        return ""
    if not verdict.HasField("needed_count"):
        if not verdict.trial_count:
            return "any traffic at all"
        # Proven as a whole, and withheld because the end of the phase looks otherwise.
        is_proven = 0 < verdict.log_threshold <= verdict.log_e_value
        return "a better last quarter of the phase" if is_proven else "more than comes at this rate"
    text = f"{count(verdict.needed_count)} more"
    if verdict.HasField("eta") and verdict.eta.ToTimedelta().total_seconds() > 0:
        text += f", ~{about(verdict.eta.ToTimedelta().total_seconds())}"
    return text


def _is_latency(statement: str) -> bool:
    return statement[:1] == "p" and statement[1:2].isdigit()


def rounded(value: float) -> str:
    """Three significant digits, more near 100 so that 99.97 is not 100, one below 0.001; never an exponent."""
    if value == 0:
        return "0"
    if 99 < abs(value) < 100:
        return f"{value:.6g}" if abs(value) > 99.99 else f"{value:.4g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{Decimal(f'{value:.1g}'):f}"
    return f"{value:.3g}"
