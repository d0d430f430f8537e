"""Files that a running process reads again when they change; a broken change leaves the last good state in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from covey.errors import InputError

Value = TypeVar("Value")
_Signature = tuple[tuple[int, int, int], ...]

CHECK_SECONDS = 0.5
"""Files are looked at no more often than this."""

_log = logging.getLogger("covey.access")


class Watched(Generic[Value]):
    """What files say, read again within half a second of their change.

    Args:
        paths: that are looked at.
        load: reads them.
        monotonic: seconds of a clock that never goes back.

    Raises:
        InputError: they cannot be read at the start. Later failures are logged, once each.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], Value], monotonic: Callable[[], float]) -> None:
        self._paths = tuple(paths)
        self._load = load
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._signature = _signature(self._paths)
        self._value = load()
        self._next_check = monotonic() + CHECK_SECONDS

    def current(self) -> Value:
        """The value now; cheap to call often."""
        if self._monotonic() >= self._next_check and self._lock.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._lock.release()
        return self._value

    def _check(self) -> None:
        self._next_check = self._monotonic() + CHECK_SECONDS
        found = _signature(self._paths)
        if found == self._signature:
            return
        try:
            value = self._load()
        except InputError as error:
            _log.error("%s; what was read before stays in force", error)
        else:
            # Files that are replaced one by one may have been read in the middle of it: then they are read again.
            if _signature(self._paths) != found:
                return
            self._value = value
            _log.info("read again", extra={"files": [str(path) for path in self._paths]})
        self._signature = found


def _signature(paths: Sequence[Path]) -> _Signature:
    """What changes with a file's content, as far as the file system says."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
