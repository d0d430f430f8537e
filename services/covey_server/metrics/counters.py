"""What happened to per-learner requests, counted under one lock so that no reader ever sees half of a request."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import add

from covey.rollout.codes import classify

METHODS = ("AnalyzeLearner", "AnalyzeLearners")
"""Methods that gates judge; each learner of a stream message is a request."""

NO_VARIANT = "none"
"""Label of requests that ended before their learner was read, so that nobody knows who would have answered."""

SHARD_COUNT = 100
"""Groups of learners by a second hash: what differs between them shows how much learners differ."""

ROLLOUTS_SHOWN = 16
"""The last ones whose shadow answers are shown: a page must not grow with every rollout."""

_GROWTH = 1.05
_SHORTEST_SECONDS = 0.001
_LONGEST_SECONDS = 60.0


def _grid() -> tuple[float, ...]:
    """Upper edges of the duration histogram: 1 ms, each next one 5 % longer, and 60 s; six digits, as on the page."""
    edges = []
    step = 0
    while (edge := float(f"{_SHORTEST_SECONDS * _GROWTH**step:.6g}")) < _LONGEST_SECONDS:
        edges.append(edge)
        step += 1
    return (*edges, _LONGEST_SECONDS)


DURATION_EDGES_SECONDS = _grid()


@dataclass(slots=True)
class Series:
    """Counters of one method and variant.

    Attributes:
        codes: requests by canonical code name.
        durations: requests by histogram interval, the last one beyond the last edge; shed requests are not among them.
        duration_sum_seconds: sum of those durations.
        over_limits: requests slower than a limit, by limit in seconds; shed requests are not among them, timeouts are.
    """

    codes: dict[str, int] = field(default_factory=lambda: {"OK": 0})
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATION_EDGES_SECONDS) + 1))
    duration_sum_seconds: float = 0.0
    over_limits: dict[float, int] = field(default_factory=dict)

    def copy(self) -> Series:
        """A copy that later requests do not change."""
        return Series(dict(self.codes), list(self.durations), self.duration_sum_seconds, dict(self.over_limits))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters at one instant.

    Attributes:
        requests: by (method, variant).
        shards: requests by (variant, result), one number per learner shard.
        shadows: compared answers by (rollout, result).
    """

    requests: dict[tuple[str, str], Series]
    shards: dict[tuple[str, str], list[int]]
    shadows: dict[tuple[str, str], int]


class RequestBook:
    """The counters of this server since its start. Every method is safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str], Series] = {}
        self._shards: dict[tuple[str, str], list[int]] = {}
        self._shadows: dict[tuple[str, str], int] = {}

    def count(
        self, method: str, variant: str, code: str, seconds: float, *, shard: int = -1, limits: Iterable[float] = ()
    ) -> None:
        """One request with its final code.

        Args:
            method: one of `METHODS`.
            variant: full name of the variant that the learner is routed to, or `NO_VARIANT`.
            code: canonical code name, such as "OK".
            seconds: from submission to the answer.
            shard: of the learner; -1 where the learner is unknown.
            limits: latency limits that the rollout in force counts, in seconds.
        """
        result = classify(code)
        with self._lock:
            self._add(self._series(method, variant), code, result, seconds, 1, limits)
            if shard >= 0:
                self._shard_counts(variant, result)[shard] += 1

    def count_many(
        self, method: str, variant: str, code: str, seconds: float, shards: Sequence[int], *, limits: Iterable[float]
    ) -> None:
        """Requests that ended alike, `seconds` each; `shards` says how many there are of each learner shard."""
        result = classify(code)
        with self._lock:
            self._add(self._series(method, variant), code, result, seconds, sum(shards), limits)
            counts = self._shard_counts(variant, result)
            counts[:] = map(add, counts, shards)

    def count_shadow(self, rollout: str, result: str) -> None:
        """One answer computed again by the other variant: "equal", "different", "failed"; "dropped" unlooked at."""
        with self._lock:
            self._shadows[rollout, result] = self._shadows.get((rollout, result), 0) + 1

    def expect(self, variants: Iterable[str], limits: Iterable[float], rollout: str = "") -> None:
        """Show zeros from now on for what a rollout will count, so that nothing counted is told from not counting."""
        limits = tuple(limits)
        with self._lock:
            for variant in variants:
                for method in METHODS:
                    series = self._series(method, variant)
                    for limit in limits:
                        series.over_limits.setdefault(limit, 0)
            if rollout:
                for result in ("equal", "different", "failed", "dropped"):
                    self._shadows.setdefault((rollout, result), 0)
                last = set(list(dict.fromkeys(name for name, _ in self._shadows))[-ROLLOUTS_SHOWN:]) | {rollout}
                self._shadows = {key: count for key, count in self._shadows.items() if key[0] in last}

    def snapshot(self) -> Snapshot:
        """A copy of all counters, taken at once."""
        with self._lock:
            return Snapshot(
                requests={key: series.copy() for key, series in self._requests.items()},
                shards={key: list(counts) for key, counts in self._shards.items()},
                shadows=dict(self._shadows),
            )

    def _add(
        self, series: Series, code: str, result: str, seconds: float, request_count: int, limits: Iterable[float]
    ) -> None:
        series.codes[code] = series.codes.get(code, 0) + request_count
        if result == "shed":
            return
        series.durations[bisect_left(DURATION_EDGES_SECONDS, seconds)] += request_count
        series.duration_sum_seconds += seconds * request_count
        for limit in limits:
            slower = seconds > limit or code == "DEADLINE_EXCEEDED"
            series.over_limits[limit] = series.over_limits.get(limit, 0) + slower * request_count

    def _shard_counts(self, variant: str, result: str) -> list[int]:
        counts = self._shards.get((variant, result))
        if counts is None:
            counts = self._shards[variant, result] = [0] * SHARD_COUNT
        return counts

    def _series(self, method: str, variant: str) -> Series:
        series = self._requests.get((method, variant))
        if series is None:
            series = self._requests[method, variant] = Series()
        return series
