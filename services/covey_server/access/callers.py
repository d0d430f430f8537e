"""Who makes the call at hand: visible to whatever serves it."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from covey.access.principals import Principal

CALLER: ContextVar[Principal] = ContextVar("caller")
"""Set by the ports once a call is admitted."""

_PEER_NAMES = ("x509_subject_alternative_name", "x509_common_name")


def caller_name() -> str:
    """For logs; "-" for a call that was not admitted."""
    caller = CALLER.get(None)
    return "-" if caller is None else caller.name


def certificate_names(auth_context: dict[str, Iterable[bytes]]) -> tuple[str, ...]:
    """The names of the client certificate that the transport verified: alternative names first."""
    return tuple(name.decode("utf-8", "replace") for key in _PEER_NAMES for name in auth_context.get(key, ()) if name)
