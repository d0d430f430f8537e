"""Counters from a table: one row per time and variant, checked cell by cell before anything is concluded from them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from covey.errors import suggestion
from covey.rollout.spec import variant_name
from covey.rollout.units import parse_duration

COUNTERS = ("requests", "errors", "unavailable", "shed", "equal", "different", "failed")
REQUIRED = ("time", "variant", "requests", "errors")
MOST_ROWS = 1_000_000
_OVER = re.compile(r"over_(\d+(?:\.\d+)?)(ms|s|)\Z")
# What dashboards print. None of it can be added up or tested; it is compared with the counters, and never counted.
_SUMMARY = re.compile(
    r"(?:(?:printed|reported)_)?(?:p\d\d(?:\.\d+)?|error_rate|availability|mean|median)(?:_?(?:ms|s|pct))?\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SampleError(ValueError):
    """A table that is no evidence: source, row and column, what was found and what to do."""


@dataclass(frozen=True)
class Counted:
    """What one variant did in one interval (or up to its end, before differences are taken).

    Attributes:
        counts: by column of `COUNTERS`.
        over: requests slower than each limit, seconds to count.
        row: line of the table, counted from 1 without the header.
        summaries: what was printed beside the counters, by column.
    """

    counts: Mapping[str, int]
    over: Mapping[float, int]
    row: int
    summaries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """All variants at one time.

    Attributes:
        time: end of the interval.
        seconds: its length; of the first of counters that accumulate 0.
        variants: by resource name; a variant without a row is missing, not 0.
    """

    time: datetime
    seconds: float
    variants: Mapping[str, Counted]


@dataclass(frozen=True)
class Samples:
    """A table of counters.

    Attributes:
        source: its name.
        columns: counters that it has.
        limits_seconds: of its over_ columns, rising.
        summaries: columns that are no counters.
        begins: where the first interval begins.
        samples: rising in time.
    """

    source: str
    columns: frozenset[str]
    limits_seconds: tuple[float, ...]
    summaries: tuple[str, ...]
    begins: datetime
    samples: tuple[Sample, ...]

    @property
    def pace_seconds(self) -> float:
        """The middle one of the intervals' lengths."""
        lengths = sorted(sample.seconds for sample in self.samples if sample.seconds > 0)
        return lengths[len(lengths) // 2]


def read_samples(
    header: Sequence[str], rows: Iterable[Sequence[Any]], source: str, *, cumulative: bool = False
) -> Samples:
    """Counters from the rows of a table.

    Args:
        header: column names. `time` is ISO 8601 with its zone, seconds since 1970, or a duration such as "15m";
            `variant`; `requests`, `errors`; where the plan asks for them `unavailable`, `shed`, `over_0.2` (requests
            slower than 0.2 s; also `over_200ms`), `equal`, `different`, `failed` (answers computed twice).
        rows: cells as text or numbers.
        source: name of the table, for messages.
        cumulative: counters since the start of the service; else each row counts since the row before.

    Raises:
        SampleError: naming source, row and column.
    """
    return _Reader(header, source).read(rows, cumulative)


class _Reader:
    def __init__(self, header: Sequence[str], source: str) -> None:
        self.source = source
        self.header = [name.strip() for name in header]
        self.limits: dict[str, float] = {}
        self.summaries: list[str] = []
        for name in self.header:
            if self.header.count(name) > 1:
                raise SampleError(f"{source}: the column '{name}' is there {self.header.count(name)} times; keep one")
            if match := _OVER.match(name):
                limit = float(match[1]) / (1000 if match[2] == "ms" else 1)
                if limit in self.limits.values():
                    raise SampleError(f"{source}: column '{name}': the limit {limit:g} s is there twice; keep one")
                self.limits[name] = limit
            elif _SUMMARY.match(name):
                self.summaries.append(name)
            elif name not in {"time", "variant", *COUNTERS}:
                hint = suggestion(name, [*REQUIRED, *COUNTERS, "over_0.2"])
                raise SampleError(f"{source}: unknown column '{name}'; {hint}")
        for name in REQUIRED:
            if name not in self.header:
                only = " a rate or a quantile is no evidence, counters only;" if self.summaries else ""
                raise SampleError(f"{source}: the column '{name}' is missing;{only} expected {', '.join(REQUIRED)}")

    def read(self, rows: Iterable[Sequence[Any]], cumulative: bool) -> Samples:
        found: dict[datetime, dict[str, Counted]] = {}
        latest: datetime | None = None
        for number, cells in enumerate(rows, start=1):
            if number > MOST_ROWS:
                raise SampleError(f"{self.source}: more than {MOST_ROWS:,} rows; cut it to the time of the rollout")
            if len(cells) != len(self.header):
                raise self.fault(number, "", f"it has {len(cells)} cells, the header {len(self.header)}")
            row = dict(zip(self.header, cells, strict=True))
            time = self.time(number, row["time"])
            if latest is not None and time < latest:
                raise self.fault(number, "time", f"{row['time']} comes before the row above; sort the rows by time")
            latest = time
            variant = variant_name(str(row["variant"]).strip())
            if not variant:
                raise self.fault(number, "variant", "it is empty")
            at = found.setdefault(time, {})
            if variant in at:
                text = f"a second row of {variant} at {row['time']}, first in row {at[variant].row}"
                raise self.fault(number, "variant", f"{text}; two series of one variant cannot both be it")
            at[variant] = self.counted(number, row)
        times = list(found)
        if len(times) < 2:
            raise SampleError(f"{self.source}: {len(times)} time(s); expected two or more, an interval needs both ends")
        if cumulative:
            samples = self._differences(times, found)
            begins = times[0]
        else:
            first = (times[1] - times[0]).total_seconds()
            seconds = [first, *((b - a).total_seconds() for a, b in pairwise(times))]
            samples = [Sample(time, length, found[time]) for time, length in zip(times, seconds, strict=True)]
            begins = times[0] - timedelta(seconds=first)
        columns = frozenset(self.header) & frozenset(COUNTERS)
        limits = tuple(sorted(self.limits.values()))
        return Samples(self.source, columns, limits, tuple(self.summaries), begins, tuple(samples))

    def counted(self, number: int, row: Mapping[str, Any]) -> Counted:
        counts = {name: self.count(number, name, row[name]) for name in COUNTERS if name in row}
        over = {limit: self.count(number, name, row[name]) for name, limit in self.limits.items()}
        summaries = {name: self.summary(number, name, row[name]) for name in self.summaries if str(row[name]).strip()}
        counted = Counted(counts, over, number, summaries)
        self.check(counted)
        return counted

    def check(self, counted: Counted) -> None:
        """Whether the counts of one row can be true together."""
        counts, over, number = counted.counts, counted.over, counted.row
        requests, errors = counts["requests"], counts["errors"]
        if errors > requests:
            raise self.fault(number, "errors", f"{errors:,} errors among {requests:,} requests")
        if counts.get("unavailable", 0) > errors:
            raise self.fault(number, "unavailable", f"{counts['unavailable']:,} unavailable among {errors:,} errors")
        slower = requests + counts.get("shed", 0)
        for name, limit in sorted(self.limits.items(), key=lambda item: item[1]):
            if over[limit] > slower:
                raise self.fault(number, name, f"{over[limit]:,} requests slower than {limit:g} s among {slower:,}")
            slower = over[limit]

    def count(self, number: int, column: str, cell: Any) -> int:
        try:
            value = float(cell)
        except (TypeError, ValueError):
            raise self.fault(number, column, f"'{cell}' is no number; expected a count") from None
        if math.isnan(value) or math.isinf(value):
            raise self.fault(number, column, f"{cell} is no count; leave the whole row out where nothing was read")
        if value < 0:
            raise self.fault(number, column, f"{cell} is negative; expected a count")
        if value != int(value) or value >= 1 << 53:
            raise self.fault(number, column, f"{cell} is no whole number; rates are no evidence, counters only")
        return int(value)

    def summary(self, number: int, column: str, cell: Any) -> str:
        text = str(cell).replace("%", "").strip()
        try:
            float(text)
        except ValueError:
            raise self.fault(number, column, f"'{cell}' is no number") from None
        return text

    def time(self, number: int, cell: Any) -> datetime:
        if isinstance(cell, datetime):
            return cell if cell.tzinfo else cell.replace(tzinfo=UTC)
        text = str(cell).strip()
        try:
            try:
                return _EPOCH + timedelta(seconds=float(text))
            except ValueError:
                pass
            try:
                return _EPOCH + parse_duration(text).ToTimedelta()
            except ValueError:
                time = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise self.fault(
                number, "time", f"'{text}' is no time; write 2026-05-01T06:00:00Z, seconds, or a duration such as 15m"
            ) from None
        if time.tzinfo is None:
            raise self.fault(number, "time", f"'{text}' has no zone; write {text}Z for UTC")
        return time

    def _differences(self, times: Sequence[datetime], found: Mapping[datetime, Mapping[str, Counted]]) -> list[Sample]:
        """Per interval, each variant against the row before of its own."""
        previous: dict[str, Counted] = {}
        samples = []
        for index, time in enumerate(times):
            since: dict[str, Counted] = {}
            for variant, now in found[time].items():
                before = previous.get(variant)
                previous[variant] = now
                if before is not None:
                    since[variant] = self._difference(before, now)
            if index:
                samples.append(Sample(time, (time - times[index - 1]).total_seconds(), since))
        return samples

    def _difference(self, before: Counted, now: Counted) -> Counted:
        counts = {name: value - before.counts[name] for name, value in now.counts.items()}
        over = {limit: value - before.over[limit] for limit, value in now.over.items()}
        by_name = {**counts, **{name: over[limit] for name, limit in self.limits.items()}}
        for name, change in by_name.items():
            if change < 0:
                text = f"it fell by {-change:,} since row {before.row}; counters of one process never fall"
                raise self.fault(now.row, name, f"{text}: cut the table at the restart, or leave --cumulative out")
        since = Counted(counts, over, now.row, now.summaries)
        self.check(since)
        return since

    def fault(self, row: int, column: str, message: str) -> SampleError:
        place = f"{self.source}: row {row}"
        return SampleError(f"{place}, column '{column}': {message}" if column else f"{place}: {message}")
