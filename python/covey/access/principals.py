"""Roles, and who has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Role(StrEnum):
    """What a caller is there for. A principal may have several; none includes another."""

    VIEWER = "viewer"
    """Reads rollouts, journals, jobs, catalogue and metrics."""
    INGEST = "ingest"
    """A service: sends events and outcomes, asks about its learners."""
    OPERATOR = "operator"
    """Creates, starts and stops rollouts; runs discoveries; reads as a viewer."""
    APPROVER = "approver"
    """Signs for the approval roles of its credential; reads as a viewer."""
    ADMIN = "admin"
    """Everything of viewer, ingest and operator, and deletes; signs nothing and drives nothing."""
    CONTROLLER = "controller"
    """The controller's own: holds the lease, commits decisions, probes variants; reads as a viewer."""


EVERY_ROLE = frozenset(Role)
READERS = EVERY_ROLE - {Role.INGEST}
"""Who may look at everything that names no learner."""
ANY_SIGNATURE = "*"
"""Among `signs_for`: every approval role."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller.

    Attributes:
        name: as the journal writes it.
        roles: what it may do.
        signs_for: approval roles, such as "engineering", that an approver signs for.
        is_authenticated: whether the name was proven by a certificate or a token.
        calls_per_second: that it may make on the data port; None: as the server says for everybody.
    """

    name: str
    roles: frozenset[Role] = frozenset()
    signs_for: frozenset[str] = frozenset()
    is_authenticated: bool = True
    calls_per_second: float | None = None

    def has_any(self, roles: Iterable[Role]) -> bool:
        """Whether one of the roles is the caller's."""
        return not self.roles.isdisjoint(roles)

    def may_sign_for(self, approval_role: str) -> bool:
        """Whether a signature of that approval role is this caller's to give."""
        return Role.APPROVER in self.roles and not self.signs_for.isdisjoint({approval_role, ANY_SIGNATURE})


@lru_cache(maxsize=1024)
def unproven(name: str) -> Principal:
    """A caller of a server that asks nobody who they are: every role, by their own word."""
    return Principal(name, EVERY_ROLE, frozenset({ANY_SIGNATURE}), is_authenticated=False)
