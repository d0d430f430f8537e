"""Which calls of a storm are refused how, and what the log says of it. For one thread: the one that takes calls.

A refusal that reads its message costs a fifth of an answer, and counts against the variant that would have answered.
Unread it costs next to nothing. So the first hundred a second are read, which is all there are outside of storms.
"""

from __future__ import annotations

from enum import Enum

READ_REFUSALS_PER_SECOND = 100.0
_REPORT_SECONDS = 10.0


class Turn(Enum):
    """What becomes of a call at its submission."""

    SERVED = "served"
    REFUSED = "refused once its message is read"
    UNREAD = "refused, its message unread"
    DENIED = "denied to whoever calls, its message unread"


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


class StormCount:
    """Calls that were refused unread since the log last had their number."""

    def __init__(self) -> None:
        self._count = 0
        self._told_at: float | None = None

    @property
    def count(self) -> int:
        """Not told yet."""
        return self._count

    def add(self) -> None:
        """One more."""
        self._count += 1

    def to_tell(self, now: float) -> int:
        """Their number where it is time to tell it: the first one at once, then every ten seconds; else 0."""
        if not self._count or (self._told_at is not None and now - self._told_at < _REPORT_SECONDS):
            return 0
        self._told_at = now
        return self.rest()

    def rest(self) -> int:
        """Their number, whatever the time."""
        count, self._count = self._count, 0
        return count
