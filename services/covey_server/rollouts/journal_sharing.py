"""Several servers over one journal: what others commit reaches this server's memory and traffic within a second."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from covey.rollout.state import RolloutState
from covey_server.rollouts import journal_tables as tables
from covey_server.store import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.rollouts.journal_states import States
    from covey_server.store import Store

LOOK_SECONDS = 0.25
_LOOKED = "looked at what other servers wrote"

_log = logging.getLogger("covey_server.rollouts")


class Neighbours:
    """Finds what other servers have written to the journal.

    Args:
        store: where the journal is.
        states: what this server has in memory.
        adopt: puts a newer state in force; called under the writer's lock.
    """

    def __init__(self, store: Store, states: States, adopt: Callable[[RolloutState], None]) -> None:
        self._store = store
        self._states = states
        self._adopt = adopt

    def look(self, connection: Connection) -> None:
        """Bring the memory up to what is committed, before the first mutation of a write transaction decides on it.

        Later mutations of the transaction are left alone: what they would find is their own transaction's.
        """
        pending = self._store.pending(connection)
        if not self._store.is_shared or _LOOKED in pending:
            return
        pending[_LOOKED] = True
        for name in self._behind(connection):
            self._adopt(self._states.brought_up(connection, name))

    def are_ahead(self) -> bool:
        """Whether they have written what is not in memory.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._store.read() as connection:
            return bool(self._behind(connection))

    def _behind(self, connection: Connection) -> list[str]:
        """Rollouts whose journals have gone on, oldest first."""
        known = {state.name: state.last_sequence for state in self._states.active()}
        heads = tables.heads(connection, list(known))
        return [name for name, last_sequence in heads.items() if last_sequence > known.get(name, 0)]


class Follower:
    """Looks for what other servers wrote, again and again, on a thread of its own.

    Args:
        neighbours: whose writing is looked for.
        follow: brings the memory up to it, in a commit.
        seconds: between two looks.
    """

    def __init__(self, neighbours: Neighbours, follow: Callable[[], None], seconds: float = LOOK_SECONDS) -> None:
        self._neighbours = neighbours
        self._follow = follow
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._look_until_stopped, name="journal-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _look_until_stopped(self) -> None:
        is_blind = False
        while not self._stopped.wait(self._seconds):
            try:
                if self._neighbours.are_ahead():
                    self._follow()
            except StoreError as error:
                if not is_blind:
                    _log.error("the journal cannot be followed: %s", error)
                is_blind = True
            except Exception:
                _log.exception("the journal cannot be followed; trying again")
            else:
                if is_blind:
                    _log.info("the journal can be followed again")
                is_blind = False
