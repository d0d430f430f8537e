"""Time as the loop sees it: injected, so that a test can run six hours in a second."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two clocks and a way to wait."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; measures phases."""
        ...

    def wall(self) -> datetime:
        """The time of day in UTC; for labels and calendars only."""
        ...

    def sleep(self, seconds: float) -> bool:
        """Waits that long; True when the process was asked to stop meanwhile."""
        ...


class SystemClock:
    """The machine's clocks; `stop` ends every wait."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def monotonic(self) -> float:
        """Seconds since some moment of the past."""
        return time.monotonic()

    def wall(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> bool:
        """Waits; True once `stop` was called."""
        return self._stopped.wait(max(0.0, seconds))

    def stop(self) -> None:
        """Wakes the sleeper for good. Safe in a signal handler."""
        self._stopped.set()
