"""From simulated decisions to rates with bounds, and to whether the claims hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from covey.rollout.verify.simulate import Block
from covey.rollout.verify.worlds import TICK_MINUTES, Claim, Kind, World

CONFIDENCE = 0.99
# A smoke run has too few rollouts to tell 0.3 from 1 %: it bounds false decisions by three times what is promised.
SMOKE_FACTOR = 3.0


@dataclass(frozen=True)
class Rate:
    """How often a gate decided in a world.

    Attributes:
        gate: whose decisions.
        found: rollouts with a decision (after the onset of harm, where there is one).
        rollouts: how many were simulated.
        lower, upper: one-sided Clopper-Pearson bounds at 99 %.
        median_minutes: from the onset until the decision, among those found; None where none was.
    """

    gate: str
    found: int
    rollouts: int
    lower: float
    upper: float
    median_minutes: float | None

    @property
    def share(self) -> float:
        """Of the rollouts."""
        return self.found / self.rollouts


@dataclass(frozen=True)
class Judged:
    """A claim and whether it held.

    Attributes:
        claim: what was promised.
        value: what was seen and is compared with the bound.
        allowed: the bound, of a smoke run wider.
        holds: whether it does.
    """

    claim: Claim
    value: float
    allowed: float
    holds: bool


@dataclass(frozen=True)
class WorldResult:
    """A world's rates, and its claims."""

    world: World
    rates: dict[str, Rate]
    judged: tuple[Judged, ...]

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(judged.holds for judged in self.judged)

    def as_data(self) -> dict[str, object]:
        """For JSON."""
        rates = {name: {**asdict(rate), "share": rate.share} for name, rate in self.rates.items()}
        claims = [
            {
                "gate": judged.claim.gate,
                "kind": judged.claim.kind.value,
                "bound": judged.claim.bound,
                "allowed": judged.allowed,
                "value": judged.value,
                "holds": judged.holds,
            }
            for judged in self.judged
        ]
        return {
            "world": self.world.name,
            "tried": self.world.tried.value,
            "error_rate": self.world.error_rate,
            "requests_per_tick": self.world.requests_per_tick,
            "ratio": self.world.ratio,
            "onset_minutes": self.world.onset_tick * TICK_MINUTES,
            "rates": rates,
            "claims": claims,
            "holds": self.holds,
        }


def clopper_pearson(found: int, rollouts: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided lower and upper bound of a share, each at this confidence.

    Raises:
        ValueError: more found than rollouts, or none simulated.

    Source: Clopper and Pearson (1934).
    """
    if not 0 <= found <= rollouts or rollouts < 1:
        raise ValueError(f"found is {found} of {rollouts} rollouts; expected 0 to all of one or more")
    from scipy.special import betaincinv

    lower = float(betaincinv(found, rollouts - found + 1, 1 - confidence)) if found else 0.0
    upper = float(betaincinv(found + 1, rollouts - found, confidence)) if found < rollouts else 1.0
    return lower, upper


def judge_world(world: World, blocks: Sequence[Block], *, full: bool) -> WorldResult:
    """A world's rates and whether its claims hold.

    Args:
        world: the world.
        blocks: all of it.
        full: whether bounds are those promised; else those of a smoke run.
    """
    rates = {gate: _rate(gate, world, (block.first[gate] for block in blocks)) for gate in blocks[0].first}
    return WorldResult(world, rates, tuple(_judged(claim, rates[claim.gate], full=full) for claim in world.claims))


def _rate(gate: str, world: World, firsts: Iterable[np.ndarray]) -> Rate:
    looks = np.concatenate(list(firsts))
    found = looks[looks > world.onset_tick]
    lower, upper = clopper_pearson(found.size, looks.size)
    median = float(np.median(found - world.onset_tick)) * TICK_MINUTES if found.size else None
    return Rate(gate, int(found.size), int(looks.size), lower, upper, median)


def _judged(claim: Claim, rate: Rate, *, full: bool) -> Judged:
    if claim.kind is Kind.FALSE:
        allowed = claim.bound if full else SMOKE_FACTOR * claim.bound
        return Judged(claim, rate.upper, allowed, rate.upper <= allowed)
    if claim.kind is Kind.POWER:
        # A smoke run only sees whether the promised power is refuted.
        value = rate.share if full else rate.upper
        return Judged(claim, value, claim.bound, value >= claim.bound)
    median = float("inf") if rate.median_minutes is None else rate.median_minutes
    allowed = claim.bound if full else 1.25 * claim.bound
    return Judged(claim, median, allowed, median <= allowed)
