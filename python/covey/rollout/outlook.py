"""What a plan can see with the traffic there is: power at the end of each hold, exactly, from binomial counts. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from covey.rollout.gates.formulas import FEWEST_AFFECTED_LEARNERS, level_table, mean_of_two, ratio_step
from covey.rollout.model import Plan
from covey.rollout.statement import Kind, Statement
from covey.rollout.units import seconds_of
from covey.stats import bernoulli_level
from covey.stats.checked import log_sum_exp
from covey.stats.special import Floats
from covey.v1.rollout_spec_pb2 import Criterion, Phase, RolloutSpec

GOOD_POWER = 0.8
RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 50.0)
NICE_SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
GRID = 121
STEPS = 60
LONGEST_RATIO = 5000.0
_LN_2 = math.log(2.0)


@dataclass(frozen=True)
class Traffic:
    """What comes, of a candidate that is as good as the baseline.

    Attributes:
        per_second: learner requests of both variants.
        error, unavailable, slow, mismatch: share of requests that fail so (slow: beyond each latency limit).
    """

    per_second: float
    error: float = 0.0
    unavailable: float = 0.0
    slow: float = 0.0
    mismatch: float = 0.0

    def rate_of(self, statement: Statement) -> float:
        """Share of bad events of a statement that counts them."""
        return {
            Kind.ERROR_RATE: self.error,
            Kind.AVAILABILITY: self.unavailable,
            Kind.LATENCY: self.slow,
            Kind.MISMATCH: self.mismatch,
        }[statement.kind]


@dataclass(frozen=True)
class CriterionOutlook:
    """What becomes of a criterion if the candidate is as good as the baseline.

    Attributes:
        phase, statement: which.
        trials: candidate requests (mismatch: comparisons) of the hold.
        power: chance of PASS at the end of the hold; None where no counters answer it.
        seconds: until PASS has a chance of 80 % at this share; infinite: never.
        share: smallest usual share with which the hold would do; None: none, or not needed.
        impossible: why no traffic would do; empty where some would.
    """

    phase: str
    statement: str
    trials: int
    power: float | None = None
    seconds: float = math.inf
    share: float | None = None
    impossible: str = ""


@dataclass(frozen=True)
class TriggerOutlook:
    """What a trigger finds within a phase's hold, if it sets in with the phase.

    Attributes:
        phase, statement: which.
        rate: smallest failure rate found with a chance of at least 80 %; None: none of those looked at.
        ratio: the same as a multiple of the baseline's; None where the baseline has none.
        triple_seconds: until three times the baseline's rate (or the limit, if that is more) is found so; infinite:
            not in the hold.
    """

    phase: str
    statement: str
    rate: float | None
    ratio: float | None
    triple_seconds: float


def criteria_outlook(spec: RolloutSpec, traffic: Traffic) -> Iterator[CriterionOutlook]:
    """Every criterion of every phase."""
    plan = Plan.of(spec)
    for index, phase in enumerate(plan.spec.phases):
        for criterion, statement in zip(phase.criteria, plan.criteria[index], strict=True):
            share = 0.0 if plan.spec.dry_run else phase.traffic_share
            yield _criterion(plan, phase, criterion, statement, share, traffic)


def _criterion(
    plan: Plan, phase: Phase, criterion: Criterion, statement: Statement, share: float, traffic: Traffic
) -> CriterionOutlook:
    hold = seconds_of(phase.hold)
    trials = _trials(plan, statement, share, traffic, hold)
    if not statement.counts_events:
        return CriterionOutlook(phase.name, statement.text, trials)
    rate = traffic.rate_of(statement)
    if rate >= statement.event_limit:
        text = f"the baseline itself, at {rate * 100:.3g} %, is not within {statement.event_limit * 100:.3g} %"
        return CriterionOutlook(phase.name, statement.text, trials, 0.0, impossible=text)
    per_second = _trials(plan, statement, share, traffic, 1.0, whole=False)
    if per_second <= 0:
        return CriterionOutlook(phase.name, statement.text, trials, 0.0)

    def power(seconds: float, at_share: float) -> float:
        return _pass_chance(plan, criterion, statement, at_share, traffic, seconds)

    now = power(hold, share)
    seconds = _smallest_time(lambda seconds: power(seconds, share) >= GOOD_POWER, hold)
    larger = None
    if now < GOOD_POWER and statement.kind is not Kind.MISMATCH:
        larger = next((s for s in NICE_SHARES if s > share and power(hold, s) >= GOOD_POWER), None)
    return CriterionOutlook(phase.name, statement.text, trials, now, seconds, larger)


def _trials(
    plan: Plan, statement: Statement, share: float, traffic: Traffic, seconds: float, *, whole: bool = True
) -> int:
    part = plan.spec.shadow_share if statement.kind is Kind.MISMATCH else share
    count = traffic.per_second * part * seconds
    # 42 a second x 1 % x 2 h are 3,024, whatever binary fractions make of it.
    return int(count + 1e-6) if whole else math.ceil(count)


def _pass_chance(
    plan: Plan, criterion: Criterion, statement: Statement, share: float, traffic: Traffic, seconds: float
) -> float:
    """Chance that every test that the criterion needs shows it after so much time."""
    trials = _trials(plan, statement, share, traffic, seconds)
    rate, limit = traffic.rate_of(statement), statement.event_limit
    threshold = math.log(1 / criterion.alpha)
    events, weights = count_grid(trials, rate)
    if not trials:
        return 0.0
    shown = bernoulli_level(events, np.full(events.shape, trials), limit, alternative="less") >= threshold
    compared = statement.kind is Kind.ERROR_RATE and criterion.margin > 0 and share < 1
    if not compared:
        return float(weights[shown].sum())
    rivals = int(traffic.per_second * (1 - share) * seconds)
    rival_events, rival_weights = count_grid(rivals, rate)
    x, y = events[:, np.newaxis], rival_events[np.newaxis, :]
    steps = ratio_step(x + 0 * y, y + 0 * x, np.full((1, 1), share), np.full((1, 1), criterion.margin), advance=True)
    margin = np.asarray(log_sum_exp(steps)) - math.log(steps.shape[-1])
    floor = bernoulli_level(events, np.full(events.shape, trials), plan.spec.error_floor, alternative="less")
    relative = mean_of_two(margin, np.broadcast_to(floor[:, np.newaxis], margin.shape)) >= threshold
    both = relative & shown[:, np.newaxis]
    return float((weights[:, np.newaxis] * rival_weights[np.newaxis, :] * both).sum())


def _smallest_time(is_enough: Callable[[float], bool], hold: float) -> float:
    """The smallest time at which a rising question is answered, to 2 %; infinite beyond 1,000 holds."""
    low, high = 0.0, hold
    while not is_enough(high):
        low, high = high, high * 2
        if high > 1000 * hold:
            return math.inf
    while high - low > 0.02 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def triggers_outlook(spec: RolloutSpec, traffic: Traffic) -> Iterator[TriggerOutlook]:
    """Every trigger that counts events, in every phase.

    A lower bound: one look at the end of the time instead of looks at every tick, and of the mixture over start times
    only the half that begins with the phase.
    """
    plan = Plan.of(spec)
    for index, phase in enumerate(plan.spec.phases):
        share = plan.weight_bp(index) / 10_000
        for number, statement in enumerate(plan.triggers):
            if not statement.counts_events:
                continue
            base, limit = traffic.rate_of(statement), statement.event_limit
            hold = seconds_of(phase.hold)
            rates = sorted({*(base * ratio for ratio in RATIOS if base), *(limit * ratio for ratio in RATIOS)})
            found = (
                rate
                for rate in rates
                if rate < 1 and _harm_chance(plan, number, share, traffic, rate, hold) >= GOOD_POWER
            )
            rate = next(found, None)
            triple = 3 * base if base and plan.gates.triggers.compared[number] and share < 1 else 2 * limit
            times = np.geomspace(hold / LONGEST_RATIO, hold, STEPS)
            hits = (
                float(seconds)
                for seconds in times
                if _harm_chance(plan, number, share, traffic, min(triple, 0.99), float(seconds)) >= GOOD_POWER
            )
            ratio = rate / base if rate is not None and base else None
            yield TriggerOutlook(phase.name, statement.text, rate, ratio, next(hits, math.inf))


def _harm_chance(plan: Plan, number: int, share: float, traffic: Traffic, rate: float, seconds: float) -> float:
    """Chance that a trigger is shown by one look at that time, if the candidate fails at that rate."""
    statement, rows = plan.triggers[number], plan.gates.triggers
    trials = _trials(plan, statement, share, traffic, seconds)
    if not trials:
        return 0.0
    ledger = plan.ledger
    threshold = math.log(1 / ledger.trigger_alphas[number]) + _LN_2 + math.log(ledger.trigger_counts[number])
    events, weights = count_grid(trials, rate)
    table = level_table(rows.limit[number])
    steps = events[:, np.newaxis] * table.per_event + (trials - events)[:, np.newaxis] * table.per_success
    level = np.asarray(log_sum_exp(steps)) - math.log(steps.shape[-1])
    if not rows.compared[number] or share >= 1:
        return float(weights[level >= threshold + (_LN_2 if rows.compared[number] else 0.0)].sum())
    rivals = int(traffic.per_second * (1 - share) * seconds)
    rival_events, rival_weights = count_grid(rivals, traffic.rate_of(statement))
    x, y = events[:, np.newaxis], rival_events[np.newaxis, :]
    tolerance = np.full((1, 1), rows.null_ratio[number])
    ratio_steps = ratio_step(x + 0 * y, y + 0 * x, np.full((1, 1), share), tolerance, advance=False)
    ratio = np.asarray(log_sum_exp(ratio_steps)) - math.log(ratio_steps.shape[-1])
    combined = mean_of_two(np.broadcast_to(level[:, np.newaxis], ratio.shape), ratio)
    matters = (x / trials - y / max(rivals, 1) >= plan.spec.error_floor) | (x + 0 * y >= FEWEST_AFFECTED_LEARNERS)
    shown = (combined >= threshold) & matters
    return float((weights[:, np.newaxis] * rival_weights[np.newaxis, :] * shown).sum())


def literal_alarm(spec: RolloutSpec, number: int, index: int, traffic: Traffic) -> float:
    """Chance that a trigger's literal rule holds somewhere in a phase though the candidate is as good as the baseline.

    A run of ticks, each with its share of bad events beyond the limit, as long as `sustained`; every tick with the mean
    number of requests.
    """
    plan = Plan.of(spec)
    statement, trigger, phase = plan.triggers[number], plan.spec.triggers[number], plan.spec.phases[index]
    interval = seconds_of(plan.spec.soak_tick_interval if phase.soak else plan.spec.tick_interval)
    run = max(1, math.ceil(seconds_of(trigger.sustained) / interval))
    trials = round(_trials(plan, statement, plan.weight_bp(index) / 10_000, traffic, 1000 * interval) / 1000)
    if not statement.counts_events or trials * run < trigger.literal_minimum_count:
        return 0.0
    beyond = 1.0 - float(bdtr(math.floor(statement.event_limit * trials), trials, traffic.rate_of(statement)))
    lengths = np.zeros(run)  # chance that the run now has that length and the rule has not held
    lengths[0], held = 1.0, 0.0
    for _ in range(round(seconds_of(phase.hold) / interval)):
        held += float(lengths[-1]) * beyond
        lengths = np.concatenate([[float(lengths.sum()) * (1.0 - beyond)], lengths[:-1] * beyond])
    return held


def count_grid(trials: int, rate: float) -> tuple[Floats, NDArray[np.float64]]:
    """Counts of a binomial and their chances; many counts are gathered into about 120.

    Args:
        trials: n.
        rate: chance of an event.

    Returns:
        Counts and chances, both of shape (k,), the chances summing to 1.
    """
    if trials <= 0 or rate <= 0:
        return np.zeros(1), np.ones(1)
    middle, spread = trials * rate, math.sqrt(trials * rate * (1 - rate))
    low, high = max(0, math.floor(middle - 6 * spread)), min(trials, math.ceil(middle + 6 * spread + 6))
    ends = np.unique(np.linspace(low, high, GRID).round())
    upto = bdtr(ends, trials, rate)
    upto[-1] = 1.0
    weights = np.diff(upto, prepend=0.0)
    before = np.concatenate([[low - 1], ends[:-1]])
    return np.maximum(np.floor((before + 1 + ends) / 2), 0.0), weights
