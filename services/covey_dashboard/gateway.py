"""How the dashboard calls the server: as itself to read, as a person to act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from covey.client import Client, Retry, Security

READER = "dashboard"


@dataclass(frozen=True)
class Gateway:
    """The server's addresses and how calls to it are secured.

    Attributes:
        control: address of the control port.
        data: address of the data port, which has the cohort models.
        security: certificates, and the dashboard's own token.
        call_seconds: the whole time of a call, retries included.
    """

    control: str
    data: str
    security: Security = field(default_factory=Security)
    call_seconds: float = 4.0

    def reader(self, sleep: Callable[[float], None] | None = None) -> Client:
        """A client of the dashboard itself; `sleep` waits between attempts."""
        retry = Retry() if sleep is None else Retry(sleep=sleep)
        return self._client(READER, self.security, retry)

    def of_token(self, token: str) -> Client:
        """A client of whoever has this token."""
        return self._client("", replace(self.security, token=token, token_file=None), Retry())

    def of_name(self, name: str) -> Client:
        """A client of somebody by their own word, for servers that ask nobody who they are."""
        return self._client(name, self.security, Retry())

    def _client(self, actor: str, security: Security, retry: Retry) -> Client:
        return Client(
            control=self.control,
            data=self.data,
            actor=actor,
            timeout_seconds=self.call_seconds,
            security=security,
            retry=retry,
        )
