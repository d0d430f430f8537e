"""The gates on what learners do, many rollouts side by side: a relative effect on revenue or engagement."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.rollout.outcomes import BURN_IN_NONZERO, BURN_IN_TICKS, ArmSums, Effects, effects_of_sums, variance_against
from covey.rollout.verify.comparators import Z_OF_FIVE_PERCENT
from covey.rollout.verify.gate import ADVANCE_ALPHA, ROLLBACK_ALPHA, Broken
from covey.rollout.verify.worlds import LOOKS, World
from covey.stats import asymptotic_cs
from covey.stats.special import Floats

TRIGGER_LIMIT = 0.0
"""Of "outcome < 0 %", whose null is no effect at all: the strictest that a plan can write."""
CRITERION_LIMIT = -0.03
"""Of "outcome > -3 %", as in the default plan."""
GATES = ("plain", "winsorised", "adjusted", "advance", "z-test")


class Shape(NamedTuple):
    """What learners bring: nothing, or a log-normal amount. Both depend on a covariate of 0 or 1.

    Attributes:
        covariate_share: of the learners whose covariate is 1.
        nonzero: share of the learners with an amount, by covariate.
        scale: median amount, by covariate.
        log_deviation: of the amounts.
        high: winsorising end, which a hundredth (revenue) or a thousandth (engagement) of the amounts exceeds.
    """

    covariate_share: float
    nonzero: tuple[float, float]
    scale: tuple[float, float]
    log_deviation: float
    high: float

    def moments(self) -> tuple[float, float]:
        """Mean and coefficient of variation, before winsorising."""
        shares = (1 - self.covariate_share, self.covariate_share)
        first = math.exp(self.log_deviation**2 / 2)
        second = math.exp(2 * self.log_deviation**2)
        rows = list(zip(shares, self.nonzero, self.scale, strict=True))
        mean = first * sum(share * nonzero * scale for share, nonzero, scale in rows)
        square = second * sum(share * nonzero * scale**2 for share, nonzero, scale in rows)
        return mean, math.sqrt(square / mean**2 - 1)


SHAPES = {
    # 2 % pay, half of them among the 2 % that paid before; CV 11.6.
    "revenue": Shape(0.02, (0.0102, 0.5), (1.0, 1.0), 1.0, 10.24),
    # Four of five bring something; CV 1.
    "engagement": Shape(0.5, (0.6, 1.0), (0.6, 1.0), 0.6476, 6.5),
}


def run_outcomes(
    world: World, rollouts: int, generator: np.random.Generator, broken: Broken | None = None
) -> dict[str, NDArray[np.int16]]:
    """First look at which each gate decides; 0: none.

    "plain", "winsorised" and "adjusted" (winsorised, with the covariate) are "outcome < 0 %" at alpha 1 %; "advance" is
    "outcome > -3 %" at 5 %, adjusted; "z-test" is one-sided at 5 %, repeated at each look.

    Args:
        world: its `requests_per_tick` learners are seen in each arm and tick; the candidate's share of learners with an
            amount is `ratio` times the baseline's.
        rollouts: how many.
        generator: of the randomness.
        broken: a deliberate fault: the z-test in place of the confidence sequence.
    """
    shape = SHAPES[world.outcome]
    gate = OutcomeGate(rollouts, broken)
    first: dict[str, NDArray[np.int16]] = {}
    for tick in range(1, LOOKS + 1):
        ratio = world.ratio if tick > world.onset_tick else 1.0
        mine = closed_windows(shape, world.requests_per_tick, ratio, rollouts, generator)
        theirs = closed_windows(shape, world.requests_per_tick, 1.0, rollouts, generator)
        for name, now in gate.look(mine, theirs).items():
            found = first.setdefault(name, np.zeros(rollouts, dtype=np.int16))
            found[(found == 0) & now] = tick
    return first


class Closed(NamedTuple):
    """Learners whose window closes in a tick.

    Attributes:
        sums: fields of ArmSums, of the amounts as they are and of the winsorised ones, shape (2, 7, rollouts).
        nonzero: learners with an amount, shape (rollouts,).
    """

    sums: Floats
    nonzero: Floats


class OutcomeGate:
    """Trigger and criterion on the outcome of a block of rollouts.

    Args:
        rollouts: how many.
        broken: a deliberate fault.

    Attributes:
        arms: sums so far of candidate and baseline, shape (2, 2, 7, rollouts).
        nonzero: learners with an amount so far, shape (2, rollouts).
    """

    def __init__(self, rollouts: int, broken: Broken | None = None) -> None:
        self._broken = broken
        self._tick = 0
        self.arms = np.zeros((2, 2, len(ArmSums._fields), rollouts))
        self.nonzero = np.zeros((2, rollouts))

    def look(self, mine: Closed, theirs: Closed) -> dict[str, NDArray[np.bool_]]:
        """By gate, which rollouts it decides now, after a tick of both arms."""
        self._tick += 1
        self.arms += np.stack([mine.sums, theirs.sums])
        self.nonzero += np.stack([mine.nonzero, theirs.nonzero])
        is_open = (self._tick >= BURN_IN_TICKS) & (self.nonzero.min(axis=0) >= BURN_IN_NONZERO)
        shown = {name: np.zeros(is_open.shape, dtype=bool) for name in GATES}
        if is_open.any():
            for name, now in self._shown(np.flatnonzero(is_open)).items():
                shown[name][is_open] = now
        return shown

    def _shown(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.bool_]]:
        raw, capped = ((ArmSums(*arms[0]), ArmSums(*arms[1])) for arms in np.moveaxis(self.arms[..., rows], 1, 0))
        no, yes = np.zeros(rows.size, dtype=bool), np.ones(rows.size, dtype=bool)
        effects = {
            "plain": effects_of_sums(*raw, no),
            "winsorised": effects_of_sums(*capped, no),
            "adjusted": effects_of_sums(*capped, yes),
        }
        learners = raw[0].n
        shown: dict[str, NDArray[np.bool_]] = {}
        for name, effect in effects.items():
            z = effect.estimate / np.sqrt(effect.variance)
            if name == "winsorised":
                shown["z-test"] = z < -Z_OF_FIVE_PERCENT
            if self._broken is Broken.OUTCOMES:
                shown[name] = z < -Z_OF_FIVE_PERCENT
                continue
            variance = _against(effect, TRIGGER_LIMIT) * learners
            _, upper = asymptotic_cs(effect.estimate, variance, learners, ROLLBACK_ALPHA, side="upper")
            shown[name] = upper < TRIGGER_LIMIT
        effect = effects["adjusted"]
        variance = _against(effect, CRITERION_LIMIT) * learners
        lower, _ = asymptotic_cs(effect.estimate, variance, learners, ADVANCE_ALPHA, side="lower")
        shown["advance"] = lower > CRITERION_LIMIT
        return shown


def _against(effect: Effects, limit: float) -> Floats:
    return variance_against(effect.estimate, effect.variance, effect.baseline_part, limit)


def closed_windows(
    shape: Shape, learners: float, ratio: float, rollouts: int, generator: np.random.Generator
) -> Closed:
    """The learners of one arm whose window closes in a tick.

    Args:
        shape: what they bring.
        learners: how many on average.
        ratio: factor of the share of those with an amount.
        rollouts: how many.
        generator: of the randomness.
    """
    n = generator.poisson(learners, rollouts)
    ones = generator.binomial(n, shape.covariate_share)
    y, yy = np.zeros((2, 2, rollouts)), np.zeros((2, 2, rollouts))
    paying = np.zeros(rollouts)
    for covariate, group in enumerate((n - ones, ones)):
        payers = generator.binomial(group, shape.nonzero[covariate] * ratio)
        paying += payers
        amounts = generator.standard_normal(int(payers.sum()), dtype=np.float32)
        np.exp(amounts * np.float32(shape.log_deviation), out=amounts)
        amounts *= np.float32(shape.scale[covariate])
        owner = np.repeat(np.arange(rollouts), payers)
        for kind in (0, 1):
            if kind:
                np.minimum(amounts, np.float32(shape.high), out=amounts)
            y[kind, covariate] = np.bincount(owner, amounts, rollouts)
            yy[kind, covariate] = np.bincount(owner, amounts * amounts, rollouts)
    zero = np.zeros(rollouts)
    # In the order of ArmSums; the centre is 0, and a covariate of 0 or 1 is its own square.
    sums = [(n, zero, y[kind].sum(axis=0), yy[kind].sum(axis=0), ones, ones, y[kind, 1]) for kind in (0, 1)]
    return Closed(np.array(sums, dtype=np.float64), paying)
