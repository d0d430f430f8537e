"""Weight 0 does not wait for the store: the one change that may run ahead of the journal.

Such a commit runs on a thread of its own. Where it has not ended in time, or has failed, the weight is taken away at
once and held at 0 on this server, whatever else the store brings to light afterwards, and the commit goes on, or is
tried again, until the journal has it or refuses it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, TypeVar

from covey_server.store import StoreError

if TYPE_CHECKING:
    from covey_server.rollouts.board import BoardKeeper

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""How long a caller waits for the store before the weight goes without it."""
_RETRY_SECONDS = 1.0
_MOST_AT_ONCE = 32

_log = logging.getLogger("covey_server.rollouts")


class ZeroAhead:
    """Commits that take a candidate's weight away.

    Args:
        keeper: of the board.
        place: of the store, for people.
        patience_seconds: see `PATIENCE_SECONDS`.
    """

    def __init__(self, keeper: BoardKeeper, place: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.patience_seconds = patience_seconds
        self._keeper = keeper
        self._place = place
        self._stopped = threading.Event()
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def run(self, commit: Callable[[], T], rollout: str) -> T:
        """The result of a commit that takes the weight of a rollout away.

        Args:
            commit: writes to the store; called again where the store has failed.
            rollout: whose weight is 0 when this returns or raises StoreError.

        Raises:
            StoreError: the store did not answer in time, or failed; the weight is 0 and the commit is tried on.
        """
        result: Future[T] = Future()
        if self._slots.acquire(blocking=False):
            # No pool: one whose threads hang with the store would keep the process from ending.
            thread = threading.Thread(target=self._commit, args=(commit, rollout, result), name="zero", daemon=True)
            thread.start()
        else:
            result.set_exception(self._no_answer("too many rollbacks wait for it"))
        try:
            return result.result(self.patience_seconds)
        except FutureTimeoutError:
            self._keeper.hold_at_zero(rollout)
            raise self._no_answer(f"it has not answered for {self.patience_seconds:g} s") from None
        except StoreError:
            self._keeper.hold_at_zero(rollout)
            raise

    def stop(self) -> None:
        """Try no more."""
        self._stopped.set()

    def _commit(self, commit: Callable[[], Any], rollout: str, result: Future[Any]) -> None:
        try:
            while True:
                try:
                    _settle(result, value=commit())
                    return
                except StoreError as error:
                    # The caller hears of the first failure; the journal shall hear of the rollback all the same.
                    self._keeper.hold_at_zero(rollout)
                    _settle(result, error=error)
                    if self._stopped.wait(_RETRY_SECONDS):
                        return
                    _log.warning("the rollback of %s is in force and not recorded; trying again", rollout)
        except Exception as error:
            # Refused: it has ended already, or was never there. The journal says what holds.
            _settle(result, error=error)
            self._keeper.let_go(rollout)
        finally:
            self._slots.release()

    def _no_answer(self, what: str) -> StoreError:
        return StoreError(
            f"{what}; the candidate's weight is 0 on this server",
            place=self._place,
            remedy="look after the disk or the database: the rollback is recorded as soon as it answers",
        )


def _settle(result: Future[Any], *, value: Any = None, error: Exception | None = None) -> None:
    if result.done():
        return
    if error is None:
        result.set_result(value)
    else:
        result.set_exception(error)
