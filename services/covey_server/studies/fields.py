"""Fields that studies share, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from covey_server.decoding import microseconds_of
from covey_server.errors import invalid

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_MOST_COHORTS = 100
_DEFAULT_CONFIDENCE = 0.95


class _WithCohorts(Protocol):
    @property
    def cohort_count(self) -> int: ...


class _WithLimits(Protocol):
    @property
    def confidence(self) -> float: ...


def instant_of(timestamp: Timestamp, field: str, is_given: bool) -> int | None:
    """Microseconds since the epoch; None where the field is absent."""
    return microseconds_of(timestamp, field) if is_given else None


def k_of(request: _WithCohorts) -> int | Literal["auto"]:
    """Number of cohorts.

    Raises:
        CallError: INVALID_ARGUMENT for one out of range.
    """
    if not 0 <= request.cohort_count <= _MOST_COHORTS:
        raise invalid("cohort_count", f"{request.cohort_count} is not 0 to {_MOST_COHORTS}")
    return request.cohort_count or "auto"


def confidence_of(request: _WithLimits) -> float:
    """Of limits; 0.95 where it is not given.

    Raises:
        CallError: INVALID_ARGUMENT for one out of range.
    """
    if not request.confidence:
        return _DEFAULT_CONFIDENCE
    if not 0.5 <= request.confidence <= 0.999:
        raise invalid("confidence", f"{request.confidence:g} is not 0.5 to 0.999")
    return request.confidence


def or_default(value: int, default: int, field: str) -> int:
    """A number of days; the default for 0.

    Raises:
        CallError: INVALID_ARGUMENT for one below 0.
    """
    if value < 0:
        raise invalid(field, f"{value} is below 0")
    return value or default


def seed_of(seed: int) -> int:
    """The seed.

    Raises:
        CallError: INVALID_ARGUMENT for one below 0.
    """
    if seed < 0:
        raise invalid("seed", f"{seed} is below 0")
    return seed
