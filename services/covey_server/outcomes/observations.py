"""One row per learner of a phase whose window has closed: the table that an experiment is analysed from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey_server.outcomes.exposures_phase import ExposedPhase
from covey_server.outcomes.moments import closed_of, traits_of, values_of


@dataclass(frozen=True, slots=True)
class Observations:
    """Columns of one length n; the baseline's learners first.

    Attributes:
        learners: hash of each learner.
        variants: names of baseline and candidate.
        is_candidate: 0 or 1.
        segments: name of each learner's segment, fixed at the exposure; None without one.
        metrics: sum of each learner's outcomes within the phase's caps, zero where there was none.
        traits: values at the exposure, of the traits that every learner has.
    """

    learners: NDArray[np.uint64]
    variants: tuple[str, str]
    is_candidate: NDArray[np.int8]
    segments: list[str | None]
    metrics: dict[str, NDArray[np.float64]]
    traits: dict[str, NDArray[np.float64]]


def phase_observations(
    phase: ExposedPhase,
    sums: dict[str, tuple[dict[int, float], dict[int, float]]],
    now_ms: int,
    excluded_segments: Collection[str] = (),
) -> Observations:
    """The rows of a phase.

    Args:
        phase: with its exposures.
        sums: by metric, for baseline and candidate: each learner's sum of credited outcomes.
        now_ms: a window is closed when exposure + window < now.
        excluded_segments: routed back to the baseline; left out.
    """
    closed = [closed_of(phase, number, now_ms, excluded_segments) for number in range(len(phase.variants))]
    metrics = {}
    for metric, pair in sorted(sums.items()):
        low, high = phase.caps.get(metric, (-np.inf, np.inf))
        found = [values_of(arm.learners, pair[number]) for number, arm in enumerate(closed)]
        metrics[metric] = np.clip(np.concatenate(found), low, high)
    traits = {}
    for trait in sorted(phase.covariates):
        values = traits_of(phase, trait, closed)
        if values:
            traits[trait] = np.concatenate(values)
    numbers = np.concatenate([arm.segments for arm in closed])
    return Observations(
        learners=np.concatenate([arm.learners for arm in closed]),
        variants=phase.variants,
        is_candidate=np.repeat([0, 1], [len(arm.learners) for arm in closed]).astype(np.int8),
        segments=[phase.segments[number] or None for number in numbers.tolist()],
        metrics=metrics,
        traits=traits,
    )
