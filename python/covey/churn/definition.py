"""What counts as having left, of whom it is asked, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from covey.errors import InputError
from covey.instants import instant_to_datetime

if TYPE_CHECKING:
    from covey.events import Events

DAY_US = 86_400_000_000
_MOST_DAYS = 3_650
_MOST_INSTANTS = 1_000


@dataclass(frozen=True, slots=True)
class Definition:
    """A learner has left at an instant T when there is no event in [T, T + horizon), or a given outcome date is in it.

    Attributes:
        horizon_days: D, the days that must pass in silence.
        active_days: only learners with an event in the last so many days are asked about.
        by_outcome: whether dates of outcomes, given beside the events, say who left.

    Raises:
        InputError: for days out of range.
    """

    horizon_days: int = 28
    active_days: int = 28
    by_outcome: bool = False

    def __post_init__(self) -> None:
        for name in ("horizon_days", "active_days"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_DAYS:
                raise InputError(f"{name} is {value!r}", expected=f"whole days, 1 to {_MOST_DAYS}")

    @property
    def horizon_us(self) -> int:
        """D in microseconds."""
        return self.horizon_days * DAY_US

    @property
    def text(self) -> str:
        """In words."""
        what = "the given date falls in" if self.by_outcome else "no event in"
        return f"{what} the next {self.horizon_days} days, among learners active in the last {self.active_days}"


def instants_to_learn_from(
    events: Events, definition: Definition, every_days: int, observed_until_us: int, first_us: int | None = None
) -> list[int]:
    """Instants `every_days` apart whose horizon the data hold in full; the last horizon ends where the data end.

    Args:
        events: of the learners.
        definition: gives the horizon.
        every_days: days between instants.
        observed_until_us: silence before it was seen; nothing is known of later.
        first_us: no instant before it; by default when half of the learners have had their first event, or the last
            possible instant where half come later.

    Raises:
        InputError: the horizon is longer than the data, `first_us` is after the last possible instant, or there would
            be more than 1,000 instants.
    """
    if every_days < 1:
        raise InputError(f"an instant every {every_days} days", expected="1 or more")
    oldest_us = int(events.time_us.min())
    last = observed_until_us - definition.horizon_us
    if last <= oldest_us:
        raise InputError(
            f"who leaves within {definition.horizon_days} days cannot be told: the data hold "
            f"{(observed_until_us - oldest_us) / DAY_US:.1f} days, "
            f"from {_date(oldest_us)} to {_date(observed_until_us)}",
            expected=f"more than {definition.horizon_days} days",
            remedy="choose a shorter horizon, or wait for more data",
        )
    if first_us is not None and first_us > last:
        raise InputError(
            f"the first instant, {_date(first_us)}, is after {_date(last)}, the last from which the data hold "
            f"{definition.horizon_days} days: they are known until {_date(observed_until_us)}",
            remedy="choose an earlier first instant, a shorter horizon, or wait for more data",
        )
    begin = min(_half_have_come(events), last) if first_us is None else max(first_us, oldest_us + 1)
    found = list(range(last, begin - 1, -every_days * DAY_US))[::-1]
    if len(found) > _MOST_INSTANTS:
        raise InputError(f"{len(found)} instants to learn from", expected=f"at most {_MOST_INSTANTS}")
    return found


def check_instants(instants: Sequence[int], definition: Definition, observed_until_us: int) -> list[int]:
    """Given instants whose horizon is complete, ascending.

    Raises:
        InputError: where every one of them is censored.
    """
    complete = [instant for instant in sorted(set(instants)) if instant + definition.horizon_us <= observed_until_us]
    if not complete:
        first = min(instants, default=observed_until_us)
        raise InputError(
            f"every outcome is censored: {definition.horizon_days} days after {_date(first)} end after the data, "
            f"which are known until {_date(observed_until_us)}; who has left by then nobody has seen",
            remedy="choose earlier instants, a shorter horizon, or wait for more data",
        )
    return complete


def _half_have_come(events: Events) -> int:
    import numpy as np

    firsts = np.full(len(events.learner_ids), np.iinfo(np.int64).max)
    np.minimum.at(firsts, events.learner_index_of_rows(), events.time_us)
    return int(np.sort(firsts)[(len(firsts) - 1) // 2]) + 1


def _date(instant_us: int) -> str:
    return instant_to_datetime(instant_us).strftime("%Y-%m-%d")
