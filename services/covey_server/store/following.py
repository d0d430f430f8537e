"""Keeping up with a store that others write to as well."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from covey_server.store.failures import StoreError

_log = logging.getLogger("covey_server.store")


class Follower:
    """Takes over what other servers wrote, again and again, on a thread of its own.

    Args:
        subject: what is followed, for the log and the metrics page.
        follow: takes over what is new.
        seconds: between two looks.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        subject: str,
        follow: Callable[[], None],
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.subject = subject
        self._monotonic = monotonic
        self._followed_at = monotonic()
        self._follow = follow
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._follow_until_stopped, name=f"follow {subject}", daemon=True)
        self._thread.start()

    @property
    def unfollowed_seconds(self) -> float:
        """Time since a look that succeeded, or since the start."""
        return self._monotonic() - self._followed_at

    def stop(self, most_seconds: float | None = None) -> None:
        """End the thread, and wait for its end at most so long: one that hangs with its store may never come to it."""
        self._stopped.set()
        self._thread.join(most_seconds)

    def _follow_until_stopped(self) -> None:
        is_blind = False
        while not self._stopped.wait(self._seconds):
            try:
                self._follow()
            except StoreError as error:
                if not is_blind:
                    _log.error("%s cannot be followed: %s", self.subject, error)
                is_blind = True
            except Exception:
                if not self._stopped.is_set():
                    _log.exception("%s cannot be followed; trying again", self.subject)
            else:
                self._followed_at = self._monotonic()
                if is_blind:
                    _log.info("%s can be followed again", self.subject)
                is_blind = False
