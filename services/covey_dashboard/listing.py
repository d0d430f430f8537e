"""One thread that asks for the list of rollouts, and so knows whether the server answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from covey.client import CallFailed, Client
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.gateway import Gateway
from covey_dashboard.view.rollouts import ServerView

TOPIC = "rollouts"
MOST_LISTED = 200
"""Rollouts in the list: every active one before the newest of the others."""
ASK_SECONDS = 1.0
IDLE_SECONDS = 15.0
_READ_SECONDS = 30.0

_log = logging.getLogger("covey_dashboard.listing")


@dataclass(frozen=True)
class Listed:
    """What is known of all rollouts.

    Attributes:
        version: grows with everything that is news.
        rollouts: without verdicts.
        server: whether it answers.
    """

    version: int = 0
    rollouts: tuple[Rollout, ...] = ()
    server: ServerView = field(default_factory=lambda: ServerView(False, None, ""))


class Listing:
    """Asks every second while somebody looks, rarely otherwise, until `stop`.

    Args:
        gateway: to the server.
        tell: called with a topic that has news, from the listing's thread.
        clock: the time, aware.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        gateway: Gateway,
        tell: Callable[[str], None],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.listed = Listed()
        self._gateway = gateway
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        self._read_at = monotonic()
        self._wake = threading.Event()
        self._asked = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="listing", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """Somebody looks."""
        was_idle = self._monotonic() - self._read_at > _READ_SECONDS
        self._read_at = self._monotonic()
        if was_idle:
            self._wake.set()

    def first(self, seconds: float) -> Listed:
        """What is known, once the server was asked at least once."""
        self._asked.wait(seconds)
        return self.listed

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        with self._gateway.reader(self._sleep) as client:
            while not self._stopping:
                self._ask(client)
                self._asked.set()
                is_read = self._monotonic() - self._read_at <= _READ_SECONDS
                self._wake.wait(ASK_SECONDS if is_read else IDLE_SECONDS)
                self._wake.clear()

    def _sleep(self, seconds: float) -> None:
        if not self._stopping:
            self._wake.wait(seconds)

    def _ask(self, client: Client) -> None:
        before = self.listed
        try:
            active = list(islice(client.list_rollouts(active_only=True), MOST_LISTED))
            others = list(islice(client.list_rollouts(), MOST_LISTED))
        except CallFailed as failure:
            problem = failure.message
            server = replace(before.server, is_reached=False, problem=problem)
            if before.server.is_reached or before.server.problem != problem:
                _log.warning("the server does not answer", extra={"problem": problem})
            self.listed = replace(before, version=before.version + (server != before.server), server=server)
        except Exception:
            _log.exception("the list of rollouts cannot be read; it is tried again")
            return
        else:
            names = {rollout.name for rollout in active}
            rollouts = (*active, *(rollout for rollout in others if rollout.name not in names))[:MOST_LISTED]
            is_news = rollouts != before.rollouts or not before.server.is_reached
            if not before.server.is_reached:
                _log.info("the server answers", extra={"rollouts": len(rollouts)})
            self.listed = Listed(before.version + is_news, rollouts, ServerView(True, self._clock(), ""))
        if self.listed.version != before.version:
            self._tell(TOPIC)
