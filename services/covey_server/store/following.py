"""Keeping up with a store that others write to as well."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from covey_server.store.failures import StoreError

_log = logging.getLogger("covey_server.store")


class Follower:
    """Takes over what other servers wrote, again and again, on a thread of its own.

    Args:
        subject: what is followed, for the log.
        follow: takes over what is new.
        seconds: between two looks.
    """

    def __init__(self, subject: str, follow: Callable[[], None], seconds: float) -> None:
        self._subject = subject
        self._follow = follow
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._follow_until_stopped, name=f"follow {subject}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _follow_until_stopped(self) -> None:
        is_blind = False
        while not self._stopped.wait(self._seconds):
            try:
                self._follow()
            except StoreError as error:
                if not is_blind:
                    _log.error("%s cannot be followed: %s", self._subject, error)
                is_blind = True
            except Exception:
                _log.exception("%s cannot be followed; trying again", self._subject)
            else:
                if is_blind:
                    _log.info("%s can be followed again", self._subject)
                is_blind = False
