"""From what a caller brings to who it is, the same for gRPC calls and for pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from covey.access.credentials import Credentials
from covey.access.pages import Asker, Page
from covey.access.principals import READERS, Principal
from covey.access.watched import Watched

REMEDY = "send `authorization: Bearer TOKEN` with a token of `covey token create`, or a client certificate"


class StrangerError(Exception):
    """Nobody that the credentials know.

    Attributes:
        problem: what is wrong with what was brought.
        reason: the same for programs.
    """

    def __init__(self, problem: str, reason: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.reason = reason


def recognised(
    credentials: Credentials, now: datetime, authorization: str, certificate_names: Callable[[], tuple[str, ...]]
) -> Principal:
    """The principal of a token or else of a certificate: who brings a token is asked for nothing else.

    Args:
        credentials: whom we know.
        now: aware.
        authorization: the header or metadata of that name, or "".
        certificate_names: gives the names of the verified client certificate; asked where there is no token.

    Raises:
        StrangerError: a token that is unknown or expired, a certificate without a credential, or neither.
    """
    if authorization:
        scheme, _, token = authorization.partition(" ")
        principal = credentials.of_token(token.strip(), now) if scheme.lower() == "bearer" else None
        if principal is None:
            raise StrangerError("this token is unknown, revoked or expired", "TOKEN_REFUSED")
        return principal
    names = certificate_names()
    principal = credentials.of_certificate(names, now)
    if principal is not None:
        return principal
    if names:
        raise StrangerError(f"no credential is for the certificate of {names[0]!r}", "CERTIFICATE_UNKNOWN")
    raise StrangerError("this server answers only callers that it knows", "CREDENTIALS_MISSING")


class PageAccess:
    """Who may read the pages of an HTTP port: everybody, or principals with a role that reads.

    Args:
        credentials: whom we know; None: everybody may read.
        open_paths: everybody's pages.
        clock: the time, aware.
    """

    def __init__(
        self,
        credentials: Watched[Credentials] | None,
        open_paths: frozenset[str] = frozenset(),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._credentials = credentials
        self._open_paths = open_paths
        self._clock = clock

    def __call__(self, path: str, asker: Asker) -> Page | None:
        """What someone is told who may not read a page; None where they may."""
        if self._credentials is None or path in self._open_paths:
            return None
        try:
            principal = recognised(
                self._credentials.current(), self._clock(), asker.authorization, lambda: asker.certificate_names
            )
        except StrangerError as stranger:
            return Page(f"{stranger.problem}; {REMEDY}\n".encode(), status=401)
        if principal.has_any(READERS):
            return None
        return Page(f"{principal.name} has no role that reads metrics\n".encode(), status=403)
