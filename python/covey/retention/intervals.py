"""Which days after the start retention is asked for: a day, a range of days, or a day and all later ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from covey.errors import InputError

_FORM = re.compile(r"(\d+)(?:\+|-(\d+))?")
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Interval:
    """Days after a learner's first one; the first day itself is day 0.

    Attributes:
        first: the first day.
        last: the last day; None: every later day (unbounded, also called rolling retention).
    """

    first: int
    last: int | None

    @property
    def label(self) -> str:
        """As `parse_intervals` reads it: "7" (N-day), "7-13" (bracket), "7+" (unbounded)."""
        if self.last is None:
            return f"{self.first}+"
        return str(self.first) if self.last == self.first else f"{self.first}-{self.last}"

    @property
    def completed_on(self) -> int:
        """The day that must be over for a learner to count: the last, or the first of an unbounded interval."""
        return self.first if self.last is None else self.last


def parse_intervals(text: str) -> tuple[Interval, ...]:
    """Intervals of a list such as "1,7,7-13,28+".

    Raises:
        InputError: naming the entry that is none.
    """
    found = []
    for entry in text.split(","):
        match = _FORM.fullmatch(entry.strip())
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise InputError(
                f"'{entry.strip()}' is no interval", expected="a day (7), a range (7-13) or a day and later (7+)"
            )
        first = int(match[1])
        last = None if entry.strip().endswith("+") else int(match[2] or first)
        found.append(Interval(first, last))
    return checked(found)


def weekly(weeks: int) -> tuple[Interval, ...]:
    """Weeks 1 to `weeks` after the start as brackets: days 7-13, 14-20 ...; week 0 holds the first day itself."""
    return tuple(Interval(week * _WEEK, week * _WEEK + _WEEK - 1) for week in range(1, weeks + 1))


def checked(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """The intervals, if they are some, each once.

    Raises:
        InputError: for none, one twice, or day 0, on which everybody is active.
    """
    if not intervals:
        raise InputError("no interval is asked for", remedy="name some, such as 1,7,28")
    for position, interval in enumerate(intervals):
        if interval.first < 1:
            raise InputError(
                f"interval {interval.label} begins on day 0, on which everybody is active by definition",
                expected="days from 1 on",
            )
        if interval in intervals[:position]:
            raise InputError(f"interval {interval.label} is asked for twice")
    return tuple(intervals)
