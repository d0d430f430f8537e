"""What of a look's outcomes, learners and probes cannot be true. Such numbers are named, and no gate sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TypeVar

from covey.v1.evidence_pb2 import LearnerCount, OutcomeMoments, ProbeCounts

T = TypeVar("T")

# Sums of squares lose digits: they may be smaller than the sums allow by so much.
ROUNDING = 1e-9
_NUMBERS = (
    "sum",
    "sum_of_squares",
    "center",
    "covariate_sum",
    "covariate_sum_of_squares",
    "covariate_center",
    "cross_sum",
)
_moments = attrgetter("learner_count", "nonzero_count", *_NUMBERS)
_series = attrgetter("metric", "variant", "segment")


def believed_outcomes(outcomes: Sequence[OutcomeMoments]) -> tuple[tuple[OutcomeMoments, ...], list[str]]:
    """Outcomes without the metrics that have a fault, and the faults, one per metric at most."""
    faults = _first_faults((moments.metric, _outcome_fault(moments)) for moments in outcomes)
    faults |= {metric: text for metric, text in _twice(outcomes).items() if metric not in faults}
    if not faults:
        return tuple(outcomes), []
    return tuple(moments for moments in outcomes if moments.metric not in faults), list(faults.values())


def believed_learners(learners: Sequence[LearnerCount]) -> tuple[tuple[LearnerCount, ...], list[str]]:
    """Learners, all of them or none, and what is wrong with them."""
    names = [(count.variant, count.segment) for count in learners]
    for count in learners:
        if count.learner_count < 0:
            return (), [f"learners of {count.variant}: their number is negative, {count.learner_count:,}"]
    if len(set(names)) < len(names):
        variant, segment = next(name for name in names if names.count(name) > 1)
        return (), [f"learners of {_named(variant, segment)}: they were counted twice in one look"]
    return tuple(learners), []


def believed_probes(probes: Sequence[ProbeCounts]) -> tuple[tuple[ProbeCounts, ...], list[str]]:
    """Probes, all of them or none, and what is wrong with them."""
    for probe in probes:
        if min(probe.answered_count, probe.unanswered_count) < 0:
            return (), [f"probes of {probe.variant} on replica {probe.replica}: their number is negative"]
    return tuple(probes), []


def _first_faults(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    faults: dict[str, str] = {}
    for metric, text in found:
        if text:
            faults.setdefault(metric, text)
    return faults


def _outcome_fault(moments: OutcomeMoments) -> str:
    """Why these moments are of no data; empty where they may be."""
    count, nonzero, total, squares, center, other_total, other_squares, other_center, cross = _moments(moments)
    whole = total + squares + center + other_total + other_squares + other_center + cross
    possible = (
        0 <= nonzero <= count
        and squares * count >= total * total * (1 - ROUNDING)
        and other_squares * count >= other_total * other_total * (1 - ROUNDING)
    )
    if possible and math.isfinite(whole):
        return ""
    where = f"outcome '{moments.metric}' of {_named(moments.variant, moments.segment)}"
    for name in _NUMBERS:
        if not math.isfinite(getattr(moments, name)):
            return f"{where}: its {name} is no finite number"
    if not 0 <= nonzero <= count:
        return f"{where}: {nonzero:,} of {count:,} learners have one"
    if possible:
        return ""  # finite numbers whose sum is not
    return f"{where}: its sum of squares is smaller than its sum allows"


def _twice(outcomes: Sequence[OutcomeMoments]) -> dict[str, str]:
    """By metric, which series is there twice."""
    names = [_series(moments) for moments in outcomes]
    if len(set(names)) == len(names):
        return {}
    return {
        metric: f"outcome '{metric}' of {_named(variant, segment)}: it is there twice in one look"
        for metric, variant, segment in _repeated(names)
    }


def _repeated(names: Iterable[T]) -> Iterator[T]:
    seen: set[T] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _named(variant: str, segment: str) -> str:
    return f"{variant} in segment '{segment}'" if segment else variant
