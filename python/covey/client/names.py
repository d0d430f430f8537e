"""Resource names as people type them."""

from __future__ import annotations


def resource_name(collection: str, text: str) -> str:
    """The full name of a resource given in full or by its last part.

    >>> resource_name("rollouts", "native"), resource_name("rollouts", "rollouts/native")
    ('rollouts/native', 'rollouts/native')

    Raises:
        ValueError: nothing that could be a name.
    """
    identifier = text.removeprefix(f"{collection}/")
    if not identifier or "/" in identifier:
        raise ValueError(f"{text!r} is no name of one of {collection}; expected {collection}/x or x")
    return f"{collection}/{identifier}"


def rollout_name(text: str) -> str:
    """`rollouts/x` from `rollouts/x` or `x`."""
    return resource_name("rollouts", text)
