"""Who looks at a page, as the server knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covey.v1.access_pb2 import Caller

_ANY_SIGNATURE = "*"


@dataclass(frozen=True)
class Person:
    """A principal of the server.

    Attributes:
        name: as the journal writes it.
        roles: such as "operator".
        signs_for: approval roles; "*" is every one.
        methods: that the server lets them call, such as "AbortRollout" of RolloutService.
        is_proven: whether a token proved the name.
    """

    name: str
    roles: frozenset[str] = frozenset()
    signs_for: frozenset[str] = frozenset()
    methods: frozenset[str] = field(default=frozenset(), repr=False)
    is_proven: bool = True

    def may(self, method: str) -> bool:
        """Whether the server would let them call a method of RolloutService."""
        return method in self.methods

    def may_sign_for(self, approval_role: str) -> bool:
        """Whether a signature of that approval role is theirs to give."""
        return not self.signs_for.isdisjoint({approval_role, _ANY_SIGNATURE})


def person_of(caller: Caller) -> Person:
    """A person from what the server says about a caller."""
    prefix = "covey.v1.RolloutService/"
    return Person(
        name=caller.principal,
        roles=frozenset(caller.roles),
        signs_for=frozenset(caller.signs_for),
        methods=frozenset(method.removeprefix(prefix) for method in caller.methods if method.startswith(prefix)),
        is_proven=caller.proven,
    )
