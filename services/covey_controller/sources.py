"""Where a rollout's evidence is read: covey's own pages, pages of foreign processes, or a Prometheus server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from urllib.parse import urlsplit

from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.config import Replica, ScrapeLimits
from covey_controller.evidence import Gathered, Subject, gather
from covey_controller.foreign import ForeignSubject, Process, gather_foreign
from covey_controller.page import Page
from covey_controller.prometheus import ask
from covey_controller.scrape import AbsenceError
from covey_controller.scraper import Scraper
from covey_controller.traffic.actuator import RouterReading


class Source(Protocol):
    """Evidence of one rollout."""

    def look(
        self, previous: Mapping[str, pb.ReplicaReading], routers: Sequence[RouterReading], oldest_timestamp: float
    ) -> Gathered:
        """Everything that can be read now.

        Args:
            previous: the last believed reading of each replica, from the journal.
            routers: weights as read back a moment ago.
            oldest_timestamp: Unix seconds; samples that carry an earlier time are stale.
        """
        ...

    def close(self) -> None:
        """Ends what runs in the background."""
        ...


class OwnPages:
    """The pages of covey's own replicas, which split and count for themselves."""

    def __init__(self, scraper: Scraper, rollout: str, spec: RolloutSpec) -> None:
        self._scraper = scraper
        self._subject = Subject.of(rollout, spec)

    def look(
        self,
        previous: Mapping[str, pb.ReplicaReading],
        routers: Sequence[RouterReading],
        oldest_timestamp: float,
    ) -> Gathered:
        """See `Source.look`; there are no routers."""
        return gather(self._scraper.look(oldest_timestamp), self._subject, previous)

    def close(self) -> None:
        """The scraper belongs to the loop."""


class ForeignPages:
    """The pages of a foreign service's processes."""

    def __init__(self, spec: RolloutSpec, limits: ScrapeLimits) -> None:
        self._subject = ForeignSubject.of(spec)
        pages = spec.metrics.scrape
        self._variants = {
            f"{role} {urlsplit(url).netloc}{_path(url)}": (variant, url)
            for role, variant, urls in (
                ("baseline", spec.baseline, pages.baseline_urls),
                ("candidate", spec.candidate, pages.candidate_urls),
            )
            for url in urls
        }
        replicas = [Replica(name, "", url) for name, (_, url) in self._variants.items()]
        self._scraper = Scraper(replicas, limits, self._subject.series)

    def look(
        self, previous: Mapping[str, pb.ReplicaReading], routers: Sequence[RouterReading], oldest_timestamp: float
    ) -> Gathered:
        """See `Source.look`."""
        pages = self._scraper.look(oldest_timestamp)
        processes = [Process(name, self._variants[name][0], page) for name, page in pages]
        return gather_foreign(processes, routers, self._subject, previous)

    def close(self) -> None:
        """Ends the scraper's threads."""
        self._scraper.close()


class PrometheusPages:
    """The processes that a Prometheus server knows."""

    def __init__(self, spec: RolloutSpec, limits: ScrapeLimits) -> None:
        self._subject = ForeignSubject.of(spec)
        self._limits = limits
        self._address = spec.metrics.prometheus.url
        self._questions = (
            ("baseline", spec.baseline, spec.metrics.prometheus.baseline_selector),
            ("candidate", spec.candidate, spec.metrics.prometheus.candidate_selector),
        )
        self._pool = ThreadPoolExecutor(max_workers=len(self._questions), thread_name_prefix="covey-prometheus")

    def look(
        self, previous: Mapping[str, pb.ReplicaReading], routers: Sequence[RouterReading], oldest_timestamp: float
    ) -> Gathered:
        """See `Source.look`. An answer has a deadline of its own, so that none is waited for in vain."""
        asked = [
            (role, variant, self._pool.submit(self._ask, selector, oldest_timestamp))
            for role, variant, selector in self._questions
        ]
        processes: list[Process] = []
        for role, variant, future in asked:
            try:
                processes += [Process(f"{role} {name}", variant, page) for name, page in future.result()]
            except AbsenceError as absence:
                processes.append(Process(role, variant, absence))
        return gather_foreign(processes, routers, self._subject, previous)

    def _ask(self, selector: str, oldest_timestamp: float) -> list[tuple[str, Page]]:
        return ask(
            self._address, selector, self._subject.series, limits=self._limits, oldest_timestamp=oldest_timestamp
        )

    def close(self) -> None:
        """Ends the threads; an answer under way ends with its deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def source_of(spec: RolloutSpec, limits: ScrapeLimits) -> Source:
    """The source that a foreign service's spec names; `spec` with defaults, `limits` of every page."""
    return PrometheusPages(spec, limits) if spec.metrics.HasField("prometheus") else ForeignPages(spec, limits)


def _path(url: str) -> str:
    """What tells two pages of one port apart; nothing for the usual one."""
    path = urlsplit(url).path
    return "" if path in {"", "/metrics"} else path
