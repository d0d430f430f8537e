"""Counts of simulated rollouts, a tick at a time; many rollouts side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.rollout.gates.formulas import FEWEST_AFFECTED_LEARNERS
from covey.rollout.verify.worlds import SHARDS, WEIGHT_BP, World
from covey.stats.special import Floats

TICKS_OF_A_DAY = 2880
# Failures of a shard in a tick up to which it is faster to place each of them.
LARGEST_SPLIT = 3.0


class Counted(NamedTuple):
    """What a tick shows of each rollout.

    Attributes:
        candidate_trials, candidate_events: shape (rollouts,).
        shard_trials: of each of the baseline's shards, which are alike in size, shape (rollouts, 1).
        shard_events: shape (rollouts, SHARDS).
        affected_shards: of the candidate, with any failure so far; followed until five are, shape (rollouts, SHARDS).
    """

    candidate_trials: Floats
    candidate_events: Floats
    shard_trials: Floats
    shard_events: Floats
    affected_shards: NDArray[np.bool_]


class Traffic:
    """Requests and failures of a block of rollouts.

    Failures of independent requests are binomial for the candidate and Poisson for the baseline's shards, whose spread
    is slightly larger. In bursts the rate of each pool is drawn anew in each tick, from a gamma of the beta-binomial's
    mean and variance. A learner's propensity is gamma too, so that a group's is.

    Args:
        world: its rates.
        rollouts: how many.
        generator: of the randomness.
    """

    def __init__(self, world: World, rollouts: int, generator: np.random.Generator) -> None:
        self._world, self._rollouts, self._random = world, rollouts, generator
        self._day = generator.random(rollouts) if world.daily else None
        self._mine, self._theirs = np.ones(1), np.ones((1, 1))
        self._affected = np.zeros((rollouts, SHARDS), dtype=bool)
        if world.learner_variation:
            shape = world.candidate_learners / world.learner_variation**2
            self._mine = generator.gamma(shape, 1 / shape, rollouts)
            # A shard of the baseline has about as many learners as a candidate of 1 %.
            self._theirs = generator.gamma(shape, 1 / shape, (rollouts, SHARDS))
        self._held: tuple[Floats, ...] | None = None

    def tick(self, number: int) -> Counted:
        """The next tick; numbers up to 0 come before the phase, when nobody gets the candidate."""
        world = self._world
        weight = world.weights_bp[world.phase_of(number)] / 10_000 if number > 0 else 0.0
        load = np.ones(self._rollouts)
        if self._day is not None:
            load += 0.5 * np.sin(2 * np.pi * (number / TICKS_OF_A_DAY + self._day))
        total = world.requests_per_tick * 10_000 / WEIGHT_BP * load
        ratio = world.ratio if number > world.onset_tick else 1.0
        trials = self._random.poisson(total * weight).astype(np.float64)
        events = self._failures(trials, world.error_rate * ratio * self._mine, self._rollouts)
        shard_trials = np.floor(total * (1 - weight) / SHARDS)[:, np.newaxis]
        shard_events = self._shard_failures(shard_trials)
        counted = Counted(trials, events, shard_trials, shard_events, self._affected)
        counted = self._paged(counted) if world.missing else counted
        self._spread(counted.candidate_events)
        return counted

    def _shard_failures(self, trials: Floats) -> Floats:
        world = self._world
        shape = (self._rollouts, SHARDS)
        if world.correlation:
            rates = self._burst_rates(np.float64(world.error_rate), world, shape)
            return np.minimum(self._random.poisson(trials * rates * self._theirs), trials)
        expected = trials * world.error_rate * self._theirs
        alike = not world.learner_variation and float(expected.max()) <= LARGEST_SPLIT
        drawn = self._placed(expected[:, 0]) if alike else self._random.poisson(expected, shape)
        return np.minimum(drawn, trials)

    def _placed(self, expected: Floats) -> NDArray[np.int64]:
        """Poisson counts of shards that are alike: few failures are put on their shards one by one."""
        totals = self._random.poisson(expected * SHARDS)
        rows = np.repeat(np.arange(self._rollouts) * SHARDS, totals)
        places = rows + self._random.integers(0, SHARDS, rows.size)
        return np.bincount(places, minlength=self._rollouts * SHARDS).reshape(self._rollouts, SHARDS)

    def _failures(self, trials: Floats, rate: Floats | float, shape: int) -> Floats:
        if self._world.correlation:
            rates = self._burst_rates(np.asarray(rate), self._world, (shape,))
            return np.minimum(self._random.poisson(trials * rates), trials)
        return self._random.binomial(trials.astype(np.int64), np.minimum(rate, 1.0)).astype(np.float64)

    def _burst_rates(self, rate: Floats | np.float64, world: World, shape: tuple[int, ...]) -> Floats:
        """Mean over the pools of their rates in this tick."""
        scale = world.correlation * (1 - rate)
        return self._random.gamma(world.pools * rate / scale, scale / world.pools, shape)

    def _paged(self, counted: Counted) -> Counted:
        """What the pages show: a missing page's counts come with the next one."""
        missing = self._random.random(self._rollouts) < self._world.missing
        counts = counted[:4]
        known = counts if self._held is None else tuple(a + b for a, b in zip(counts, self._held, strict=True))
        gone = [missing if array.ndim == 1 else missing[:, np.newaxis] for array in known]
        self._held = tuple(np.where(g, array, 0.0) for g, array in zip(gone, known, strict=True))
        trials, events, shard_trials, shard_events = (
            np.where(g, 0.0, array) for g, array in zip(gone, known, strict=True)
        )
        return Counted(trials, events, shard_trials, shard_events, self._affected)

    def _spread(self, events: Floats) -> None:
        """Puts the candidate's failures on its shards, until so many are affected that it no longer matters."""
        open_ = np.flatnonzero((events > 0) & (self._affected.sum(axis=1) < FEWEST_AFFECTED_LEARNERS))
        if not open_.size:
            return
        most = int(events[open_].max())
        shards = self._random.integers(0, SHARDS, (open_.size, most))
        real = np.arange(most) < events[open_, np.newaxis]
        row = np.broadcast_to(open_[:, np.newaxis], real.shape)
        self._affected[row[real], shards[real]] = True
