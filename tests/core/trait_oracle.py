"""Traits straight from DESIGN section 5, one learner at a time, in plain Python: slow and obviously correct."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Event:
    time_us: int
    domain: int
    capability: int
    kind: int = 1
    action_taken: int = 0
    weight: float = 1.0


@dataclass(frozen=True)
class Parameters:
    velocity_alpha: float = 0.3
    velocity_kappa: float = 3.0
    affinity_entropy_penalty: float = 0.3
    frequency_window_days: int = 28
    feedback_prior_acted: float = 1.0
    feedback_prior_ignored: float = 1.0
    retention_decay_per_day: float = 0.05
    day_start_seconds: int = 0


@dataclass
class Traits:
    learning_velocity: float
    domain_affinity: float
    interaction_frequency: float
    feedback_responsiveness: float
    retention_strength: float
    domain_entropy: float
    momentum: float
    event_count: int
    active_days: int
    tenure_days: float
    recency_days: float


@dataclass
class _Learner:
    """A learner's events at or before `as_of`."""

    events: list[Event]
    as_of_us: int
    parameters: Parameters
    day_ages: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.day_ages = [self.day(self.as_of_us) - self.day(event.time_us) for event in self.events]

    def day(self, time_us: int) -> int:
        return (time_us - self.parameters.day_start_seconds * 1_000_000) // DAY_US

    def velocity(self) -> float:
        first_use: dict[int, int] = {}
        for event, age in zip(self.events, self.day_ages, strict=True):
            first_use[event.capability] = max(first_use.get(event.capability, 0), age)
        new_in_week = Counter(age // 7 for age in first_use.values())
        alpha = self.parameters.velocity_alpha
        weeks = sorted(new_in_week, reverse=True)
        average = float(new_in_week[weeks[0]])
        for week, following in zip(weeks, [*weeks[1:], None], strict=True):
            if following is not None:
                average = alpha * new_in_week[following] + (1 - alpha) ** (week - following) * average
            else:
                average *= (1 - alpha) ** week
        return average / (average + self.parameters.velocity_kappa)

    def domain_shares(self) -> list[Fraction]:
        weight: dict[int, Fraction] = defaultdict(Fraction)
        for event in self.events:
            if event.weight > 0:
                weight[event.domain] += Fraction(event.weight)
        total = sum(weight.values())
        return [value / total for value in weight.values()] if total else []

    def entropy(self) -> float:
        return math.fsum(-float(share) * _log2(share) for share in self.domain_shares() if float(share) > 0)

    def affinity(self) -> float:
        shares = self.domain_shares()
        if not shares:
            return 0.0
        if len(shares) == 1:
            return 1.0
        evenness = self.entropy() / math.log2(len(shares))
        return float(max(shares)) * (1 - self.parameters.affinity_entropy_penalty * evenness)

    def feedback(self) -> float:
        feedback = [event for event in self.events if event.kind == 4]
        acted = sum(event.action_taken for event in feedback)
        prior = self.parameters.feedback_prior_acted
        return (acted + prior) / (len(feedback) + prior + self.parameters.feedback_prior_ignored)

    def retention(self) -> float:
        positive = [event for event in self.events if event.weight > 0]
        if not positive:
            return 0.0
        first_use: dict[int, int] = {}
        for event in self.events:
            first_use[event.capability] = min(first_use.get(event.capability, event.time_us), event.time_us)
        # Logarithms relative to the largest term: nothing underflows that matters.
        rate = self.parameters.retention_decay_per_day / DAY_US
        newest = max(event.time_us for event in positive)
        logs = [math.log(event.weight) - rate * (newest - event.time_us) for event in positive]
        largest = max(logs)
        terms = [math.exp(log - largest) for log in logs]
        repeats = [
            term for event, term in zip(positive, terms, strict=True) if event.time_us > first_use[event.capability]
        ]
        return math.fsum(repeats) / math.fsum(terms)

    def momentum(self) -> float:
        dated = list(zip(self.events, self.day_ages, strict=True))
        last = sum((Fraction(event.weight) for event, age in dated if age < 14), Fraction(0))
        before = sum((Fraction(event.weight) for event, age in dated if 14 <= age < 28), Fraction(0))
        return float(last / (last + before)) if last + before else 0.5


def _log2(share: Fraction) -> float:
    """Of a share near 1 without cancellation."""
    return math.log1p(-float(1 - share)) / math.log(2) if share > Fraction(1, 2) else math.log2(float(share))


def traits_of(events: list[Event], as_of_us: int, parameters: Parameters) -> Traits:
    known = [event for event in events if event.time_us <= as_of_us]
    if not known:
        prior = parameters.feedback_prior_acted
        mean = prior / (prior + parameters.feedback_prior_ignored)
        return Traits(0.0, 0.0, 0.0, mean, 0.0, 0.0, 0.5, 0, 0, 0.0, 0.0)
    learner = _Learner(known, as_of_us, parameters)
    days = set(learner.day_ages)
    window = parameters.frequency_window_days
    return Traits(
        learning_velocity=learner.velocity(),
        domain_affinity=learner.affinity(),
        interaction_frequency=sum(age < window for age in days) / window,
        feedback_responsiveness=learner.feedback(),
        retention_strength=learner.retention(),
        domain_entropy=learner.entropy(),
        momentum=learner.momentum(),
        event_count=len(known),
        active_days=len(days),
        tenure_days=(as_of_us - min(event.time_us for event in known)) / DAY_US,
        recency_days=(as_of_us - max(event.time_us for event in known)) / DAY_US,
    )
