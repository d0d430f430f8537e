"""What an answer's gRPC code means to a gate."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["served", "error", "unavailable", "shed"]

# There was no answer in time; counts for error_rate too.
UNAVAILABLE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
# Turned away on purpose; counted apart.
SHED = frozenset({"RESOURCE_EXHAUSTED"})
# Served, or the caller's own mistake.
SERVED = frozenset(
    {
        "OK",
        "CANCELLED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
    }
)


def classify(code: str) -> Outcome:
    """What an answer with this canonical gRPC code counts as.

    error_rate counts "error" and "unavailable", availability fails by "unavailable" only; requests are everything
    but "shed". Errors are what is in none of the sets: INTERNAL, UNKNOWN, DATA_LOSS and ABORTED, and also UNIMPLEMENTED
    and codes that do not exist, since a candidate that lost a method must not pass.
    """
    if code in SERVED:
        return "served"
    if code in UNAVAILABLE:
        return "unavailable"
    return "shed" if code in SHED else "error"
