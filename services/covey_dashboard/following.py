"""Threads that follow rollouts: each reads a journal once, then watches it, and goes on after every break."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import grpc

from covey.client import CallFailed, Client
from covey.report.advice import TERMINAL
from covey.rollout.model import IllegalEntry
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.gateway import Gateway
from covey_dashboard.history import History
from covey_dashboard.record import Record

MOST_FOLLOWED = 16
"""Rollouts followed at the same time, each with a thread and a stream; the one that nobody asked for longest goes."""
_RETRY_SECONDS = 1.0
_GIVE_UP_SECONDS = 30.0

_log = logging.getLogger("covey_dashboard.following")


@dataclass(frozen=True)
class Seen:
    """What a follower knows.

    Attributes:
        version: grows with everything that is news.
        rollout: as the server told it last; None: it was never reached.
        history: of its journal; None while it is being read.
        failure: what the server refused for good, such as a rollout that is not there.
    """

    version: int = 0
    rollout: Rollout | None = None
    history: History | None = None
    failure: CallFailed | None = None


class _StoppedError(Exception):
    pass


class Follower:
    """Follows one rollout until it ends or `stop`.

    Args:
        name: as one types it.
        gateway: to the server.
        tell: called with news, from the follower's thread.
    """

    def __init__(self, name: str, gateway: Gateway, tell: Callable[[], None]) -> None:
        self.name = name
        self.seen = Seen()
        self._gateway = gateway
        self._tell = tell
        self._stopping = threading.Event()
        self._client: Client | None = None
        self._record = Record()
        self._thread = threading.Thread(target=self._run, name=f"follow-{name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the stream and the thread, without waiting for it."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.close()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs: until the rollout has ended or it was stopped."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._gateway.reader(self._sleep) as client:
                    self._client = client
                    self._follow(client)
                return
            except _StoppedError:
                return
            except IllegalEntry as error:
                # A journal that was put back from a copy is another one: it is read afresh.
                _log.warning("%s is read again: %s", self.name, error)
                self._record = Record()
            except CallFailed as failure:
                if failure.code is grpc.StatusCode.NOT_FOUND:
                    self._see(failure=failure)
                    return
                if failure.code is grpc.StatusCode.OUT_OF_RANGE:
                    self._record = Record()
                elif not failure.is_unreachable:
                    self._see(failure=failure)
            except Exception:
                if not self._stopping.is_set():  # a closed channel is how it was stopped
                    _log.exception("%s cannot be followed; it is tried again", self.name)
            finally:
                self._client = None
            self._stopping.wait(_RETRY_SECONDS)

    def _follow(self, client: Client) -> None:
        if not self._record.last_sequence:
            self._see(rollout=client.get_rollout(self.name))
            for entry in client.list_entries(self.name):
                self._check()
                self._record.add(entry)
            self._see(rollout=client.get_rollout(self.name), history=self._record.history())
        watching = client.watch_rollout(
            self.name, after_sequence=self._record.last_sequence, give_up_seconds=_GIVE_UP_SECONDS
        )
        for message in watching:
            self._check()
            for entry in message.entries:
                if entry.sequence > self._record.last_sequence:
                    self._record.add(entry)
            # A long absence is told in several messages, each with the rollout as it is now.
            if self._record.last_sequence >= message.rollout.last_sequence:
                self._see(rollout=message.rollout, history=self._record.history())
            if message.rollout.state in TERMINAL and self._record.last_sequence >= message.rollout.last_sequence:
                return

    def _see(self, **changes: object) -> None:
        before = self.seen
        self.seen = replace(before, **{"version": before.version + 1, "failure": None, **changes})  # type: ignore[arg-type]
        self._tell()

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _StoppedError


class Followers:
    """The followers of the rollouts that people look at.

    Args:
        gateway: to the server.
        tell: called with the name of a rollout that has news, from a follower's thread.
        most: followed at the same time.
    """

    def __init__(self, gateway: Gateway, tell: Callable[[str], None], most: int = MOST_FOLLOWED) -> None:
        self._gateway = gateway
        self._tell = tell
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Follower] = OrderedDict()

    def follow(self, name: str) -> Follower:
        """The follower of a rollout, the one there is or a new one."""
        with self._lock:
            known = self._known.pop(name, None)
            if known is not None and known.seen.failure is not None and known.seen.rollout is None:
                known.stop()  # it was not there: it may be now
                known = None
            follower = known or Follower(name, self._gateway, lambda: self._tell(name))
            self._known[name] = follower
            gone = [self._known.popitem(last=False)[1] for _ in range(max(len(self._known) - self._most, 0))]
        for old in gone:
            old.stop()
        return follower

    def stop(self) -> None:
        """End all of them."""
        with self._lock:
            known, self._known = list(self._known.values()), OrderedDict()
        for follower in known:
            follower.stop()
        for follower in known:
            follower.join(5.0)
