"""What a plan asks of its traffic: clean requests per criterion, and whether a phase can reach them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from covey.rollout.spec import with_defaults
from covey.rollout.statement import Kind, parse_statement
from covey.stats import needed_n
from covey.v1.rollout_spec_pb2 import Criterion, Phase, RolloutSpec


@dataclass(frozen=True)
class Need:
    """What one criterion of one phase takes.

    Attributes:
        phase: its phase.
        statement: in its canonical spelling.
        alpha: chance of a false PASS.
        trials_name: what is counted: "requests" of the candidate, or "comparisons" of the shadow.
        clean_count: trials without any bad event until PASS; None where the statement counts no events.
        hold_count: trials of the phase's hold at the given rate; None without a rate.
        seconds: until `clean_count` at that rate; infinite where none come.
    """

    phase: str
    statement: str
    alpha: float
    trials_name: str = "requests"
    clean_count: int | None = None
    hold_count: int | None = None
    seconds: float | None = None

    @property
    def is_reachable(self) -> bool | None:
        """Whether the hold brings enough; None where it cannot be said."""
        if self.clean_count is None or self.hold_count is None:
            return None
        return self.hold_count >= self.clean_count


def needs(spec: RolloutSpec, rate_per_second: float | None) -> Iterator[Need]:
    """What every criterion of a plan takes, at a rate of learner requests of both variants together.

    The counts are the best case: no bad event at all. One failure on the way raises them.
    """
    full = with_defaults(spec)
    for phase in full.phases:
        for criterion in phase.criteria:
            yield _need(full, phase, criterion, rate_per_second)


def _need(spec: RolloutSpec, phase: Phase, criterion: Criterion, rate_per_second: float | None) -> Need:
    statement = parse_statement(criterion.statement)
    if not statement.counts_events:
        return Need(phase.name, statement.text, criterion.alpha)
    shadow = statement.kind is Kind.MISMATCH
    name = "comparisons" if shadow else "requests"
    clean = needed_n(0, 0, statement.event_limit, alternative="less", alpha=criterion.alpha)
    if clean is None or rate_per_second is None:
        return Need(phase.name, statement.text, criterion.alpha, name, clean)
    per_second = rate_per_second * (spec.shadow_share if shadow else phase.traffic_share)
    seconds = clean / per_second if per_second > 0 else math.inf
    # 42 a second x 1 % x 2 h are 3,024, whatever binary fractions make of it.
    hold_count = int(per_second * phase.hold.ToTimedelta().total_seconds() + 1e-6)
    return Need(phase.name, statement.text, criterion.alpha, name, clean, hold_count, seconds)


MOST_PER_SECOND = 1e9


def parse_rate(text: str) -> float:
    """Requests per second from "42", "42/s", "300/min" or "5000/h"; at most a billion.

    Raises:
        ValueError: anything else.
    """
    number, _, unit = text.replace(" ", "").partition("/")
    sizes = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    try:
        rate = float(number) / sizes[unit]
    except (ValueError, KeyError):
        rate = math.nan
    if MOST_PER_SECOND < rate < math.inf:
        raise ValueError(f"--rate {text!r} is {rate:.3g} requests/s; expected at most {MOST_PER_SECOND:.0e}")
    if not 0 <= rate < math.inf:
        raise ValueError(f"--rate {text!r} is no rate; expected requests per time, such as 42/s, 300/min or 5000/h")
    return rate
