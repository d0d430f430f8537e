"""Time as the loop sees it: injected, so that a test can run six hours in a second."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from covey.stop_signals import StopSignals


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
    """The machine's clocks; a signal to stop ends every wait."""

    def __init__(self, stop_signals: StopSignals) -> None:
        self._stop_signals = stop_signals

    def monotonic(self) -> float:
        """Seconds since some moment of the past."""
        return time.monotonic()

    def wall(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> bool:
        """Waits; True once the process was told to stop."""
        return self._stop_signals.wait(max(0.0, seconds))
