"""The gates on failures, many rollouts side by side: the arithmetic of `covey.rollout.gates`, with its predictability.

What scales a tick's evidence - design effect, difference between learners - was known before the tick.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from covey.rollout.gates.formulas import (
    FEWEST_BASELINE_TICKS,
    FEWEST_OWN_TICKS,
    LARGEST_USABLE_ERROR,
    DispersionSums,
    advance_null,
    excess_matters,
    level_step,
    level_table,
    mean_of_two,
    ratio_step,
    rollback_null,
    share_of,
)
from covey.rollout.gates.memory import SHARE_AT_START
from covey.rollout.verify.traffic import Counted
from covey.rollout.verify.worlds import LOOKS, SHARDS, World
from covey.stats import ADVANCE_RATIOS, advance_start_times, bernoulli_level
from covey.stats.checked import log_sum_exp
from covey.stats.dispersion import between_learner_error
from covey.stats.special import Floats

ROLLBACK_ALPHA = 0.01
ADVANCE_ALPHA = 0.05
TRIGGER_LIMIT = 0.015
CRITERION_LIMIT = 0.005
TOLERANCE = 1.0
MARGIN = 2.0
ERROR_FLOOR = 0.0005
LAST_QUARTER = LOOKS // 4


class Broken(Enum):
    """Deliberate faults, to see that the verification finds them.

    Start weights of 1/2 in every tick, no design effect, learners taken for alike, twice the margin; outcomes, and
    segments one by one, by a z-test at every look.
    """

    START_WEIGHTS = "start-weights"
    DESIGN_EFFECT = "design-effect"
    LEARNERS = "learners"
    ADVANCE = "advance"
    OUTCOMES = "outcomes"
    SEGMENTS = "segments"


class ErrorGate:
    """Trigger "error_rate > 1.5 %" and criterion "error_rate < 0.5 %" of a block of rollouts.

    Args:
        world: their weights and plan.
        rollouts: how many.
        broken: a deliberate fault.
        criteria: whether the criterion is judged, too.

    Attributes:
        effects: design effects last used, shape (rollouts,).
        errors: between-learner standard errors last used.
        log_e: ln E of level and ratio over start times, shape (2, rollouts).
        proofs: ln E that the criterion's level and its ratio have, shape (2, rollouts).
    """

    def __init__(self, world: World, rollouts: int, broken: Broken | None = None, *, criteria: bool = True) -> None:
        self._world, self._broken, self._criteria = world, broken, criteria
        self._table = level_table(TRIGGER_LIMIT)
        weights = world.weights_bp
        self._sizes = [max(1, min(SHARDS, -(-bp * SHARDS // 10_000))) for bp in weights]
        self._before = self._own = DispersionSums.zeros((rollouts, len(weights)))
        self._shard_events = np.zeros((rollouts, SHARDS))
        self._shard_trials = np.zeros((rollouts, 1))
        self._seen = np.zeros(rollouts)
        self._phase = 0
        self._tick = 0
        self._masses: Floats | None = None
        self._totals = np.zeros((4, rollouts))
        self._effective = np.zeros((2, rollouts))
        self._margins = np.zeros((rollouts, len(ADVANCE_RATIOS)))
        self._recent: list[tuple[Floats, Floats]] = []
        self.effects = np.ones(rollouts)
        self.errors = np.zeros(rollouts)
        self.log_e = np.zeros((2, rollouts))
        self.proofs = np.zeros((2, rollouts))

    def wait(self, counted: Counted) -> None:
        """A tick before the phase: only the baseline is learnt."""
        self._before = self._with_slices(self._before, counted)
        self._learn(counted)
        self._seen += counted.shard_trials[:, 0] > 0

    def look(self, counted: Counted) -> None:
        """A tick of the phase."""
        self._tick += 1
        phase = self._world.phase_of(self._tick)
        if phase != self._phase:
            self._before, self._phase = self._before.joined(self._own), phase
            self._own = DispersionSums.zeros(self._own.square.shape)
        self._scale()
        x, n = counted.candidate_events, counted.candidate_trials
        y, m = counted.shard_events.sum(axis=1), SHARDS * counted.shard_trials[:, 0]
        share = share_of(n, m)
        self._trigger(x, n, y, share)
        if self._criteria and self._tick > 1:  # the tick that confirms the weight is not yet a part of the phase
            self._criterion(x, n, y, share)
        self._totals += np.stack([x, n, y, m])
        self._own = self._with_slices(self._own, counted)
        self._learn(counted)

    def shown(self, affected_shards: NDArray[np.bool_], alpha: float = ROLLBACK_ALPHA) -> dict[str, NDArray[np.bool_]]:
        """By gate, which rollouts are rolled back now: each process by itself, and the trigger of both."""
        threshold = math.log(1 / alpha)
        levels, ratios = self.log_e
        x, n, y, m = self._totals
        known = (n > 0) & (m > 0)
        rates = x / np.where(known, n, 1.0), y / np.where(known, m, 1.0)
        matters = known & excess_matters(*rates, ERROR_FLOOR, affected_shards.sum(axis=1))
        both = (mean_of_two(levels, ratios) >= threshold) & matters
        return {
            "level": levels >= threshold,
            "ratio": ratios >= threshold,
            "trigger": (levels - math.log(2) >= threshold) | both,
        }

    def passed(self, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of these rollouts may advance now; the others are not looked at."""
        level, ratio = np.zeros(asked.shape), np.zeros(asked.shape)
        threshold = math.log(1 / ADVANCE_ALPHA)
        margin = log_sum_exp(self._margins) - math.log(self._margins.shape[-1])
        rows = np.flatnonzero(asked)
        events, trials = self._effective[:, rows]
        level[rows] = bernoulli_level(events, trials, CRITERION_LIMIT, alternative="less")
        floor = bernoulli_level(events, trials, ERROR_FLOOR, alternative="less")
        ratio[rows] = mean_of_two(margin[rows], floor)
        self.proofs = np.stack([level, ratio])
        late = [sum(parts) for parts in zip(*self._recent[-LAST_QUARTER:], strict=True)] or [np.zeros(asked.shape)] * 2
        agrees = (late[1] > 0) & (late[0] <= CRITERION_LIMIT * late[1])
        return np.asarray(asked & (level >= threshold) & (ratio >= threshold) & agrees)

    def _scale(self) -> None:
        phase = self._phase
        earlier = self._before.shown_effect()[:, phase]
        own = self._own.shown_effect(FEWEST_OWN_TICKS)[:, phase]
        if self._broken is not Broken.DESIGN_EFFECT:
            self.effects = np.maximum(earlier, own)
        if self._broken is not Broken.LEARNERS:
            trials = np.broadcast_to(self._shard_trials, self._shard_events.shape)
            weight = self._world.weights_bp[phase] / 10_000
            self.errors = between_learner_error(self._shard_events, trials, weight)

    def _trigger(self, x: Floats, n: Floats, y: Floats, share: Floats) -> None:
        null = np.where(self.errors <= LARGEST_USABLE_ERROR, rollback_null(np.array(TOLERANCE), self.errors), np.nan)
        ratios = ratio_step(x, y, share, null, advance=False)
        steps = np.stack([level_step(self._table, x, n), ratios]) / self.effects[:, np.newaxis]
        if self._broken is Broken.START_WEIGHTS:
            before = np.zeros(steps.shape) if self._masses is None else self._masses
            self._masses = np.logaddexp(before, math.log(0.5)) + steps
            self.log_e = log_sum_exp(self._masses) - math.log(steps.shape[-1])
            return
        self._masses, self.log_e = advance_start_times(
            self._masses,
            steps,
            self._tick,
            share_at_start=SHARE_AT_START,
            planned_ticks=self._world.planned_ticks,
        )

    def _criterion(self, x: Floats, n: Floats, y: Floats, share: Floats) -> None:
        margin = MARGIN * (2 if self._broken is Broken.ADVANCE else 1)
        null = advance_null(np.array(margin), self.errors)
        null = np.where(self.errors <= LARGEST_USABLE_ERROR, null, np.nan)
        self._margins += ratio_step(x, y, share, null, advance=True) / self.effects[:, np.newaxis]
        self._effective += np.stack([x, n]) / self.effects
        self._recent = [*self._recent[1 - LAST_QUARTER :], (x, n)]

    def _with_slices(self, sums: DispersionSums, counted: Counted) -> DispersionSums:
        """Slices of the baseline of the candidate's size, one per weight."""
        events = np.stack([counted.shard_events[:, :size].sum(axis=1) for size in self._sizes], axis=1)
        trials = counted.shard_trials * np.array(self._sizes)
        return sums.plus(np.minimum(events, trials), trials)

    def _learn(self, counted: Counted) -> None:
        self._shard_events += counted.shard_events
        self._shard_trials = self._shard_trials + counted.shard_trials

    @property
    def over_start_times(self) -> bool:
        """Whether the live gates would mix over start times after so much of the baseline."""
        return bool((self._seen >= FEWEST_BASELINE_TICKS).all())
