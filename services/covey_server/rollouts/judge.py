"""The server's second look at a controller's decision, before it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import grpc

from covey import __version__
from covey.rollout.model import LONGEST_GAP_INTERVALS
from covey.rollout.rejudge import DecisionRefused, judged_again
from covey.rollout.units import seconds_of
from covey_server.errors import CallError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey.rollout.state import RolloutState
    from covey.v1.journal_pb2 import Entry
    from covey_server.store import Store

SLACK_SECONDS = 10.0
"""Looks arrive by so much unevenly: a slow commit, then a fast one."""


class Judge:
    """Decides again, and keeps account of the time that looks claim to have observed.

    A phase lasts as long as its looks say that they observed. So that nobody invents time, a rollout has as much of it
    to claim as has passed by the server's clock, and no more in store than the longest gap that a look may bridge.

    Args:
        store: whose transactions may fail after all; the account follows their commits.
        monotonic: seconds that only grow: a wall clock that is set back would leave honest looks short of time.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        # Seconds left to claim, and when that was so; a rollout that is not there yet has a full store.
        self._accounts: dict[str, tuple[float, float]] = {}

    def judge(
        self, connection: Connection, state: RolloutState, entries: Sequence[Entry], now: datetime
    ) -> Sequence[Entry]:
        """The entries to record.

        Raises:
            CallError: FAILED_PRECONDITION, with the difference.
        """
        try:
            made = judged_again(state, entries, now)
        except DecisionRefused as error:
            raise _refused(state, str(error) + _version_remedy(entries), error.reason_code) from None
        self._take(connection, state, seconds_of(made[0].tick.observed))
        return made

    def _take(self, connection: Connection, state: RolloutState, observed: float) -> None:
        now = self._monotonic()
        longest = LONGEST_GAP_INTERVALS * state.tick_interval_seconds
        most = longest + SLACK_SECONDS
        pending = self._store.pending(connection)
        left, since = pending.get(("observed", state.name)) or self._accounts.get(state.name, (most, now))
        left = min(most, left + now - since)
        claimed = min(observed, longest)
        if claimed > left:
            raise _refused(
                state,
                f"the look says that {claimed:g} s were observed, but by the server's clock only {left:.1f} s have "
                "passed since the looks before; phases last as long as looks say. Is somebody else using the lease?",
                "OBSERVED_TOO_MUCH",
            )
        account = (left - claimed, now)
        pending["observed", state.name] = account
        self._store.after_commit(connection, lambda: self._adopt(state.name, account))

    def _adopt(self, name: str, account: tuple[float, float]) -> None:
        self._accounts[name] = account

    def forget(self, name: str) -> None:
        """Keep no account of a rollout that is over."""
        self._accounts.pop(name, None)


def _version_remedy(entries: Sequence[Entry]) -> str:
    theirs = next((entry.version for entry in entries if entry.version), "")
    if not theirs or theirs == __version__:
        return ""
    return f". The controller is covey {theirs}, this server {__version__}: run the same version of both"


def _refused(state: RolloutState, message: str, reason: str) -> CallError:
    return CallError(grpc.StatusCode.FAILED_PRECONDITION, message, reason=reason, metadata={"rollout": state.name})
