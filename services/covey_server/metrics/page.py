"""The metrics page, as DESIGN section 8 names it.

One collector copies all counters at once, so a scrape is never torn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from covey import __version__
from covey_server.metrics.counters import DURATION_EDGES_SECONDS, RequestBook, Snapshot

if TYPE_CHECKING:
    from covey.v1 import evidence_pb2
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.facts import ServerFacts
    from covey_server.metrics.upkeep import Upkeep
    from covey_server.outcomes.exposures import ExposureLedger
    from covey_server.outcomes.outcomes import OutcomeBook
    from covey_server.split import Split, SplitBoard

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_EDGE_LABELS = tuple(f"{edge:.6g}" for edge in DURATION_EDGES_SECONDS)
_log = logging.getLogger("covey_server.metrics")


class MetricsPage(Collector):
    """Everything that gates read about this replica.

    Args:
        book: requests and shadows.
        board: the split in force.
        catalogue: names the stable variant.
        ledger: distinct learners of the phase.
        outcomes: moments of the outcomes of the rollout.
        facts: of this server.
        upkeep: what operators are called for.
        clock: the time, aware.
    """

    def __init__(
        self,
        *,
        book: RequestBook,
        board: SplitBoard,
        catalogue: Catalogue,
        ledger: ExposureLedger,
        outcomes: OutcomeBook,
        facts: ServerFacts,
        upkeep: Upkeep,
        clock: Callable[[], datetime],
    ) -> None:
        self._book = book
        self._board = board
        self._catalogue = catalogue
        self._ledger = ledger
        self._outcomes = outcomes
        self._facts = facts
        self._upkeep = upkeep
        self._clock = clock
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The page in the Prometheus text format 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not know the names beforehand."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of the page."""
        # The weight before the counters: what a new weight routed is never missing from the page that first shows it.
        split = self._board.current(self._clock())
        if split is None:
            self._book.expect([self._catalogue.stable()], ())
        else:
            self._book.expect([split.baseline, split.candidate], split.limits_seconds, split.rollout)
        counters = self._book.snapshot()
        yield from _requests(counters)
        yield _shards(counters)
        shadow = CounterMetricFamily(
            "covey_shadow", "Answers computed again by the other variant.", labels=["rollout", "result"]
        )
        for (rollout, result), count in sorted(counters.shadows.items()):
            shadow.add_metric([rollout, result], count)
        yield shadow
        weight = GaugeMetricFamily(
            "covey_rollout_weight_ratio", "Share of learners the candidate serves, 0 to 1.", labels=["rollout"]
        )
        if split is not None:
            weight.add_metric([split.rollout], split.candidate_weight_bp / 10_000)
            yield from self._people(split)
        yield weight
        build = GaugeMetricFamily("covey_build_info", "What runs here; always 1.", labels=["version", "isa"])
        build.add_metric([__version__, self._facts.active_isa], 1)
        yield build
        start = GaugeMetricFamily("covey_server_start_time_seconds", "Start of this process since 1970; marks resets.")
        start.add_metric([], self._facts.start_time.timestamp())
        yield start
        yield from self._upkeep.families()

    def _people(self, split: Split) -> Iterator[Metric]:
        """Gauges from the store; where it cannot be read they are left out, which readers take as NO_SERIES."""
        try:
            counts = dict.fromkeys(((split.baseline, ""), (split.candidate, "")), 0)
            counts |= self._ledger.counts(split.rollout, split.phase)
            moments = self._outcomes.moments(split)
        except Exception:
            _log.exception("exposures and outcomes cannot be read; the page leaves them out")
            return
        learners = GaugeMetricFamily(
            "covey_learners", "Distinct learners first exposed in this phase.", labels=["variant", "segment"]
        )
        for (variant, segment), count in sorted(counts.items()):
            learners.add_metric([variant, segment], count)
        yield learners
        yield from _outcomes(moments)


def _requests(counters: Snapshot) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "covey_requests",
        "Per-learner requests by the code their caller got; each learner of a stream message is one.",
        labels=["method", "variant", "code"],
    )
    durations = HistogramMetricFamily(
        "covey_request_duration_seconds",
        "From submission, so with the time in the queue, to the answer; shed requests are left out.",
        labels=["method", "variant"],
    )
    over_limits = CounterMetricFamily(
        "covey_requests_over_limit",
        "Requests slower than a limit of the rollout in force; timeouts are, shed requests are left out.",
        labels=["method", "variant", "limit_seconds"],
    )
    for (method, variant), series in sorted(counters.requests.items()):
        for code, count in sorted(series.codes.items()):
            requests.add_metric([method, variant, code], count)
        cumulative = 0
        buckets: list[tuple[str, float]] = []
        for label, count in zip((*_EDGE_LABELS, "+Inf"), series.durations, strict=True):
            cumulative += count
            buckets.append((label, cumulative))
        durations.add_metric([method, variant], buckets, sum_value=series.duration_sum_seconds)
        for limit, count in sorted(series.over_limits.items()):
            over_limits.add_metric([method, variant, f"{limit:.10g}"], count)
    yield requests
    yield durations
    yield over_limits


def _shards(counters: Snapshot) -> Metric:
    shards = CounterMetricFamily(
        "covey_shard_requests",
        "Per-learner requests by a second hash of the learner, for the spread between learners.",
        labels=["variant", "shard", "result"],
    )
    for (variant, result), counts in sorted(counters.shards.items()):
        for shard, count in enumerate(counts):
            if count:
                shards.add_metric([variant, str(shard), result], count)
    return shards


_COVARIATE_FAMILIES = (
    ("covey_outcome_cross", "Sum of the products of outcome and covariate, each less its centre.", "cross_sum"),
    ("covey_outcome_covariate_sum", "Sum of the same learners' covariate, less its centre.", "covariate_sum"),
    ("covey_outcome_covariate_sumsq", "Sum of its squares, less its centre.", "covariate_sum_of_squares"),
    ("covey_outcome_covariate_center", "The covariate's centre.", "covariate_center"),
)


def _outcomes(moments: Iterable[evidence_pb2.OutcomeMoments]) -> Iterator[Metric]:
    labels = ["metric", "variant", "segment"]
    families = (
        ("covey_outcome_count", "Learners whose outcome window has closed.", "learner_count"),
        ("covey_outcome_sum", "Sum of their outcomes, each less the centre.", "sum"),
        ("covey_outcome_sumsq", "Sum of the squares of their outcomes less the centre.", "sum_of_squares"),
        ("covey_outcome_center", "The centre: midpoint of the cap.", "center"),
        ("covey_outcome_nonzero", "Learners with an outcome other than 0.", "nonzero_count"),
    )
    moments = list(moments)
    for name, help_text, attribute in families:
        family = GaugeMetricFamily(name, help_text, labels=labels)
        for moment in moments:
            family.add_metric([moment.metric, moment.variant, moment.segment], getattr(moment, attribute))
        yield family
    labels = [*labels, "covariate"]
    adjusted = [moment for moment in moments if moment.covariate]
    for name, help_text, attribute in _COVARIATE_FAMILIES if adjusted else ():
        family = GaugeMetricFamily(name, help_text, labels=labels)
        for moment in adjusted:
            place = [moment.metric, moment.variant, moment.segment, moment.covariate]
            family.add_metric(place, getattr(moment, attribute))
        yield family
