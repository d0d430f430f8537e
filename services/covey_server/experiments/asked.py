"""Requests as designs and tables; every wrong field is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from covey.errors import InputError
from covey.experiment import Columns, DecideBy, Design, PlannedOutcome, parse_outcome, parse_segment
from covey.v1 import experiments_pb2 as pb
from covey_server.violations import Violations

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from covey_server.outcomes.observations import Observations

Made = TypeVar("Made")

MOST_OUTCOMES, MOST_SEGMENTS = 50, 16
UNIT, VARIANT, SEGMENT = "unit", "variant", "segment"
_DECIDE_BY = {
    pb.READING_KIND_UNSPECIFIED: DecideBy.always_valid,
    pb.READING_KIND_FIXED: DecideBy.fixed,
    pb.READING_KIND_GROUP_SEQUENTIAL: DecideBy.group_sequential,
    pb.READING_KIND_ALWAYS_VALID: DecideBy.always_valid,
}


def design_of(
    request: pb.AnalyzeExperimentRequest, metrics: tuple[str, ...], control: str, shares: dict[str, float]
) -> Design:
    """The design of a request.

    Args:
        request: whose source has been read.
        metrics: outcomes where the request names none.
        control: where the request names none.
        shares: planned ones where the request has none.

    Raises:
        CallError: INVALID_ARGUMENT that names every wrong field.
    """
    violations = Violations()
    if len(request.outcomes) > MOST_OUTCOMES:
        violations.add("outcomes", f"are {len(request.outcomes)}; at most {MOST_OUTCOMES}")
    if len(request.segments) > MOST_SEGMENTS:
        violations.add("segments", f"are {len(request.segments)}; at most {MOST_SEGMENTS}")
    if not request.outcomes and not metrics:
        violations.add("outcomes", "is empty, and no outcome was reported either")
    violations.raise_if_any()
    specs = [outcome.spec for outcome in request.outcomes] or [f"{name}=mean:{name}" for name in metrics]
    outcomes = _each(specs, "outcomes", parse_outcome, violations)
    segments = _each([segment.spec for segment in request.segments], "segments", parse_segment, violations)
    violations.raise_if_any()
    try:
        return Design(
            outcomes=tuple(outcomes),
            control=request.control or control,
            planned_shares=dict(request.planned_shares) or shares,
            alpha=request.alpha or 0.05,
            planned_units=request.planned_unit_count or None,
            earlier_looks=tuple(request.earlier_look_unit_counts),
            decide_by=_DECIDE_BY.get(request.decide_by, DecideBy.always_valid),
            population=request.population_count or 100_000,
            segments=tuple(segments),
            smallest_segment=request.smallest_segment_unit_count or 100,
            columns=Columns(UNIT, VARIANT),
        )
    except InputError as error:
        violations.add("request", str(error))
        raise violations.error() from error


def columns_of(observed: Observations) -> dict[str, Any]:
    """A rollout's observations as the columns of a table."""
    names = np.array(observed.variants)
    return {
        **observed.traits,
        **observed.metrics,
        UNIT: observed.learners,
        VARIANT: names[observed.is_candidate],
        SEGMENT: observed.segments,
    }


def planned_of(request: pb.PlanExperimentRequest) -> list[PlannedOutcome]:
    """The outcomes of a plan.

    Raises:
        CallError: INVALID_ARGUMENT that names every wrong one.
    """
    violations = Violations()
    if not 1 <= len(request.outcomes) <= MOST_OUTCOMES:
        violations.add("outcomes", f"are {len(request.outcomes)}; expected 1 to {MOST_OUTCOMES}")
        violations.raise_if_any()
    found = _each(list(request.outcomes), "outcomes", _planned, violations)
    violations.raise_if_any()
    return found


def _planned(outcome: pb.PlannedOutcome) -> PlannedOutcome:
    known = outcome.WhichOneof("known")
    if known is None:
        raise InputError("says neither share nor mean", expected="one of both")
    mean = outcome.share if known == "share" else outcome.mean.mean
    deviation = None if known == "share" else outcome.mean.standard_deviation
    return PlannedOutcome(outcome.name, mean, deviation, outcome.minimum_effect, outcome.variance_explained)


def _each(items: list[Any], field: str, make: Callable[[Any], Made], violations: Violations) -> list[Made]:
    found = []
    for place, item in enumerate(items):
        try:
            found.append(make(item))
        except InputError as error:
            violations.add(f"{field}[{place}]", str(error))
    return found


def message_of(data: dict[str, Any], message: Message) -> Any:
    """Plain data of `covey.experiment` in a message whose fields have the same names; enums get their prefixes."""
    from google.protobuf.json_format import ParseDict

    return ParseDict(_with_prefixes(data), message)


def _with_prefixes(data: Any) -> Any:
    if isinstance(data, list):
        return [_with_prefixes(item) for item in data]
    if not isinstance(data, dict):
        return data
    named = {key: _with_prefixes(value) for key, value in data.items()}
    if "verdict" in named:
        named["verdict"] = f"VERDICT_{named['verdict']}"
    for key in ("decide_by", "kind"):
        if key in named and (key == "decide_by" or "may_claim" in named):
            named[key] = f"READING_KIND_{named[key]}"
    return named
