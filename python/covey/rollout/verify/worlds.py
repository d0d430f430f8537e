"""Worlds in which the gates are tried: traffic, failures, and what is asserted of the gates there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from itertools import product

LOOKS = 240
BASELINE_TICKS = 120
TICK_MINUTES = 0.5
SHARDS = 100
WEIGHT_BP = 100


class Tried(Enum):
    """What a world tries."""

    ROLLBACK = "rollback"
    ADVANCE = "advance"
    LATENCY = "latency"
    SPLIT = "split"
    OUTCOME = "outcome"
    SEGMENTS = "segments"


class Kind(Enum):
    """What a claim is about."""

    FALSE = "false"
    POWER = "power"
    MEDIAN_MINUTES = "median minutes"


@dataclass(frozen=True)
class Claim:
    """What a gate promises in a world.

    Attributes:
        gate: whose decisions are counted.
        kind: false alarms have an upper bound, power a lower one, the median delay an upper one.
        bound: a share, or minutes.
    """

    gate: str
    kind: Kind
    bound: float


@dataclass(frozen=True)
class World:
    """One kind of rollout.

    Attributes:
        name: unique.
        tried: which gates.
        error_rate: of the baseline: failures, or learners' share of the candidate.
        requests_per_tick: of the candidate at 1 % of the learners; of outcomes the learners of each arm.
        ratio: the candidate's rate over the baseline's; of latencies the factor that durations are longer by; of
            outcomes their factor, in one of eight segments where segments are tried.
        onset_tick: ticks of the phase before that ratio holds; 1 until then.
        later_weight_bp: the candidate's weight in the second half.
        daily: whether load varies by half over a day.
        correlation: intra-tick correlation of the failures of a pool.
        pools: of a candidate's size of traffic; failures of different pools are independent.
        learner_variation: coefficient of variation of learners' error propensities.
        candidate_learners: at 1 %, where they differ.
        missing: share of ticks without a page; their counts come with the next.
        planned_ticks: of the start times; fewer than LOOKS: a phase that is extended.
        outcome: "revenue" or "engagement", where outcomes are tried.
        rollouts: in a full run, and in a smoke run; 0: not in it.
        claims: what must hold.
    """

    name: str
    tried: Tried = Tried.ROLLBACK
    error_rate: float = 0.005
    requests_per_tick: float = 100.0
    ratio: float = 1.0
    onset_tick: int = 0
    later_weight_bp: int = WEIGHT_BP
    daily: bool = False
    correlation: float = 0.0
    pools: int = 1
    learner_variation: float = 0.0
    candidate_learners: int = 500
    missing: float = 0.0
    planned_ticks: int = LOOKS
    outcome: str = ""
    rollouts: tuple[int, int] = (10_000, 0)
    claims: tuple[Claim, ...] = field(default=())

    @property
    def weights_bp(self) -> tuple[int, ...]:
        """Of each phase."""
        return (WEIGHT_BP,) if self.later_weight_bp == WEIGHT_BP else (WEIGHT_BP, self.later_weight_bp)

    def phase_of(self, tick: int) -> int:
        """Number of the phase of a tick; before the first it is the first."""
        return 0 if tick <= LOOKS // 2 or self.later_weight_bp == WEIGHT_BP else 1

    @property
    def is_healthy(self) -> bool:
        """Whether a rollback is false."""
        return math.isclose(self.ratio, 1.0)


def _false(*gates: str, bound: float = 0.01) -> tuple[Claim, ...]:
    return tuple(Claim(gate, Kind.FALSE, bound) for gate in gates)


_ERROR_GATES = ("level", "ratio", "trigger")
# Measured: 2 to 4 % at correlation .01, the most where a candidate's tick has a thousand requests of one burst.
_BURST_BOUNDS = {0.001: 0.02, 0.01: 0.05}
_RATES = (0.00085, 0.005)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _healthy() -> list[World]:
    smoke = {(0.00085, 25): 1000, (0.005, 100): 1000}
    worlds = [
        World(
            f"healthy, {_percent(rate)} errors, rc {rc}",
            error_rate=rate,
            requests_per_tick=rc,
            rollouts=(10_000, smoke.get((rate, rc), 0)),
            claims=_false(*_ERROR_GATES),
        )
        for rate in _RATES
        for rc in (25, 100, 1000)
    ]
    worlds.append(World("exactly at the limit of 1.5 %", error_rate=0.015, claims=_false(*_ERROR_GATES)))
    for rate in _RATES:
        of = f", {_percent(rate)} errors"
        worlds += [
            World(f"ramp 1 to 10 %{of}", error_rate=rate, later_weight_bp=1000, claims=_false(*_ERROR_GATES)),
            World(f"load by day and night{of}", error_rate=rate, daily=True, claims=_false(*_ERROR_GATES)),
            World(f"10 % of the ticks missing{of}", error_rate=rate, missing=0.1, claims=_false(*_ERROR_GATES)),
            World(f"extended to twice its plan{of}", error_rate=rate, planned_ticks=120, claims=_false(*_ERROR_GATES)),
        ]
    return worlds


def _disturbed() -> list[World]:
    bursts = [
        World(
            f"bursts, correlation {correlation:g}, {'one pool' if pools == 1 else f'{pools} pools'}, rc {rc}",
            requests_per_tick=rc,
            correlation=correlation,
            pools=pools,
            rollouts=(10_000, 500 if (correlation, pools, rc) == (0.01, 1, 100) else 0),
            claims=_false(*_ERROR_GATES, bound=_BURST_BOUNDS[correlation]),
        )
        for correlation, pools, rc in (
            (0.001, 4, 100),
            (0.001, 1, 100),
            (0.01, 4, 100),
            (0.01, 1, 100),
            (0.001, 1, 1000),
            (0.01, 1, 1000),
        )
    ]
    learners = [
        World(
            f"500 learners whose errors differ, CV {variation:g}",
            learner_variation=variation,
            rollouts=(10_000, 500 if variation == 3 else 0),
            claims=_false("level", bound=0.01) + _false("ratio", "trigger", bound=0.015),
        )
        for variation in (1.0, 3.0)
    ]
    # The level judges the learners who came: by how much that is more than 1 % is printed, and promised to nobody.
    learners.append(
        World(
            "500 learners, CV 3, exactly at the limit of 1.5 %",
            error_rate=0.015,
            learner_variation=3.0,
            rollouts=(2_000, 0),
        )
    )
    return bursts + learners


def _harmful() -> list[World]:
    # Least power of the ratio, largest median of ratio and trigger; what is not here is only printed. The trigger is
    # the mean of level and ratio, which costs it a factor of 2: up to five points of power, and about 4 minutes.
    found: dict[tuple[int, float, int], tuple[float, float, float]] = {
        (100, 3.0, 0): (0.99, 30.0, 33.0),
        (100, 3.0, 120): (0.845, 35.0, 37.0),
        (100, 5.0, 180): (0.9, 16.0, 16.5),
        # Its first harmful look is the one at 100 min.
        (100, 5.0, 199): (0.8, 13.0, 13.5),
        (1000, 3.0, 0): (0.99, 4.0, 4.5),
        (1000, 3.0, 120): (0.99, 5.5, 6.0),
    }
    worlds = []
    kinds = [(rc, onset) for rc in (25, 100, 1000) for onset in ((0, 60, 120, 180) if rc > 25 else (0,))]
    every = [(rc, ratio, onset) for (rc, onset), ratio in product(kinds, (1.25, 1.5, 2.0, 3.0, 5.0, 10.0))]
    for rc, ratio, onset in [*every, (100, 5.0, 199)]:
        claims: tuple[Claim, ...] = ()
        if (rc, ratio, onset) in found:
            power, of_ratio, of_trigger = found[rc, ratio, onset]
            claims = (
                Claim("ratio", Kind.POWER, power),
                Claim("ratio", Kind.MEDIAN_MINUTES, of_ratio),
                Claim("trigger", Kind.POWER, 0.99 if power >= 0.99 else power - 0.05),
                Claim("trigger", Kind.MEDIAN_MINUTES, of_trigger),
            )
        worlds.append(
            World(
                f"x{ratio:g} of 0.085 % after {onset * TICK_MINUTES:g} min, rc {rc}",
                error_rate=0.00085,
                requests_per_tick=rc,
                ratio=ratio,
                onset_tick=onset,
                rollouts=(10_000 if claims else 2_000, 300 if (rc, ratio, onset) == (100, 3.0, 0) else 0),
                claims=claims,
            )
        )
    # Fixed levels learn late, where a Beta mixture finds nothing.
    late = (Claim("level", Kind.POWER, 0.99), Claim("level", Kind.MEDIAN_MINUTES, 9.0))
    worlds.append(
        World(
            "3 % after 90 min of 0.085 %, rc 100", error_rate=0.00085, ratio=0.03 / 0.00085, onset_tick=180, claims=late
        )
    )
    return worlds


def _latency() -> list[World]:
    return [
        World(
            "equal latencies" if factor == 1 else f"latencies +{100 * (factor - 1):.0f} %",
            Tried.LATENCY,
            ratio=factor,
            rollouts=(10_000 if factor == 1 else 2_000, 500 if factor in {1.0, 2.0} else 0),
            claims=_false("latency") if factor == 1 else (Claim("latency", Kind.POWER, 0.99),) if factor >= 1.5 else (),
        )
        for factor in (1.0, 1.1, 1.2, 1.5, 2.0)
    ]


def _advance() -> list[World]:
    at_limit = [
        ("margin: 0.17 % against 0.085 %", 0.00085, 2.0, 100),
        ("margin: 0.17 % against 0.085 %", 0.00085, 2.0, 1000),
        ("error floor: 0.05 % against 0.025 %", 0.00025, 2.0, 1000),
        ("limit: 0.5 % against 0.5 %", 0.005, 1.0, 1000),
        ("limit and margin: 0.5 % against 0.25 %", 0.0025, 2.0, 100),
    ]
    false = [
        World(
            f"exactly at the {name}, rc {rc}",
            Tried.ADVANCE,
            error_rate=rate,
            ratio=ratio,
            requests_per_tick=rc,
            rollouts=(10_000, 1000 if (rate, rc) == (0.00085, 1000) else 0),
            claims=_false("advance", bound=0.05),
        )
        for name, rate, ratio, rc in at_limit
    ]
    powers = {1000: 0.99}
    good = [
        World(
            f"half of the margin: 0.085 % against 0.085 %, rc {rc}",
            Tried.ADVANCE,
            error_rate=0.00085,
            requests_per_tick=rc,
            rollouts=(10_000 if rc in powers else 2_000, 0),
            claims=(Claim("advance", Kind.POWER, powers[rc]),) if rc in powers else (),
        )
        for rc in (25, 100, 1000)
    ]
    disturbed = [
        World(
            f"exactly at the limit and margin, {name}",
            Tried.ADVANCE,
            error_rate=0.0025,
            ratio=2.0,
            correlation=correlation,
            learner_variation=variation,
            rollouts=(10_000, 0),
            claims=_false("advance", bound=0.05),
        )
        for name, correlation, variation in (("bursts of correlation 0.01", 0.01, 0.0), ("CV 3", 0.0, 3.0))
    ]
    # A limit is judged for the learners who came, not for all who might: no claim, so that everybody sees how much.
    disturbed.append(
        World(
            "exactly at the limit: 0.5 % against 0.5 %, 500 learners, CV 3",
            Tried.ADVANCE,
            error_rate=0.005,
            learner_variation=3.0,
            rollouts=(2_000, 0),
        )
    )
    return false + disturbed + good


def _split() -> list[World]:
    return [
        World(
            "split as planned",
            Tried.SPLIT,
            error_rate=0.01,
            rollouts=(10_000, 2000),
            claims=_false("split", bound=0.0025),
        ),
        World("split 1.2 % instead of 1 %", Tried.SPLIT, error_rate=0.01, ratio=1.2, rollouts=(2_000, 0)),
    ]


_EFFECT_GATES = ("plain", "winsorised", "adjusted")


def _outcomes() -> list[World]:
    # Rollouts of a smoke run.
    kinds = (
        ("engagement, CV 1", "engagement", 100, 500),
        ("revenue, 2 % pay", "revenue", 400, 1000),
        ("revenue, 2 % pay", "revenue", 4000, 0),
    )
    found = {("engagement", 5): 0.97, ("engagement", 10): 0.99, ("revenue", 5): 0.4, ("revenue", 10): 0.97}
    worlds = [
        World(
            f"{name}, no effect, {learners} learners a look",
            Tried.OUTCOME,
            error_rate=0.0,
            requests_per_tick=learners,
            outcome=outcome,
            rollouts=(10_000, smoke),
            claims=_false(*_EFFECT_GATES),
        )
        for name, outcome, learners, smoke in kinds
    ]
    for name, outcome, learners, _ in (kinds[0], kinds[2]):
        for effect in (3, 5, 10):
            power = found.get((outcome, effect))
            worlds.append(
                World(
                    f"{name}, {-effect} %, {learners} learners a look",
                    Tried.OUTCOME,
                    error_rate=0.0,
                    requests_per_tick=learners,
                    ratio=1 - effect / 100,
                    outcome=outcome,
                    rollouts=(10_000 if effect == 3 else 2_000, 100 if (outcome, effect) == ("engagement", 10) else 0),
                    # "> -3 %" must not pass where the effect is -3 %, or worse.
                    claims=_false("advance", bound=0.05)
                    + (() if power is None else (Claim("adjusted", Kind.POWER, power),)),
                )
            )
    return worlds


def _segments() -> list[World]:
    alike = World(
        "8 segments alike, CV 1",
        Tried.SEGMENTS,
        error_rate=0.0,
        requests_per_tick=300,
        rollouts=(10_000, 300),
        claims=(*_false("false harm"), Claim("consistent", Kind.POWER, 0.95)),
    )
    harmed = World(
        "one of 8 segments -15 %, the others +3 %",
        Tried.SEGMENTS,
        error_rate=0.0,
        requests_per_tick=300,
        ratio=0.85,
        rollouts=(2_000, 200),
        claims=(*_false("false harm"), Claim("harm", Kind.POWER, 0.99), *_false("consistent", bound=0.05)),
    )
    return [alike, harmed]


def all_worlds() -> list[World]:
    """Every world, in the order of the report."""
    return _healthy() + _disturbed() + _harmful() + _latency() + _advance() + _split() + _outcomes() + _segments()
