"""Moments of outcomes: one observation per learner whose window closed, zero included (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.v1 import evidence_pb2
from covey_server.outcomes.exposures_phase import ExposedPhase
from covey_server.outcomes.exposures_table import segments, times_ms


@dataclass(frozen=True, slots=True)
class _Closed:
    """The learners of one variant whose windows have closed, ordered by hash."""

    learners: NDArray[np.uint64]
    segments: NDArray[np.int64]


def phase_moments(
    phase: ExposedPhase, sums: dict[str, tuple[dict[int, float], dict[int, float]]], now_ms: int
) -> Iterator[evidence_pb2.OutcomeMoments]:
    """Moments by metric, variant and segment (segment "": all learners of the variant).

    Args:
        phase: with its exposures.
        sums: by metric, for baseline and candidate: each learner's sum of credited outcomes.
        now_ms: a window is closed when exposure + window < now.
    """
    closed = [_closed(phase, number, now_ms) for number in range(len(phase.variants))]
    for metric in sorted(sums):
        low, high = phase.caps.get(metric, (-np.inf, np.inf))
        center = (low + high) / 2 if metric in phase.caps else 0.0
        for number, learners in enumerate(closed):
            values = np.clip(_values(learners.learners, sums[metric][number]), low, high)
            everybody = np.ones(len(values), bool)
            yield _moments(phase, metric, number, "", values, everybody, center)
            for segment in np.unique(learners.segments):
                if name := phase.segments[int(segment)]:
                    yield _moments(phase, metric, number, name, values, learners.segments == segment, center)


def _closed(phase: ExposedPhase, number: int, now_ms: int) -> _Closed:
    learners, details = phase.tables[number].columns()
    is_closed = times_ms(details) + phase.window_ms < now_ms
    return _Closed(learners[is_closed], segments(details[is_closed]))


def _values(learners: NDArray[np.uint64], sums: dict[int, float]) -> NDArray[np.float64]:
    """The sum of each learner, 0 for those without outcomes."""
    values = np.zeros(len(learners))
    keys = np.fromiter(sums.keys(), np.uint64, len(sums))
    positions = np.searchsorted(learners, keys)
    inside = positions < len(learners)
    inside[inside] = learners[positions[inside]] == keys[inside]
    values[positions[inside]] = np.fromiter(sums.values(), np.float64, len(sums))[inside]
    return values


def _moments(
    phase: ExposedPhase,
    metric: str,
    number: int,
    segment: str,
    values: NDArray[np.float64],
    members: NDArray[np.bool_],
    center: float,
) -> evidence_pb2.OutcomeMoments:
    mine = values[members]
    centred = mine - center
    return evidence_pb2.OutcomeMoments(
        metric=metric,
        variant=phase.variants[number],
        segment=segment,
        learner_count=len(mine),
        sum=float(centred.sum()),
        sum_of_squares=float(np.square(centred).sum()),
        center=center,
        nonzero_count=int(np.count_nonzero(mine)),
    )
