"""How much events come in bursts: design effects measured on the baseline, before each tick that they are used for.

Error and availability: on a slice of the baseline of the candidate's size, by shards, where there are shards. Else, and
for latencies, on the whole baseline; under correlation within ticks the effect grows with the trials of a tick, so it
is scaled to the candidate's size.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        slices: by phase weight and by error, availability, shape (weights, 2).
        whole: by metric, shape (metrics,).
        has_shards: whether any tick had shards.
    """

    slices: DispersionSums
    whole: DispersionSums
    has_shards: bool = False

    @classmethod
    def none(cls, weights: int, metrics: int) -> Bursts:
        """Before the first tick."""
        return cls(DispersionSums.zeros((weights, FIRST_LIMIT)), DispersionSums.zeros((metrics,)))

    def plus(self, events: Floats, trials: float, shards: Shards | None, weights_bp: tuple[int, ...]) -> Bursts:
        """With one more tick.

        Args:
            events: of the baseline, shape (metrics,).
            trials: of the baseline.
            shards: of the baseline in this tick.
            weights_bp: the candidate's weight in each phase.
        """
        whole = self.whole.plus(events, np.full(events.shape, trials))
        if shards is None:
            return Bursts(self.slices, whole, self.has_shards)
        count = len(shards.trials)
        sizes = [max(1, min(count, -(-bp * count // 10_000))) for bp in weights_bp]
        up_to_trials, up_to_events = np.cumsum(shards.trials), np.cumsum(shards.events, axis=1)
        ends = np.array(sizes, dtype=np.intp) - 1
        slice_events = np.minimum(up_to_events[:, ends].T, up_to_trials[ends][:, np.newaxis])
        slice_trials = np.broadcast_to(up_to_trials[ends][:, np.newaxis], slice_events.shape)
        return Bursts(self.slices.plus(slice_events, slice_trials), whole, has_shards=True)

    def joined(self, other: Bursts) -> Bursts:
        """Both stretches as one."""
        return Bursts(
            self.slices.joined(other.slices), self.whole.joined(other.whole), self.has_shards or other.has_shards
        )

    def effects(self, weight_number: int, weight_bp: int, fewest_ticks: int = 2) -> Floats:
        """Design effect of each metric for a candidate of that weight, shape (metrics,)."""
        share = weight_bp / 10_000
        relative_size = min(1.0, share / (1.0 - share)) if share < 1.0 else 1.0
        effects = 1.0 + (self.whole.shown_effect(fewest_ticks) - 1.0) * relative_size
        if self.has_shards:
            effects[:FIRST_LIMIT] = self.slices.shown_effect(fewest_ticks)[weight_number]
        return effects


def design_effects(before: Bursts, own: Bursts, weight_number: int, weight_bp: int) -> Floats:
    """The larger of what was shown before the phase and in it so far, shape (metrics,)."""
    earlier = before.effects(weight_number, weight_bp)
    return np.maximum(earlier, own.effects(weight_number, weight_bp, FEWEST_OWN_TICKS))
