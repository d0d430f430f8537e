"""Several servers over one journal: what others commit reaches this server's memory and traffic within a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from covey.rollout.state import RolloutState
from covey_server.rollouts import journal_tables as tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.rollouts.journal_states import States
    from covey_server.store import Store

_LOOKED = "looked at what other servers wrote"


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
