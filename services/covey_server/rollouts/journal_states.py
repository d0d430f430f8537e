"""Folded states in memory: all rollouts that are not finished, and the few finished ones that were asked for last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from covey import __version__
from covey.rollout.state import IllegalEntry, RolloutState, fold
from covey_server.errors import not_found
from covey_server.rollouts import journal_tables as tables
from covey_server.store import Store, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FINISHED_STATES_KEPT = 8


class States:
    """What the journal's entries amount to.

    Args:
        store: where the entries are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._active: dict[str, RolloutState] = {}
        self._finished: OrderedDict[str, RolloutState] = OrderedDict()

    def load(self) -> None:
        """Fold every rollout that is not finished.

        Raises:
            StoreError: an entry cannot be read by this version.
        """
        with self._store.read() as connection:
            for name in tables.active_names(connection):
                self._active[name] = self.folded(connection, name)

    def active(self) -> list[RolloutState]:
        """States of the rollouts that are not finished, oldest first."""
        with self._lock:
            return list(self._active.values())

    @property
    def active_count(self) -> int:
        """Rollouts that are not finished."""
        return len(self._active)

    def get(self, name: str, connection: Connection | None = None) -> RolloutState:
        """The committed state of a rollout, read through `connection` where it must be folded.

        Raises:
            CallError: NOT_FOUND.
        """
        with self._lock:
            known = self._active.get(name) or self._finished.get(name)
        if known is not None:
            return known
        if connection is None:
            with self._store.read() as own:
                return self.get(name, own)
        if tables.rollout_row(connection, name) is None:
            raise not_found(name, "ListRollouts shows what exists")
        state = self.folded(connection, name)
        if state.is_terminal:
            with self._lock:
                self._keep_finished(state)
        return state

    def brought_up(self, connection: Connection, name: str) -> RolloutState:
        """The state of a rollout after its last entry, from the one in memory on.

        Raises:
            StoreError: an entry cannot be read by this version.
        """
        with self._lock:
            known = self._active.get(name)
        return self.folded(connection, name, known=known)

    def adopt(self, state: RolloutState) -> None:
        """Put a state that was just committed in the place of the one before."""
        with self._lock:
            if state.is_terminal:
                self._active.pop(state.name, None)
                self._keep_finished(state)
            else:
                self._active[state.name] = state

    def folded(
        self, connection: Connection, name: str, until: int | None = None, known: RolloutState | None = None
    ) -> RolloutState:
        """The state after an entry, or after the last one, from the entries themselves (those after `known`).

        Raises:
            StoreError: an entry cannot be read by this version.
        """
        try:
            after = known.last_sequence if known else 0
            return fold(tables.entries_between(connection, name, after, until), known)
        except IllegalEntry as error:
            raise StoreError(
                f"the journal of {name} cannot be read by covey {__version__}: {error}",
                place=str(self._store.directory),
                remedy="run the version of covey that wrote it, which its entries name",
            ) from error

    def _keep_finished(self, state: RolloutState) -> None:
        self._finished[state.name] = state
        self._finished.move_to_end(state.name)
        while len(self._finished) > _FINISHED_STATES_KEPT:
            self._finished.popitem(last=False)
