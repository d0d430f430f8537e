"""A metrics page as numbers: strictly parsed, so that nothing doubtful is taken for a counter."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from covey.v1 import evidence_pb2 as pb
from covey_controller.bulk import bulk_sample
from covey_controller.scrape import AbsenceError, scrape_failed

REQUESTS = "covey_requests_total"
OVER_LIMIT = "covey_requests_over_limit_total"
SHADOW = "covey_shadow_total"
WEIGHT = "covey_rollout_weight_ratio"
START_TIME = "covey_server_start_time_seconds"
LEARNERS = "covey_learners"
OUTCOME_COUNT = "covey_outcome_count"
OUTCOME_SUM = "covey_outcome_sum"
OUTCOME_SUM_OF_SQUARES = "covey_outcome_sumsq"
OUTCOME_CENTER = "covey_outcome_center"
OUTCOME_NONZERO = "covey_outcome_nonzero"
OUTCOME_CROSS = "covey_outcome_cross"
COVARIATE_SUM = "covey_outcome_covariate_sum"
COVARIATE_SUM_OF_SQUARES = "covey_outcome_covariate_sumsq"
COVARIATE_CENTER = "covey_outcome_covariate_center"
SHARDS = "covey_shard_requests_total"
DURATION_BUCKETS = "covey_request_duration_seconds_bucket"

_WANTED = frozenset(
    {REQUESTS, OVER_LIMIT, SHADOW, WEIGHT, START_TIME, LEARNERS, OUTCOME_COUNT, OUTCOME_SUM, OUTCOME_SUM_OF_SQUARES}
    | {OUTCOME_CENTER, OUTCOME_NONZERO, OUTCOME_CROSS, COVARIATE_SUM, COVARIATE_SUM_OF_SQUARES, COVARIATE_CENTER}
)
# Hundreds of lines each, of which most are not asked for: kept as text until somebody asks.
_BULK = frozenset({SHARDS, DURATION_BUCKETS})
_LINE = re.compile(r"(?:#.*|\s*|([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})?[ \t]+\S+(?:[ \t]+-?\d+)?[ \t]*)")
_LARGEST_EXACT = 2**53

Labels = Mapping[str, str]
_Sample = tuple[dict[str, str], float, float | None]
Matches = Callable[[Labels], bool]


class Page:
    """The series of one page that gates read, each looked up by its labels."""

    def __init__(
        self,
        text: str,
        *,
        lines: int,
        oldest_timestamp: float,
        wanted: frozenset[str] = _WANTED,
        bulk: frozenset[str] = _BULK,
    ) -> None:
        """Parses the text.

        Args:
            text: a page in Prometheus text format.
            lines: how many series that gates read it may have.
            oldest_timestamp: Unix seconds; a sample that carries an earlier time is stale.
            wanted: names of the series that gates read.
            bulk: names of those of which there are many.

        Raises:
            AbsenceError: NO_SAMPLES for a page without any sample; SCRAPE_FAILED for text that is no such page, or
                is torn.
        """
        self._oldest_timestamp = oldest_timestamp
        self.families: set[str] = set()
        self._series: dict[str, list[_Sample]] = {}
        self._bulk: dict[str, list[str]] = {}
        read = self._wanted(text, lines, wanted, bulk)
        try:
            for family in text_string_to_metric_families(read):
                for sample in family.samples:
                    stamp = None if sample.timestamp is None else float(sample.timestamp)
                    self._series.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value), stamp))
        except Exception as error:  # the library's parser raises whatever its steps raise; all of it means a bad page
            raise scrape_failed(f"the page cannot be parsed: {type(error).__name__}: {error}") from error

    @classmethod
    def of_samples(cls, samples: Iterable[tuple[str, Labels, float, float]], *, oldest_timestamp: float) -> Page:
        """A page that was read elsewhere: name, labels, value and Unix time of every sample."""
        page = cls("covey_nothing 0\n", lines=0, oldest_timestamp=oldest_timestamp)
        for name, labels, value, stamp in samples:
            page.families.add(name)
            page._series.setdefault(name, []).append((dict(labels), value, stamp))
        return page

    def _wanted(self, text: str, limit: int, names: frozenset[str], bulk: frozenset[str]) -> str:
        wanted: list[str] = []
        samples = 0
        if text.strip() and not text.endswith("\n"):
            raise scrape_failed(f"the page ends in the middle of a line: {text[-60:]!r}")
        for number, line in enumerate(text.splitlines(), start=1):
            match = _LINE.fullmatch(line)
            if match is None:
                raise scrape_failed(f"line {number} is no metric: {line[:120]!r}")
            name = match[1]
            if name is None:
                words = line.split(maxsplit=3)
                if len(words) > 2 and words[1] == "TYPE" and words[2] in names | bulk:
                    self.families.add(words[2])
                continue
            samples += 1
            if name in names:
                self.families.add(name)
                wanted.append(line)
            elif name in bulk:
                self.families.add(name)
                self._bulk.setdefault(name, []).append(line)
        if not samples:
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SAMPLES, "", "the page has no sample")
        read = len(wanted) + sum(map(len, self._bulk.values()))
        if read > limit:
            raise scrape_failed(f"{read} series where at most {limit} are read")
        return "".join(f"{line}\n" for line in wanted)

    def select(self, name: str, matches: Matches) -> list[tuple[Labels, float]]:
        """The samples of a metric whose labels match.

        Raises:
            AbsenceError: DUPLICATE_SERIES when two of them have the same labels, NAN when a value is not a finite
                number, STALE when one is too old.
        """
        selected: list[tuple[Labels, float]] = []
        seen: set[frozenset[tuple[str, str]]] = set()
        if name in self._bulk:
            self._series[name] = [bulk_sample(line) for line in self._bulk.pop(name)]
        for labels, value, stamp in self._series.get(name, ()):
            if not matches(labels):
                continue
            key = frozenset(labels.items())
            if key in seen:
                raise AbsenceError(pb.ABSENCE_TYPE_DUPLICATE_SERIES, name, f"two series {dict(labels)}")
            seen.add(key)
            if not math.isfinite(value):
                raise AbsenceError(pb.ABSENCE_TYPE_NAN, name, f"{value} at {dict(labels)}")
            if stamp is not None and stamp < self._oldest_timestamp:
                raise AbsenceError(
                    pb.ABSENCE_TYPE_STALE, name, f"sample of {self._oldest_timestamp - stamp:.0f} s before the limit"
                )
            selected.append((labels, value))
        return selected

    def counters(self, name: str, matches: Matches) -> list[tuple[Labels, int]]:
        """As `select`, for counters of things: whole numbers >= 0.

        Raises:
            AbsenceError: as `select`; NO_SERIES when the page does not know the metric at all.
        """
        if name not in self.families:
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, name, "the page does not have this metric")
        return [(labels, whole(name, labels, value)) for labels, value in self.select(name, matches)]

    def single(self, name: str, matches: Matches) -> float:
        """The one value of a metric.

        Raises:
            AbsenceError: as `select`; NO_SERIES when there is none, DUPLICATE_SERIES when there are several.
        """
        values = self.select(name, matches)
        if not values:
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, name, "no such series on the page")
        if len(values) > 1:
            raise AbsenceError(pb.ABSENCE_TYPE_DUPLICATE_SERIES, name, f"{len(values)} series where one is expected")
        return values[0][1]


def whole(name: str, labels: Labels, value: float) -> int:
    """A count as an integer.

    Raises:
        AbsenceError: NAN when it is negative, broken or beyond what a float counts exactly.
    """
    if value < 0 or value != math.floor(value) or value > _LARGEST_EXACT:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, name, f"{value} is no count, at {dict(labels)}")
    return int(value)
