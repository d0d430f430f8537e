"""Failpoints: named places in the code where a test, or an operator who rehearses, lets a process fail on purpose.

`COVEY_FAULT=point:action[:n]` in the environment of a process arms one, several are separated by commas: at the n-th
time (default 1) that the process comes to the point, it does what the action says. Without the variable a failpoint
is a call of an empty function.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

VARIABLE = "COVEY_FAULT"

POINTS = {
    "router.before_set": "a router shows another weight than the journal and is about to be told",
    "router.set": "a router was told a weight, nobody has read it back",
    "router.zeroed": "routers give the candidate nothing, the rollback that was decided is not recorded",
    "store.opening": "the data directory is locked, its tables are not looked at yet",
    "store.read": "a reader is about to look",
    "store.probed": "the watch over the store is about to read",
    "store.begun": "a write transaction has begun",
    "store.before_commit": "everything of a write transaction is written, nothing is committed",
    "store.committed": "a write transaction is synced, nobody was told",
    "store.told": "memory has followed a commit, its callers were not answered",
    "request.new": "a request was not seen before, nothing of it is done",
    "request.remembered": "a request is done and remembered in its transaction, nothing is committed",
    "journal.stamped": "entries are stamped and legal, none is written",
    "journal.written": "entries are written in their transaction, the rollout's picture is not",
    "journal.adopting": "entries are synced, states in memory and the split are those before",
    "journal.published": "the split follows an entry, those who watch were not told",
    "lease.checked": "an epoch is the one in force, nothing is written under it",
    "lease.written": "a lease is written in its transaction, nothing is committed",
    "breaker.opened": "the run of a server is recorded, no port is open",
    "segment.filled": "a dataset file is written under its temporary name",
    "segment.synced": "a dataset file is synced and has not its name",
    "segment.named": "a dataset file has its name, no manifest lists it",
    "segment.listed": "a dataset file is in the manifest of its transaction, nothing is committed",
    "append.committed": "chunks are synced, nobody was told",
    "outcomes.written": "outcomes are written in their transaction, nothing is committed",
    "exposures.written": "exposures are written in their transaction, nothing is committed",
    "controller.steering": "a controller knows the weight, no router was told it",
    "controller.steered": "routers were told a weight and read back, nothing was looked at",
    "controller.looked": "a controller has gathered evidence, nothing is decided",
    "controller.decided": "a controller has decided, nothing is committed",
    "controller.committed": "a decision is in the journal, its controller has not followed",
    "intervention.told": "a receiver took an action, nobody has noted it",
    "migrate.before_copy": "a store is to be brought forward, nothing was touched",
    "copy.written": "a copy of the database is written under its temporary name",
    "copy.named": "a copy of the database has its name",
    "migrate.begun": "the transaction of a step has begun",
    "migrate.changed": "a step has changed the tables, nothing is committed",
    "migrate.stepped": "a step is committed, later ones are not",
    "backup.files_taken": "the dataset files that were there are copied, the database is not",
    "backup.database_copied": "the database is copied, files that came in between are not",
    "backup.written": "a backup is whole and synced, and has not its name",
    "restore.staged": "a backup is copied into the data directory, beside what is there",
    "restore.marked": "the directory is marked, nothing was moved",
    "restore.moved_away": "what was there is moved away, nothing is in its place",
    "restore.moved_in": "the backup is in place, the mark is there",
}
"""Every failpoint, and what has happened when a process comes to it. The list of the code: tests compare it."""


class FaultError(RuntimeError):
    """What the action `raise` raises."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> NoReturn:
    raise FaultError("a failpoint says so")


def _hang() -> None:
    _released.wait()


def _refuse(number: int) -> Callable[[], NoReturn]:
    def refuse() -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


ACTIONS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "raise": _raise,
    "hang": _hang,
    "enospc": _refuse(errno.ENOSPC),
    "eio": _refuse(errno.EIO),
}
"""kill: SIGKILL to itself. raise: `FaultError`. hang: for good, or until `disarm`. enospc, eio: that OSError."""

_released = threading.Event()


def _nothing(_point: str) -> None:
    """No failpoint is armed."""


reach: Callable[[str], None] = _nothing
"""Called by the code at each failpoint, as `failpoints.reach("store.begun")`."""


def arm(text: str) -> None:
    """Arm failpoints in this process, in the place of those before.

    Args:
        text: `point:action[:n]`, several separated by commas; empty: none.

    Raises:
        ValueError: no such point, action or count.
    """
    global reach  # noqa: PLW0603 - one switch for the process, free to pass where nothing is armed
    armed = dict(_parsed(each.strip()) for each in text.split(",") if each.strip())
    if not armed:
        reach = _nothing
        return
    _released.clear()
    lock = threading.Lock()
    left = {point: count for point, (_, count) in armed.items()}

    def act(point: str) -> None:
        if point not in armed:
            return
        with lock:
            left[point] -= 1
            is_time = left[point] == 0
        if is_time:
            armed[point][0]()

    reach = act


def disarm() -> None:
    """Forget what was armed and let go on what hangs."""
    arm("")
    _released.set()


def _parsed(text: str) -> tuple[str, tuple[Callable[[], None], int]]:
    point, _, rest = text.partition(":")
    action, _, count = rest.partition(":")
    if point not in POINTS:
        raise ValueError(f"{text!r}: there is no failpoint {point!r}; `covey state failpoints` lists them")
    if action not in ACTIONS:
        raise ValueError(f"{text!r}: {action!r} is none of {', '.join(ACTIONS)}")
    if count and (not count.isdecimal() or int(count) < 1):
        raise ValueError(f"{text!r}: {count!r} is not a whole number from 1")
    return point, (ACTIONS[action], int(count or 1))


try:
    arm(os.environ.get(VARIABLE, ""))
except ValueError as error:
    raise SystemExit(f"{VARIABLE}: {error}") from None
