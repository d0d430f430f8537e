"""Request ids of a fleet's coordinator: the same verb has the same id whoever calls it, so that it happens once.

A journal keeps the id of every entry, and so what a fleet did in a region, and why, is read from there.
"""

from __future__ import annotations

_DIGITS = 32


def request_id(fleet_digest: str, verb: str) -> str:
    """The id of a verb of that fleet: one per region's server."""
    return f"fleet/{fleet_digest[:_DIGITS]}/{verb}"


def verb_of(identifier: str, fleet_digest: str) -> str:
    """The verb of a request id; empty where it is not of that fleet."""
    prefix = request_id(fleet_digest, "") if fleet_digest else ""
    return identifier.removeprefix(prefix) if prefix and identifier.startswith(prefix) else ""
