"""Moments of outcomes: one observation per learner whose window closed, zero included (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.parameters import TRAIT_NAMES
from covey.v1 import evidence_pb2
from covey_server.outcomes.exposures_phase import ExposedPhase
from covey_server.outcomes.exposures_table import ExposureTable, segments, times_ms

_MIDDLE_OF_SHARES = 0.5


@dataclass(frozen=True, slots=True)
class Closed:
    """The learners of one variant whose windows have closed, ordered by hash."""

    learners: NDArray[np.uint64]
    segments: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Observed:
    """One value per closed learner of a variant, less its center.

    Attributes:
        metric, variant: whose.
        values: the learner's sum of outcomes within the ends.
        is_nonzero: where it is not 0.
        center: taken off `values`.
        trait: name of the covariate; "" without one.
        traits: its values, less `trait_center`.
    """

    metric: str
    variant: str
    values: NDArray[np.float64]
    is_nonzero: NDArray[np.bool_]
    center: float
    trait: str
    traits: NDArray[np.float64]
    trait_center: float


def phase_moments(
    phase: ExposedPhase,
    sums: dict[str, tuple[dict[int, float], dict[int, float]]],
    now_ms: int,
    covariates: Mapping[str, str] | None = None,
    excluded_segments: Collection[str] = (),
) -> Iterator[evidence_pb2.OutcomeMoments]:
    """Moments by metric, variant and segment (segment "": all learners of the variant that are still split).

    Args:
        phase: with its exposures.
        sums: by metric, for baseline and candidate: each learner's sum of credited outcomes.
        now_ms: a window is closed when exposure + window < now.
        covariates: by metric, the trait that explains some of its variance.
        excluded_segments: routed back to the baseline; left out.

    Where a learner of either arm has no value of the trait (exposed by a version that kept none), the metric has no
    covariate in this phase: arms must be adjusted alike.
    """
    closed = [closed_of(phase, number, now_ms, excluded_segments) for number in range(len(phase.variants))]
    for metric in sorted(sums):
        low, high = phase.caps.get(metric, (-np.inf, np.inf))
        center = (low + high) / 2 if np.isfinite(low) and np.isfinite(high) else 0.0
        trait = (covariates or {}).get(metric, "")
        traits = traits_of(phase, trait, closed)
        trait_center = _MIDDLE_OF_SHARES if trait in TRAIT_NAMES else 0.0
        for number, learners in enumerate(closed):
            values = np.clip(values_of(learners.learners, sums[metric][number]), low, high)
            observed = _Observed(
                metric,
                phase.variants[number],
                values - center,
                values != 0,
                center,
                trait if traits else "",
                traits[number] - trait_center if traits else np.zeros(0),
                trait_center,
            )
            yield _moments(observed, "", np.ones(len(values), bool))
            for segment in np.unique(learners.segments):
                if name := phase.segments[int(segment)]:
                    yield _moments(observed, name, learners.segments == segment)


def closed_of(phase: ExposedPhase, number: int, now_ms: int, excluded_segments: Collection[str]) -> Closed:
    """The learners of one variant whose windows have closed, without those of excluded segments."""
    learners, details = phase.tables[number].columns()
    found = segments(details)
    is_judged = times_ms(details) + phase.window_ms < now_ms
    if excluded_segments:
        numbers = [place for place, name in enumerate(phase.segments) if name in excluded_segments]
        is_judged &= ~np.isin(found, numbers)
    return Closed(learners[is_judged], found[is_judged])


def values_of(learners: NDArray[np.uint64], sums: dict[int, float]) -> NDArray[np.float64]:
    """The sum of each learner, 0 for those without outcomes."""
    values = np.zeros(len(learners))
    keys = np.fromiter(sums.keys(), np.uint64, len(sums))
    positions = np.searchsorted(learners, keys)
    inside = positions < len(learners)
    inside[inside] = learners[positions[inside]] == keys[inside]
    values[positions[inside]] = np.fromiter(sums.values(), np.float64, len(sums))[inside]
    return values


def traits_of(phase: ExposedPhase, trait: str, closed: list[Closed]) -> list[NDArray[np.float64]]:
    """Values of a trait of the learners of each variant; empty where a learner has none."""
    tables = phase.covariates.get(trait)
    if tables is None:
        return []
    found = [_trait(table, arm.learners) for table, arm in zip(tables, closed, strict=True)]
    known = [values for values in found if values is not None]
    return known if len(known) == len(found) else []


def _trait(table: ExposureTable, learners: NDArray[np.uint64]) -> NDArray[np.float64] | None:
    keys, bits = table.columns()
    positions = np.searchsorted(keys, learners)
    if len(learners) and (not len(keys) or positions.max() == len(keys) or (keys[positions] != learners).any()):
        return None
    return bits[positions].view(np.float64)


def _moments(observed: _Observed, segment: str, members: NDArray[np.bool_]) -> evidence_pb2.OutcomeMoments:
    values = observed.values[members]
    moments = evidence_pb2.OutcomeMoments(
        metric=observed.metric,
        variant=observed.variant,
        segment=segment,
        learner_count=len(values),
        sum=float(values.sum()),
        sum_of_squares=float(np.square(values).sum()),
        center=observed.center,
        nonzero_count=int(np.count_nonzero(observed.is_nonzero[members])),
    )
    if observed.trait:
        traits = observed.traits[members]
        moments.covariate = observed.trait
        moments.covariate_sum = float(traits.sum())
        moments.covariate_sum_of_squares = float(np.square(traits).sum())
        moments.cross_sum = float((values * traits).sum())
        moments.covariate_center = observed.trait_center
    return moments
