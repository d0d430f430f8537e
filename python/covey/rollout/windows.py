"""A short memory of a running total, so that a stretch of the recent past can be judged in bounded space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# A window remembers its past in about so many steps.
STEPS = 32


@dataclass(frozen=True)
class Window(Generic[T]):
    """Totals at some instants of the last `length` seconds, and one just before.

    Attributes:
        marks: (seconds, total), rising.
    """

    marks: tuple[tuple[float, T], ...] = ()

    def pushed(self, seconds: float, total: T, length: float) -> Window[T]:
        """With the total at this instant; marks closer than a step are left out, those too old forgotten."""
        marks = self.marks
        if not marks or seconds - marks[-1][0] >= length / STEPS:
            marks = (*marks, (seconds, total))
        first = 0
        while first + 1 < len(marks) and marks[first + 1][0] <= seconds - length:
            first += 1
        return Window(marks[first:])

    def total_before(self, seconds: float) -> T | None:
        """The newest total at or before this instant, or the oldest there is; None where there is none."""
        found = self.marks[0][1] if self.marks else None
        for at, total in self.marks:
            if at > seconds:
                break
            found = total
        return found


@dataclass(frozen=True)
class LiteralRun:
    """How long a trigger's estimate has stood beyond its limit without a break: the literal "for 2 min" rule.

    Only ticks that have data count; a tick without neither counts nor breaks the run.

    Attributes:
        seconds: observed time of those ticks.
        count: their requests (learners, for outcomes).
        window: counts within the sustained time.
    """

    seconds: float = 0.0
    count: int = 0
    window: Window[int] = Window()

    def extended(self, seconds: float, count: int, sustained: float) -> LiteralRun:
        """With one more tick beyond the limit."""
        window = self.window if self.window.marks else Window(((0.0, 0),))
        total, elapsed = self.count + count, self.seconds + seconds
        return LiteralRun(elapsed, total, window.pushed(elapsed, total, sustained))

    def holds(self, sustained: float, minimum_count: int) -> bool:
        """Whether the estimate stood beyond the limit at every tick of the sustained time, with enough data in them."""
        if sustained <= 0 or self.seconds < sustained:
            return False
        return self.count - (self.window.total_before(self.seconds - sustained) or 0) >= minimum_count
