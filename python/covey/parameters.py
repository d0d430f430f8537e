"""The parameters of the traits, and the five traits' names and weights, in the order that every room uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from covey.errors import InputError, suggestion

TRAIT_NAMES = (
    "learning_velocity",
    "domain_affinity",
    "interaction_frequency",
    "feedback_responsiveness",
    "retention_strength",
)
"""The five traits, each in [0, 1]. Every array with a row per trait follows this order."""

FURTHER_NAMES = ("domain_entropy", "momentum", "event_count", "active_days", "tenure_days", "recency_days")
"""What else is computed per learner."""

DEFAULT_TRAIT_WEIGHTS = (0.30, 0.25, 0.15, 0.15, 0.15)
"""Weights of the traits in the squared distance of two learners."""

_LONGEST_WINDOW_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class TraitParameters:
    """Constants of the trait definitions.

    Attributes:
        velocity_alpha: weight of the newest week in the moving average of learning velocity, in (0, 1].
        velocity_kappa: new capabilities a week at which learning velocity is one half, > 0.
        affinity_entropy_penalty: how far spread over domains lowers domain affinity, in [0, 1].
        frequency_window_days: days of the interaction frequency, >= 1.
        feedback_prior_acted: pseudo-count of feedback acted on, >= 0.
        feedback_prior_ignored: pseudo-count of feedback ignored, >= 0; the two priors are not both 0.
        retention_decay_per_day: exponential decay of retention strength, >= 0.
        day_start_seconds: when a day begins, in seconds after UTC midnight, within one day either way.

    Raises:
        InputError: for a value outside its range.
    """

    velocity_alpha: float = 0.3
    velocity_kappa: float = 3.0
    affinity_entropy_penalty: float = 0.3
    frequency_window_days: int = 28
    feedback_prior_acted: float = 1.0
    feedback_prior_ignored: float = 1.0
    retention_decay_per_day: float = 0.05
    day_start_seconds: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InputError(f"trait parameter {field.name} is {value!r}", expected="a finite number")
        window = self.frequency_window_days
        self._require("velocity_alpha", 0 < self.velocity_alpha <= 1, "a number in (0, 1]")
        self._require("velocity_kappa", self.velocity_kappa > 0, "a number > 0")
        self._require("affinity_entropy_penalty", 0 <= self.affinity_entropy_penalty <= 1, "a number in [0, 1]")
        self._require(
            "frequency_window_days",
            window == int(window) and 1 <= window <= _LONGEST_WINDOW_DAYS,
            f"whole days, 1 to {_LONGEST_WINDOW_DAYS}",
        )
        priors = (self.feedback_prior_acted, self.feedback_prior_ignored)
        self._require("feedback_prior_acted", priors[0] >= 0 and sum(priors) > 0, "a number >= 0, not both priors 0")
        self._require("feedback_prior_ignored", priors[1] >= 0, "a number >= 0")
        self._require("retention_decay_per_day", self.retention_decay_per_day >= 0, "a number >= 0")
        start = self.day_start_seconds
        self._require("day_start_seconds", start == int(start) and abs(start) < 86_400, "whole seconds within one day")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"trait parameter {name} is {getattr(self, name)!r}", expected=expected)

    def to_keywords(self) -> dict[str, Any]:
        """The parameters by name."""
        return asdict(self)


def trait_weight_tuple(trait_weights: Mapping[str, float] | Sequence[float] | None) -> tuple[float, ...]:
    """Five checked trait weights in the order of `TRAIT_NAMES`.

    Args:
        trait_weights: five numbers, or some by name (a trait left out weighs 0), or None for the default.

    Raises:
        InputError: unless they are >= 0 and sum to 1 (within 1e-6), which keeps the fixed-point sums in range.
    """
    if trait_weights is None:
        return DEFAULT_TRAIT_WEIGHTS
    if isinstance(trait_weights, Mapping):
        for name in trait_weights:
            if name not in TRAIT_NAMES:
                raise InputError(f"'{name}' is no trait", remedy=suggestion(str(name), TRAIT_NAMES))
        weights = tuple(float(trait_weights.get(name, 0.0)) for name in TRAIT_NAMES)
    else:
        weights = tuple(float(weight) for weight in trait_weights)
    positive = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if len(weights) != len(TRAIT_NAMES) or not positive or abs(sum(weights) - 1) > 1e-6:
        raise InputError(f"trait weights are {weights}", expected="five numbers >= 0 with sum 1")
    return weights
