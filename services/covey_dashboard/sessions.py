"""Who is logged in. A browser holds a random name of its session; the token stays here, in memory."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from covey_dashboard.person import Person

MOST_SESSIONS = 256
LIFE_SECONDS = 12 * 3600.0
IDLE_SECONDS = 4 * 3600.0
CHECK_SECONDS = 20.0
"""How long what the server said about a person is believed: a revoked token ends its session by then."""


@dataclass(frozen=True)
class Session:
    """Somebody who is logged in.

    Attributes:
        id: what the cookie holds.
        form_token: what every form must bring back.
        person: who it is.
        token: theirs; empty where the server asks nobody who they are.
        opened_at: monotonic seconds.
        used_at: monotonic seconds of the last request.
        checked_at: monotonic seconds at which the server last said who they are.
    """

    id: str = field(repr=False)
    form_token: str = field(repr=False)
    person: Person
    token: str = field(repr=False)
    opened_at: float
    used_at: float
    checked_at: float


class Sessions:
    """Every session; the one that was used least recently makes room for a new one.

    Args:
        monotonic: seconds of a clock that never goes back.
        secret: makes a random text that cannot be guessed.
        most: sessions at the same time.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        secret: Callable[[], str] = lambda: secrets.token_urlsafe(32),
        most: int = MOST_SESSIONS,
    ) -> None:
        self._monotonic = monotonic
        self._secret = secret
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Session] = OrderedDict()

    def open(self, person: Person, token: str) -> Session:
        """A new session of somebody whom the server knows."""
        now = self._monotonic()
        session = Session(self._secret(), self._secret(), person, token, now, now, now)
        with self._lock:
            self._known[session.id] = session
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return session

    def find(self, session_id: str) -> Session | None:
        """The session of a cookie, marked as used; None where there is none (any more)."""
        now = self._monotonic()
        with self._lock:
            session = self._known.pop(session_id, None)
            if session is None or self._is_over(session, now):
                return None
            session = self._known[session_id] = replace(session, used_at=now)
            return session

    def is_stale(self, session: Session) -> bool:
        """Whether the server should be asked again who it is."""
        return self._monotonic() - session.checked_at > CHECK_SECONDS

    def confirm(self, session: Session, person: Person) -> Session | None:
        """The server has said again who it is; None where the session has been closed meanwhile."""
        with self._lock:
            known = self._known.get(session.id)
            if known is None:
                return None
            self._known[session.id] = replace(known, person=person, checked_at=self._monotonic())
            return self._known[session.id]

    def close(self, session_id: str) -> None:
        """Log out."""
        with self._lock:
            self._known.pop(session_id, None)

    @staticmethod
    def _is_over(session: Session, now: float) -> bool:
        return now - session.opened_at > LIFE_SECONDS or now - session.used_at > IDLE_SECONDS


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
