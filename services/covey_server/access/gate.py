"""The one place where callers are recognised and admitted, whatever port they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

import grpc

from covey.access.pages import Asker, Page
from covey.access.principals import Principal, Role, unproven
from covey_server.access.callers import certificate_names
from covey_server.access.rules import ALLOWED_ROLES, METRICS_ROLES, OPEN_METHODS
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


class Gate:
    """Recognises callers by token or certificate and holds every method to its rule.

    Args:
        credentials: what proves who is who; None: everybody has every role, by their own word.
        clock: the time, aware: credentials expire.
        rules: roles by full method name.
    """

    def __init__(
        self,
        credentials: Watched[Credentials] | None,
        clock: Callable[[], datetime],
        rules: Mapping[str, frozenset[Role]] = ALLOWED_ROLES,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._rules = rules

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

    def page_refusal(self, path: str, asker: Asker) -> Page | None:
        """What someone is told who may not read a page of the metrics port; None where they may."""
        if self._credentials is None or path == "/healthz":
            return None
        try:
            principal = self._proven(asker.authorization, lambda: asker.certificate_names)
        except CallError as error:
            return Page(f"{error.message}\n".encode(), status=401)
        if principal.has_any(METRICS_ROLES):
            return None
        return Page(f"{principal.name} has no role that reads metrics\n".encode(), status=403)

    def _recognised(self, metadata: Metadata, auth_context: AuthContext) -> Principal:
        if self._credentials is None:
            return unproven(unquote(_value(metadata, ACTOR_KEY))[:_LONGEST_ASSERTED_NAME] or "anonymous")
        return self._proven(_value(metadata, AUTHORIZATION_KEY), lambda: certificate_names(auth_context()))

    def _proven(self, authorization: str, names: Callable[[], tuple[str, ...]]) -> Principal:
        """The principal of a token or else of a certificate: who sends a token is asked for nothing else."""
        assert self._credentials is not None
        credentials, now = self._credentials.current(), self._clock()
        if authorization:
            scheme, _, token = authorization.partition(" ")
            principal = credentials.of_token(token.strip(), now) if scheme.lower() == "bearer" else None
            if principal is None:
                raise _unauthenticated("this token is unknown, revoked or expired", "TOKEN_REFUSED")
            return principal
        certificate = names()
        principal = credentials.of_certificate(certificate, now)
        if principal is not None:
            return principal
        if certificate:
            raise _unauthenticated(f"no credential is for the certificate of {certificate[0]!r}", "CERTIFICATE_UNKNOWN")
        raise _unauthenticated("this server answers only callers that it knows", "CREDENTIALS_MISSING")


def open_gate() -> Gate:
    """Everybody has every role, by their own word: for this machine only."""
    return Gate(None, lambda: datetime.now(UTC))


def _value(metadata: Metadata, key: str) -> str:
    for name, value in metadata or ():
        if name == key:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""


def _unauthenticated(problem: str, reason: str) -> CallError:
    return CallError(
        grpc.StatusCode.UNAUTHENTICATED,
        f"{problem}; send `authorization: Bearer TOKEN` with a token of `covey token create`, or a client certificate",
        reason=reason,
    )


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
