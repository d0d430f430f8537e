"""A server that cannot read the store does not know what holds: after 5 s it serves the baseline until it can."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from covey_server.store.following import Follower

if TYPE_CHECKING:
    from covey_server.rollouts.board import BoardKeeper
    from covey_server.store import Store

BLIND_SECONDS = 5.0
_LOOK_SECONDS = 1.0

_log = logging.getLogger("covey_server.rollouts")


class StoreWatch:
    """Two threads: one reads the store, and may hang with it; the other sees for how long it has not read.

    Args:
        store: what is read.
        keeper: of the board.
        blind_seconds: see `BLIND_SECONDS`.
        look_seconds: between two looks.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        keeper: BoardKeeper,
        blind_seconds: float = BLIND_SECONDS,
        look_seconds: float = _LOOK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper = keeper
        self._blind_seconds = blind_seconds
        self._look_seconds = look_seconds
        self._reader = Follower("the store", store.probe, look_seconds, monotonic)
        self._stopped = Event()
        self._watcher = Thread(target=self._watch, name="store-watch", daemon=True)
        self._watcher.start()

    @property
    def unread_seconds(self) -> float:
        """Time since the store was last read."""
        return self._reader.unfollowed_seconds

    def stop(self) -> None:
        """End the watch."""
        self._reader.stop(_LOOK_SECONDS)
        self._stopped.set()
        self._watcher.join()

    def _watch(self) -> None:
        is_blind = False
        while not self._stopped.wait(self._look_seconds / 2):
            blind_for = self.unread_seconds
            if not is_blind and blind_for > self._blind_seconds:
                is_blind = True
                self._keeper.suspend()
                _log.error("the store was not read for %.1f s: the baseline serves everybody", blind_for)
            elif is_blind and blind_for <= self._blind_seconds:
                is_blind = False
                self._keeper.resume()
                _log.warning("the store is read again: the journal's split holds")
