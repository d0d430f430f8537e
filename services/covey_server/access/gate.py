"""The one place where callers are recognised and admitted, whatever port they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

import grpc

from covey.access.principals import Principal, Role, unproven
from covey.access.recognition import REMEDY, PageAccess, StrangerError, recognised
from covey_server.access.callers import certificate_names
from covey_server.access.rules import ALLOWED_ROLES, OPEN_METHODS
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey.access.credentials import Credentials
    from covey.access.watched import Watched

ACTOR_KEY = "covey-actor"
AUTHORIZATION_KEY = "authorization"
_LONGEST_ASSERTED_NAME = 128
_STRANGER = Principal("stranger", is_authenticated=False)

Metadata = Iterable[tuple[str, str | bytes]] | None
AuthContext = Callable[[], dict[str, Iterable[bytes]]]


class _CertificateNeededError(Exception):
    """Who brings no token may be known by a certificate."""


class Gate:
    """Recognises callers by token or certificate and holds every method to its rule.

    Args:
        credentials: what proves who is who; None: everybody has every role, by their own word.
        clock: the time, aware: credentials expire.
        rules: roles by full method name.
        asks_certificates: whether callers show the transport a certificate.
    """

    def __init__(
        self,
        credentials: Watched[Credentials] | None,
        clock: Callable[[], datetime],
        rules: Mapping[str, frozenset[Role]] = ALLOWED_ROLES,
        *,
        asks_certificates: bool = False,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._rules = rules
        self._asks_certificates = asks_certificates

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self._credentials is None

    def admit(self, method: str, metadata: Metadata, auth_context: AuthContext) -> Principal:
        """Whoever calls, where they may call that method.

        Args:
            method: full name.
            metadata: of the call; `authorization: Bearer TOKEN`, and `covey-actor` where nobody is asked.
            auth_context: gives what the transport verified.

        Raises:
            CallError: UNAUTHENTICATED for strangers, PERMISSION_DENIED for callers without a role that may.
        """
        if method in OPEN_METHODS:
            return _STRANGER
        principal = self._recognised(metadata, auth_context)
        allowed = self._rules.get(method, frozenset())
        if not principal.has_any(allowed):
            raise _not_allowed(principal, method, allowed)
        return principal

    def admit_by_metadata(self, method: str, metadata: Metadata) -> Principal | None:
        """As `admit`, before anything of the call but its metadata is there; None where a certificate may say more.

        Raises:
            CallError: as `admit`.
        """
        try:
            return self.admit(method, metadata, self._no_certificate_yet)
        except _CertificateNeededError:
            return None

    def _no_certificate_yet(self) -> dict[str, Iterable[bytes]]:
        if self._asks_certificates:
            raise _CertificateNeededError
        return {}

    def page_access(self) -> PageAccess:
        """Who may read the metrics page."""
        return PageAccess(self._credentials, frozenset({"/healthz"}), self._clock)

    def _recognised(self, metadata: Metadata, auth_context: AuthContext) -> Principal:
        if self._credentials is None:
            asserted = _value(metadata, ACTOR_KEY)
            name = unquote(asserted) if "%" in asserted else asserted
            return unproven(name[:_LONGEST_ASSERTED_NAME] or "anonymous")
        try:
            return recognised(
                self._credentials.current(),
                self._clock(),
                _value(metadata, AUTHORIZATION_KEY),
                lambda: certificate_names(auth_context()),
            )
        except StrangerError as stranger:
            raise CallError(
                grpc.StatusCode.UNAUTHENTICATED, f"{stranger.problem}; {REMEDY}", reason=stranger.reason
            ) from stranger


def open_gate() -> Gate:
    """Everybody has every role, by their own word: for this machine only."""
    return Gate(None, lambda: datetime.now(UTC))


def _value(metadata: Metadata, key: str) -> str:
    for name, value in metadata or ():
        if name == key:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""


def _not_allowed(principal: Principal, method: str, allowed: frozenset[Role]) -> CallError:
    name = method.rpartition("/")[2]
    needed = ", ".join(sorted(allowed)) or "none: it has no access rule"
    return CallError(
        grpc.StatusCode.PERMISSION_DENIED,
        f"{principal.name} may not call {name}: it takes one of the roles {needed}, and the caller has "
        f"{', '.join(sorted(principal.roles)) or 'none'}",
        reason="ROLE_MISSING",
        metadata={"method": name, "roles": ",".join(sorted(allowed))},
    )
