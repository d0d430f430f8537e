"""How much events come in bursts: design effects measured on the baseline, before each tick that they are used for.

Error and availability: on a slice of the baseline of the candidate's size, by shards, where there are shards. Else, and
for latencies, on the whole baseline; under correlation within ticks the effect grows with the trials of a tick, so it
is scaled to the candidate's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from covey.rollout.gates.formulas import FEWEST_OWN_TICKS, DispersionSums
from covey.rollout.gates.look import Shards
from covey.rollout.gates.rows import FIRST_LIMIT
from covey.rollout.gates.values import ComparedByValue
from covey.stats.special import Floats


@dataclass(frozen=True, eq=False)
class Bursts(ComparedByValue):
    """Dispersion of the baseline's failures over ticks.

    Attributes:
        sums: of the whole baseline by metric, then of its slices: error and availability of each phase weight; shape
            (metrics + 2 x weights,).
        metrics: how many there are.
        has_shards: whether any tick had shards.
    """

    sums: DispersionSums
    metrics: int
    has_shards: bool = False

    @classmethod
    def none(cls, weights: int, metrics: int) -> Bursts:
        """Before the first tick."""
        return cls(DispersionSums.zeros((metrics + FIRST_LIMIT * weights,)), metrics)

    def plus(self, events: Floats, trials: float, shards: Shards | None, weights_bp: tuple[int, ...]) -> Bursts:
        """With one more tick.

        Args:
            events: of the baseline, shape (metrics,).
            trials: of the baseline.
            shards: of the baseline in this tick.
            weights_bp: the candidate's weight in each phase.
        """
        counted, tried = np.zeros((2, len(self.sums.events)))
        counted[: self.metrics], tried[: self.metrics] = events, trials
        if shards is not None:
            # A prefix of the shards of the candidate's size, for each weight.
            up_to = shards.table.cumsum(axis=1)[:, _ends(weights_bp, shards.table.shape[1])]
            by_weight = (len(weights_bp), FIRST_LIMIT)
            tried[self.metrics :].reshape(by_weight)[:] = up_to[0][:, np.newaxis]
            counted[self.metrics :].reshape(by_weight)[:] = np.minimum(up_to[1:], up_to[0]).T
        return Bursts(self.sums.plus(counted, tried), self.metrics, self.has_shards or shards is not None)

    def joined(self, other: Bursts) -> Bursts:
        """Both stretches as one."""
        return Bursts(self.sums.joined(other.sums), self.metrics, self.has_shards or other.has_shards)

    def effects(self, weight_number: int, weight_bp: int, fewest_ticks: int = 2) -> Floats:
        """Design effect of each metric for a candidate of that weight, shape (metrics,)."""
        share = weight_bp / 10_000
        relative_size = min(1.0, share / (1.0 - share)) if share < 1.0 else 1.0
        shown = self.sums.shown_effect(fewest_ticks)
        effects = 1.0 + (shown[: self.metrics] - 1.0) * relative_size
        if self.has_shards:
            mine = self.metrics + FIRST_LIMIT * weight_number
            effects[:FIRST_LIMIT] = shown[mine : mine + FIRST_LIMIT]
        return effects


@lru_cache(maxsize=64)
def _ends(weights_bp: tuple[int, ...], shards: int) -> tuple[int, ...]:
    """The last of the shards that are together as large as the candidate, for each weight."""
    return tuple(max(1, min(shards, -(-bp * shards // 10_000))) - 1 for bp in weights_bp)


def design_effects(shown_before: Floats, own: Bursts, weight_number: int, weight_bp: int) -> Floats:
    """The larger of what was shown before the phase and what is in it so far, shape (metrics,)."""
    return np.maximum(shown_before, own.effects(weight_number, weight_bp, FEWEST_OWN_TICKS))
