"""How one criterion stood over the time of a phase, in bounded memory. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from covey.rollout.statement import Kind, parse_statement
from covey.stats import bernoulli_interval
from covey.v1.evidence_pb2 import Verdict

SAMPLES = 120
"""A track has at least so many samples of a long phase, and never twice as many."""


class Sample(NamedTuple):
    """A criterion at one look.

    Attributes:
        seconds: since the phase began, by commit time.
        estimate: in the statement's unit; nan without data.
        lower: end of the interval that holds at every look; nan where the test has none.
        upper: its other end.
        log_e: ln E of what the statement needs.
        log_threshold: what ln E must reach; 0 where the test has no e-value.
    """

    seconds: float
    estimate: float
    lower: float
    upper: float
    log_e: float
    log_threshold: float


class _Counted(NamedTuple):
    sample: Sample
    events: float
    trials: float
    alpha: float


class TrackMaker:
    """Collects the samples of one criterion; intervals are computed when they are asked for, many at once.

    Args:
        statement: of the criterion.
    """

    def __init__(self, statement: str) -> None:
        parsed = parse_statement(statement)
        self._is_share_of_good = parsed.kind is Kind.AVAILABILITY
        self._has_interval = parsed.counts_events
        self._points: list[_Counted] = []
        self._known = 0

    def add(self, seconds: float, verdict: Verdict) -> None:
        """One look."""
        has_ends = verdict.HasField("lower") and verdict.HasField("upper")
        sample = Sample(
            seconds=seconds,
            estimate=verdict.estimate if verdict.HasField("estimate") else math.nan,
            lower=verdict.lower if has_ends else math.nan,
            upper=verdict.upper if has_ends else math.nan,
            log_e=verdict.log_e_value,
            log_threshold=verdict.log_threshold,
        )
        effect = max(verdict.design_effect, 1.0)
        self._points.append(_Counted(sample, verdict.event_count / effect, verdict.trial_count / effect, verdict.alpha))

    def thin(self) -> None:
        """Keep every second sample, the last one among them."""
        self._know()
        self._points = self._points[len(self._points) % 2 == 0 :: 2]
        self._known = len(self._points)

    def samples(self) -> tuple[Sample, ...]:
        """All of them, with their intervals."""
        self._know()
        return tuple(point.sample for point in self._points)

    def _know(self) -> None:
        """Intervals of the samples that have none yet, as the verdicts of `judge` have them."""
        fresh = self._points[self._known :]
        if self._has_interval:
            asked = [at for at, point in enumerate(fresh, self._known) if point.trials and point.alpha > 0]
            for alpha in {self._points[at].alpha for at in asked}:
                self._add_intervals([at for at in asked if self._points[at].alpha == alpha], alpha)
        self._known = len(self._points)

    def _add_intervals(self, positions: Sequence[int], alpha: float) -> None:
        trials = [self._points[at].trials for at in positions]
        # Shed requests may be slow too, and are no trials.
        events = [min(self._points[at].events, self._points[at].trials) for at in positions]
        lower, upper = bernoulli_interval(events, trials, alpha)
        for at, low, high in zip(positions, lower, upper, strict=True):
            ends = (1 - float(high), 1 - float(low)) if self._is_share_of_good else (float(low), float(high))
            point = self._points[at]
            self._points[at] = point._replace(sample=point.sample._replace(lower=ends[0], upper=ends[1]))
