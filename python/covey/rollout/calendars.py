"""When a phase may begin: freeze windows and business hours. Pure: a time zone comes as data, the time as an argument.

A calendar delays the beginning of a phase and nothing else; rollbacks and aborts never ask it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from covey.rollout.units import seconds_of, time_of
from covey.v1.rollout_spec_pb2 import Calendar, RolloutSpec, ZoneOffset

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_SECONDS = 86_400
_WEEK_SECONDS = 7 * _DAY_SECONDS
LONGEST_WAIT = timedelta(days=3660)
MOST_WINDOWS = 100
_MOMENT = r"(\d{1,2}):(\d{2})"
_DAY = f"({'|'.join(DAYS)})"
_ACROSS_DAYS = re.compile(rf"{_DAY} {_MOMENT} ?- ?{_DAY} {_MOMENT}\Z")
_EVERY_DAY = re.compile(rf"{_DAY}(?: ?- ?{_DAY})? {_MOMENT} ?- ?{_MOMENT}\Z")

Span = tuple[int, int]


def parse_weekly(text: str) -> list[Span]:
    """A stretch of every week, as seconds since Monday 00:00 of local time, end excluded.

    Either "fri 16:00 - mon 08:00", one stretch, or "mon-fri 09:00-17:00", one on each of the days; an end at or before
    the beginning lies on the next day.

    Raises:
        ValueError: it is neither.
    """
    lowered = " ".join(text.lower().split())
    if found := _ACROSS_DAYS.match(lowered):
        first, begin_hour, begin_minute, last, end_hour, end_minute = found.groups()
        begin = DAYS.index(first) * _DAY_SECONDS + _moment(begin_hour, begin_minute, text)
        end = DAYS.index(last) * _DAY_SECONDS + _moment(end_hour, end_minute, text)
        return list(_within_week(begin, end if end > begin else end + _WEEK_SECONDS))
    if found := _EVERY_DAY.match(lowered):
        first, last, begin_hour, begin_minute, end_hour, end_minute = found.groups()
        begin, end = _moment(begin_hour, begin_minute, text), _moment(end_hour, end_minute, text)
        length = (end - begin) % _DAY_SECONDS or _DAY_SECONDS
        day = DAYS.index(first)
        count = (DAYS.index(last or first) - day) % 7 + 1
        starts = [((day + number) % 7) * _DAY_SECONDS + begin for number in range(count)]
        return [span for start in starts for span in _within_week(start, start + length)]
    raise ValueError(f"'{text}' is no stretch of a week; expected 'mon-fri 09:00-17:00' or 'fri 16:00 - mon 08:00'")


def _moment(hour: str, minute: str, text: str) -> int:
    seconds = int(hour) * 3600 + int(minute) * 60
    if int(minute) > 59 or seconds > _DAY_SECONDS:
        raise ValueError(f"'{text}' has a time that no day has; expected 00:00 to 24:00")
    return seconds


def _within_week(begin: int, end: int) -> Iterator[Span]:
    begin, end = begin % _WEEK_SECONDS, begin % _WEEK_SECONDS + end - begin
    yield begin, min(end, _WEEK_SECONDS)
    if end > _WEEK_SECONDS:
        yield 0, end - _WEEK_SECONDS


@dataclass(frozen=True)
class Zone:
    """A time zone as its offsets to UTC.

    Attributes:
        instants: from when each offset holds, rising; the first holds before, too.
        offsets: local time minus UTC.
    """

    instants: tuple[datetime, ...] = (datetime(1, 1, 1, tzinfo=UTC),)
    offsets: tuple[timedelta, ...] = (timedelta(0),)

    @classmethod
    def of(cls, offsets: Iterable[ZoneOffset]) -> Zone:
        """The zone that a journal keeps; UTC where it keeps none."""
        kept = [(time_of(offset.begin_time), timedelta(seconds=seconds_of(offset.utc_offset))) for offset in offsets]
        return cls(tuple(at for at, _ in kept), tuple(by for _, by in kept)) if kept else cls()

    def offset(self, at: datetime) -> timedelta:
        """Local time minus UTC at an instant."""
        return self.offsets[max(0, bisect_right(self.instants, at) - 1)]

    def change_after(self, at: datetime) -> datetime | None:
        """When the offset changes next."""
        index = bisect_right(self.instants, at)
        return self.instants[index] if index < len(self.instants) else None

    def local_text(self, at: datetime) -> str:
        """An instant as people of the zone write it, to the minute, with its offset."""
        local = at + self.offset(at)
        day = DAYS[local.weekday()].capitalize()
        return f"{day} {local.date().isoformat()} {local.hour:02}:{local.minute:02}{_offset_text(self.offset(at))}"


def _offset_text(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


UTC_ZONE = Zone()


@dataclass(frozen=True)
class Opening:
    """When a phase may begin, seen from an instant.

    Attributes:
        at: the first instant; None: not within ten years.
        reason: what keeps it shut now; empty where it is open now.
    """

    at: datetime | None
    reason: str = ""


@dataclass(frozen=True)
class OpenHours:
    """The windows of a calendar.

    Attributes:
        zone: of its weekly times.
        hours: when phases may begin, as stretches of the week; none: always.
        freezes: name, begin and end of stretches in which no phase begins.
        weekly_freezes: the same for stretches of every week.
    """

    zone: Zone = UTC_ZONE
    hours: tuple[Span, ...] = ()
    freezes: tuple[tuple[str, datetime, datetime], ...] = ()
    weekly_freezes: tuple[tuple[str, Span], ...] = ()

    @classmethod
    def of(cls, calendar: Calendar, zone: Zone) -> OpenHours:
        """The windows of a plan's calendar."""
        return cls(
            zone,
            tuple(span for text in calendar.business_hours for span in parse_weekly(text)),
            tuple((f.name, time_of(f.start_time), time_of(f.end_time)) for f in calendar.freezes if not f.weekly),
            tuple((f.name, span) for f in calendar.freezes if f.weekly for span in parse_weekly(f.weekly)),
        )

    @cached_property
    def is_always_open(self) -> bool:
        """Whether there is no window at all."""
        return not (self.hours or self.freezes or self.weekly_freezes)

    def closed_by(self, at: datetime) -> str:
        """What keeps phases from beginning at an instant; empty where nothing does."""
        for name, begin, end in self.freezes:
            if begin <= at < end:
                return f"freeze '{name}'"
        second = self._second_of_week(at)
        for name, (first, last) in self.weekly_freezes:
            if first <= second < last:
                return f"freeze '{name}'"
        if self.hours and not any(first <= second < last for first, last in self.hours):
            return "outside of business hours"
        return ""

    def opening(self, at: datetime) -> Opening:
        """The first instant at or after one at which a phase may begin."""
        reason, now = self.closed_by(at), at
        while self.closed_by(now):
            ends = [end for _, begin, end in self.freezes if begin <= now < end]
            now = max(ends) if ends else self._change_after(now)
            if now - at > LONGEST_WAIT:
                return Opening(None, reason)
        return Opening(now, reason)

    def _second_of_week(self, at: datetime) -> float:
        local = at + self.zone.offset(at)
        clock = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return local.weekday() * _DAY_SECONDS + clock.total_seconds()

    def _change_after(self, at: datetime) -> datetime:
        """When a window may open or close next. Between two changes of offset local time runs evenly."""
        local = at + self.zone.offset(at)
        monday = (local - timedelta(days=local.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        passed = local - monday
        edges = {edge for span in self._weekly_spans for edge in span} | {_WEEK_SECONDS}
        ahead = min(timedelta(seconds=edge) - passed for edge in edges if timedelta(seconds=edge) > passed)
        found = [at + ahead, *(begin for _, begin, _ in self.freezes if begin > at)]
        change = self.zone.change_after(at)
        return min([*found, change] if change else found)

    @cached_property
    def _weekly_spans(self) -> tuple[Span, ...]:
        return (*self.hours, *(span for _, span in self.weekly_freezes))


def calendar_findings(spec: RolloutSpec) -> Iterator[tuple[str, str]]:
    """Path and complaint of everything that a calendar cannot mean."""
    calendar = spec.calendar
    if len(calendar.business_hours) + len(calendar.freezes) > MOST_WINDOWS:
        yield "calendar", f"there are more than {MOST_WINDOWS} windows"
        return
    bad = False
    for path, text in _weekly_texts(calendar):
        try:
            parse_weekly(text)
        except ValueError as error:
            bad = True
            yield path, str(error)
    for number, freeze in enumerate(calendar.freezes):
        path, dated = f"calendar.freezes[{number}]", freeze.HasField("start_time") or freeze.HasField("end_time")
        if not freeze.name:
            yield f"{path}.name", "a freeze needs a name, which is what people are told"
        if bool(freeze.weekly) == dated:
            yield path, "expected either weekly, or start_time and end_time"
        elif dated and not (freeze.HasField("start_time") and freeze.HasField("end_time")):
            yield path, "a freeze with a date needs both start_time and end_time"
        elif dated and time_of(freeze.end_time) <= time_of(freeze.start_time):
            yield f"{path}.end_time", "the freeze ends before it begins"
    if not bad and not _opens_in_a_week(OpenHours.of(calendar, UTC_ZONE)):
        yield "calendar", "its weekly windows leave no time in which a phase could begin"


def _weekly_texts(calendar: Calendar) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(calendar.business_hours):
        yield f"calendar.business_hours[{number}]", text
    for number, freeze in enumerate(calendar.freezes):
        if freeze.weekly:
            yield f"calendar.freezes[{number}].weekly", freeze.weekly


def _opens_in_a_week(hours: OpenHours) -> bool:
    weekly = OpenHours(hours.zone, hours.hours, (), hours.weekly_freezes)
    found = weekly.opening(datetime(2024, 1, 1, tzinfo=UTC)).at
    return found is not None


def begins(spec: RolloutSpec, hours: OpenHours, start: datetime) -> Sequence[tuple[str, Opening]]:
    """When each phase can begin at the earliest, if the rollout starts at an instant and every phase takes its hold."""
    found: list[tuple[str, Opening]] = []
    at: datetime | None = start
    for phase in spec.phases:
        if at is None:
            found.append((phase.name, Opening(None, "after a phase that cannot begin")))
            continue
        earliest = max(at, time_of(phase.not_before)) if phase.HasField("not_before") else at
        opening = hours.opening(earliest)
        reason = opening.reason or ("not_before" if earliest > at else "")
        found.append((phase.name, Opening(opening.at, reason)))
        at = opening.at + timedelta(seconds=seconds_of(phase.hold)) if opening.at else None
    return found
