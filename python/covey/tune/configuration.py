"""What can be tuned, and the unit cube in which it is searched."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.parameters import DEFAULT_TRAIT_WEIGHTS, TRAIT_NAMES, TraitParameters

MOST_COHORTS = 30
KINDS = ("parameters", "weights", "k")
# Low and high ends; those marked are searched by their logarithms.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "velocity_alpha": (0.05, 1.0, False),
    "velocity_kappa": (0.5, 10.0, True),
    "affinity_entropy_penalty": (0.0, 1.0, False),
    "frequency_window_days": (7.0, 56.0, True),
    "retention_decay_per_day": (0.005, 0.3, True),
}


def ranges() -> dict[str, tuple[float, float, bool]]:
    """(low, high, whether it is searched by its logarithm) of each parameter of the traits that can be turned."""
    return dict(_RANGES)


@dataclass(frozen=True, slots=True)
class Configuration:
    """An analyzer's constants.

    Attributes:
        parameters: of the traits.
        weights: of the traits, five with sum 1.
        k: number of cohorts.
    """

    parameters: TraitParameters
    weights: tuple[float, ...]
    k: int

    @classmethod
    def default(cls, k: int) -> Configuration:
        """The defaults, with a number of cohorts."""
        return cls(TraitParameters(), DEFAULT_TRAIT_WEIGHTS, k)


@dataclass(frozen=True, slots=True)
class Knobs:
    """What is turned, around a configuration that stays as it is elsewhere.

    Attributes:
        base: what is not turned.
        turned: some of "parameters" (five; the priors of feedback and the start of the day stay), "weights", "k".
        fewest, most: cohorts.

    Raises:
        InputError: nothing is turned, or the numbers of cohorts are none.
    """

    base: Configuration
    turned: tuple[str, ...] = KINDS
    fewest: int = 2
    most: int = 12

    def __post_init__(self) -> None:
        unknown = [own for own in self.turned if own not in KINDS]
        if unknown or not self.turned:
            raise InputError(f"turned is {', '.join(self.turned) or 'nothing'}", expected=f"some of {', '.join(KINDS)}")
        if not 2 <= self.fewest <= self.most <= MOST_COHORTS:
            raise InputError(f"{self.fewest} to {self.most} cohorts", expected=f"2 to {MOST_COHORTS}, fewest first")

    @property
    def dimensions(self) -> int:
        """Of the unit cube."""
        sizes = {"parameters": len(_RANGES), "weights": len(TRAIT_NAMES), "k": 1}
        return sum(sizes[own] for own in KINDS if own in self.turned)

    def at(self, point: NDArray[np.float64]) -> Configuration:
        """The configuration at a point of the unit cube, in round numbers: it is judged as it will be written."""
        values = iter(np.clip(point, 0.0, 1.0).tolist())
        found = self.base
        if "parameters" in self.turned:
            given = {name: _between(next(values), *own) for name, own in _RANGES.items()}
            whole = {"frequency_window_days": round(given["frequency_window_days"])}
            found = replace(found, parameters=TraitParameters(**{**found.parameters.to_keywords(), **given, **whole}))
        if "weights" in self.turned:
            # Uniform over all weights with this sum: exponentials over their sum.
            found = replace(found, weights=_shares([-math.log(max(next(values), 1e-9)) for _ in TRAIT_NAMES]))
        if "k" in self.turned:
            choices = self.most - self.fewest + 1
            found = replace(found, k=self.fewest + min(int(next(values) * choices), choices - 1))
        return found

    def point_of(self, configuration: Configuration) -> NDArray[np.float64]:
        """The inverse of `at`, up to rounding and range."""
        values: list[float] = []
        if "parameters" in self.turned:
            for name, (low, high, by_logarithm) in _RANGES.items():
                own = min(max(float(getattr(configuration.parameters, name)), low), high)
                ends = [math.log(v) if by_logarithm else v for v in (low, own, high)]
                values.append((ends[1] - ends[0]) / (ends[2] - ends[0]))
        if "weights" in self.turned:
            values += [math.exp(-weight) for weight in configuration.weights]
        if "k" in self.turned:
            choices = self.most - self.fewest + 1
            values.append((min(max(configuration.k, self.fewest), self.most) - self.fewest + 0.5) / choices)
        return np.array(values)


def _between(part: float, low: float, high: float, by_logarithm: bool) -> float:
    value = low * (high / low) ** part if by_logarithm else low + (high - low) * part
    return float(f"{value:.3g}")


def _shares(values: list[float]) -> tuple[float, ...]:
    """Thousandths with sum 1; the largest takes what rounding left."""
    total = sum(values) or 1.0
    thousandths = [round(1000 * own / total) for own in values]
    thousandths[thousandths.index(max(thousandths))] += 1000 - sum(thousandths)
    return tuple(own / 1000 for own in thousandths)
