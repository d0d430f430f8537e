"""Rules that other tools use, on the same simulated counts: what the gates are measured beside."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covey.rollout.verify.gate import TRIGGER_LIMIT
from covey.stats.special import Floats

TWO_MINUTES = 4
Z_OF_FIVE_PERCENT = 1.6448536269514722


class Comparators:
    """Three rules over the ticks of a block of rollouts.

    - "last 2 min": failures of the last four ticks above 1.5 % of their requests;
    - "any tick": those of one tick;
    - "z-test": one-sided test of equal rates at 5 %, repeated with all counts so far.
    """

    def __init__(self, rollouts: int) -> None:
        self._recent: list[tuple[Floats, Floats]] = []
        self._totals = np.zeros((4, rollouts))

    def look(self, x: Floats, n: Floats, y: Floats, m: Floats) -> dict[str, NDArray[np.bool_]]:
        """Which rollouts each rule would roll back after this tick.

        Args:
            x: the candidate's failures.
            n: its requests.
            y: the baseline's failures.
            m: its requests.
        """
        self._recent = [*self._recent[1 - TWO_MINUTES :], (x, n)]
        self._totals += np.stack([x, n, y, m])
        events, trials = (sum(parts) for parts in zip(*self._recent, strict=True))
        return {
            "last 2 min": (events > TRIGGER_LIMIT * trials) & (len(self._recent) == TWO_MINUTES),
            "any tick": x > TRIGGER_LIMIT * n,
            "z-test": self._z() > Z_OF_FIVE_PERCENT,
        }

    def _z(self) -> Floats:
        x, n, y, m = self._totals
        n, m = np.maximum(n, 1.0), np.maximum(m, 1.0)
        rate = (x + y) / (n + m)
        variance = rate * (1 - rate) * (1 / n + 1 / m)
        return np.where(variance > 0, (x / n - y / m) / np.sqrt(np.where(variance > 0, variance, math.inf)), 0.0)
