"""What of a look's outcomes, learners and probes cannot be true. Such numbers are named, and no gate sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from operator import attrgetter
from typing import TypeVar

from covey.v1.evidence_pb2 import LearnerCount, OutcomeMoments, ProbeCounts

T = TypeVar("T")

# Sums of squares lose digits: they may be smaller than the sums allow by so much.
ROUNDING = 1e-9
# Squares of squares of it are still numbers.
LARGEST = 1e75
_SUMS = (
    "sum",
    "sum_of_squares",
    "center",
    "covariate_sum",
    "covariate_sum_of_squares",
    "covariate_center",
    "cross_sum",
)
_numbers = attrgetter("learner_count", "nonzero_count", *_SUMS)
_series = attrgetter("metric", "variant", "segment")


def believed_outcomes(outcomes: Sequence[OutcomeMoments]) -> tuple[tuple[OutcomeMoments, ...], list[str]]:
    """Outcomes without the metrics that have a fault, and the faults, one per metric at most."""
    names = list(map(_series, outcomes))
    if all(starmap(_possible, map(_numbers, outcomes))) and len(set(names)) == len(names):
        return tuple(outcomes), []
    faults: dict[str, str] = {}
    for moments in outcomes:
        if text := _outcome_fault(moments):
            faults.setdefault(moments.metric, text)
    for metric, variant, segment in _repeated(names):
        faults.setdefault(metric, f"outcome '{metric}' of {_named(variant, segment)}: it is there twice in one look")
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


def _possible(
    count: int,
    nonzero: int,
    total: float,
    squares: float,
    center: float,
    other_total: float,
    other_squares: float,
    other_center: float,
    cross: float,
) -> bool:
    """Whether data may have these moments."""
    return (
        0 <= nonzero <= count
        and squares * count >= total * total * (1 - ROUNDING)
        and other_squares * count >= other_total * other_total * (1 - ROUNDING)
        and abs(total + squares + center + other_total + other_squares + other_center + cross) <= LARGEST
    )


def _outcome_fault(moments: OutcomeMoments) -> str:
    """Why these moments are of no data; empty where they may be."""
    count, nonzero, *_ = numbers = _numbers(moments)
    where = f"outcome '{moments.metric}' of {_named(moments.variant, moments.segment)}"
    for name in _SUMS:
        if not abs(getattr(moments, name)) <= LARGEST:
            return f"{where}: its {name} is no finite number"
    if not 0 <= nonzero <= count:
        return f"{where}: {nonzero:,} of {count:,} learners have one"
    return "" if _possible(*numbers) else f"{where}: its sum of squares is smaller than its sum allows"


def _repeated(names: Iterable[T]) -> Iterator[T]:
    seen: set[T] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _named(variant: str, segment: str) -> str:
    return f"{variant} in segment '{segment}'" if segment else variant
