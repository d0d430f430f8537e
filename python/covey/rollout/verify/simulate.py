"""One block of simulated rollouts of a world: when each gate decided first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.rollout.verify.comparators import Comparators
from covey.rollout.verify.gate import Broken, ErrorGate
from covey.rollout.verify.latency import run_latency
from covey.rollout.verify.outcomes import run_outcomes
from covey.rollout.verify.segments import run_segments
from covey.rollout.verify.traffic import Traffic
from covey.rollout.verify.worlds import BASELINE_TICKS, LOOKS, SHARDS, Tried, World
from covey.stats import multinomial_srm

BLOCK = 1000
NEW_LEARNERS = 500
SPLIT_ALPHA = 0.001


@dataclass(frozen=True)
class Block:
    """What one block gave.

    Attributes:
        world: its name.
        rollouts: how many.
        first: by gate, the look at which it decided first, 0 where it did not, shape (rollouts,).
    """

    world: str
    rollouts: int
    first: dict[str, NDArray[np.int16]]


def run_block(world: World, rollouts: int, generator: np.random.Generator, broken: Broken | None = None) -> Block:
    """Simulates so many rollouts of 240 looks side by side.

    Args:
        world: what they meet.
        rollouts: how many; memory grows with it, about 10 kB each.
        generator: of the randomness.
        broken: a deliberate fault of the gates.
    """
    if world.tried is Tried.LATENCY:
        return Block(world.name, rollouts, run_latency(world, rollouts, generator))
    if world.tried is Tried.SPLIT:
        return Block(world.name, rollouts, _run_split(world, rollouts, generator))
    if world.tried is Tried.OUTCOME:
        return Block(world.name, rollouts, run_outcomes(world, rollouts, generator, broken))
    if world.tried is Tried.SEGMENTS:
        return Block(world.name, rollouts, run_segments(world, rollouts, generator, broken))
    return Block(world.name, rollouts, _run_errors(world, rollouts, generator, broken))


def _run_errors(
    world: World, rollouts: int, generator: np.random.Generator, broken: Broken | None
) -> dict[str, NDArray[np.int16]]:
    judges_advance = world.tried is Tried.ADVANCE
    traffic, others = Traffic(world, rollouts, generator), Comparators(rollouts)
    gate = ErrorGate(world, rollouts, broken, criteria=judges_advance)
    first: dict[str, NDArray[np.int16]] = {}
    for tick in range(1 - BASELINE_TICKS, LOOKS + 1):
        counted = traffic.tick(tick)
        if tick <= 0:
            gate.wait(counted)
            continue
        gate.look(counted)
        if judges_advance:
            open_ = first["advance"] == 0 if first else np.ones(rollouts, dtype=bool)
            shown = {"advance": gate.passed(open_)}
        else:
            theirs = counted.shard_events.sum(axis=1), SHARDS * counted.shard_trials[:, 0]
            shown = gate.shown(counted.affected_shards)
            shown |= others.look(counted.candidate_events, counted.candidate_trials, *theirs)
        for name, now in shown.items():
            found = first.setdefault(name, np.zeros(rollouts, dtype=np.int16))
            found[(found == 0) & now] = tick
    return first


def _run_split(world: World, rollouts: int, generator: np.random.Generator) -> dict[str, NDArray[np.int16]]:
    """First look at which the learners of the phase are not split as planned, at p < .001."""
    planned = world.error_rate
    counts = np.zeros((rollouts, 2))
    first = np.zeros(rollouts, dtype=np.int16)
    for tick in range(1, LOOKS + 1):
        # Most learners come early: each tick brings a little fewer new ones.
        new = generator.poisson(NEW_LEARNERS * math.exp(-tick / LOOKS), rollouts)
        mine = generator.binomial(new, planned * world.ratio)
        counts += np.stack([mine, new - mine], axis=1)
        shown = multinomial_srm(counts, [planned, 1 - planned]) >= math.log(1 / SPLIT_ALPHA)
        first[(first == 0) & shown] = tick
    return {"split": first}
