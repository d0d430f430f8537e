"""Which calls of a storm are refused how, and the one line of log about it. For one thread: the one that takes calls.

A refusal that reads its message costs a fifth of an answer, and counts against the variant that would have answered.
Unread it costs next to nothing. So the first hundred a second are read, which is all there are outside of storms.
"""

from __future__ import annotations

import logging
from enum import Enum

READ_REFUSALS_PER_SECOND = 100.0
_REPORT_SECONDS = 10.0

_log = logging.getLogger("covey_server.calls")


class Turn(Enum):
    """What becomes of a call at its submission."""

    SERVED = "served"
    REFUSED = "refused once its message is read"
    UNREAD = "refused, its message unread"


class Allowance:
    """So many a second; a pause lets a second's worth come at once.

    Args:
        per_second: one or more.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = per_second
        self._filled_at: float | None = None

    def take(self, now: float) -> bool:
        """Take one, where one is left at `now`, in seconds of a clock that never goes back."""
        passed = 0.0 if self._filled_at is None else now - self._filled_at
        self._filled_at = now
        self._left = min(self._per_second, self._left + passed * self._per_second)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class StormReport:
    """Counts the calls that were refused unread; their number is a line of log now and then, not one each."""

    def __init__(self) -> None:
        self._count = 0
        self._reported_at: float | None = None

    def note(self, now: float) -> None:
        """One more, at `now`, in seconds of a clock that never goes back."""
        self._count += 1
        if self._reported_at is not None and now - self._reported_at < _REPORT_SECONDS:
            return
        _log.warning(
            "more calls than can be served: refused unread, without a line each", extra={"refused_count": self._count}
        )
        self._count = 0
        self._reported_at = now
