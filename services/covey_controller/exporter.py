"""The controller's own metrics page: whoever watches the watchman reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from covey.access.certificates import Certificates
from covey.access.pages import Page, PageServer
from covey.access.recognition import PageAccess
from covey.v1 import evidence_pb2 as pb
from covey_controller.verdict_page import VerdictPage

MetricT = TypeVar("MetricT", Counter, Gauge)


class Exporter:
    """Probes, ticks and absences of this process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._probes = Counter(
            "covey_controller_probe_total",
            "Probes by replica, variant and result (answered, unanswered).",
            ["replica", "variant", "result"],
            registry=self.registry,
        )
        self._last_tick = Gauge(
            "covey_controller_last_tick_timestamp_seconds",
            "Unix time of the last committed tick.",
            ["rollout"],
            registry=self.registry,
        )
        self._looks = Counter(
            "covey_controller_looks_total",
            "Looks at a rollout by what became of them (committed, moved, unreachable, refused, failed).",
            ["rollout", "result"],
            registry=self.registry,
        )
        self._absences = Counter(
            "covey_controller_absences_total",
            "Evidence that was not there, by replica and type.",
            ["replica", "type"],
            registry=self.registry,
        )
        self._epoch = Gauge(
            "covey_controller_lease_epoch", "Epoch of the lease held; 0 while standing by.", registry=self.registry
        )
        self._misrouted = Counter(
            "covey_controller_router_mismatches_total",
            "Times that a router did not show the journal's weight, or nothing, when it was read back.",
            ["rollout", "router"],
            registry=self.registry,
        )
        self._notifications = Counter(
            "covey_controller_notifications_total",
            "Attempts to tell a sink by what became of them (told, failed, given_up).",
            ["sink", "result"],
            registry=self.registry,
        )
        self._untold = Gauge(
            "covey_controller_notification_oldest_timestamp_seconds",
            "Unix time of the oldest transition that the sink has not been told; 0: it knows all, or another tells it.",
            ["sink"],
            registry=self.registry,
        )
        self._not_after = Gauge(
            "covey_certificate_not_after_timestamp_seconds",
            "Unix time at which the certificate, or one of its chain, ends.",
            ["use"],
            registry=self.registry,
        )
        # What is shown of each rollout, so that it can be shown no longer: a page must not grow with every rollout.
        self._shown: defaultdict[str, set[tuple[Counter | Gauge, tuple[str, ...]]]] = defaultdict(set)
        self._verdicts = VerdictPage()
        self.registry.register(self._verdicts)

    def probe(self, replica: str, variant: str, answered: bool) -> None:
        """Counts one probe."""
        self._probes.labels(replica, variant, "answered" if answered else "unanswered").inc()

    def routed(self, rollout: str, weight_bp: int, routers: Sequence[tuple[str, object]]) -> None:
        """Counts routers that do not show the weight."""
        for router, reading in routers:
            if not isinstance(reading, pb.ReplicaReading) or reading.candidate_weight_bp != weight_bp:
                self._of(rollout, self._misrouted, router).inc()

    def notified(self, sink: str, result: str) -> None:
        """Counts one attempt to tell a sink."""
        self._notifications.labels(sink, result).inc()

    def untold(self, sink: str, oldest_unix_seconds: float) -> None:
        """Notes since when a sink waits for a transition; 0: it does not."""
        self._untold.labels(sink).set(oldest_unix_seconds)

    def look(self, rollout: str, result: str) -> None:
        """Counts one look at a rollout."""
        self._of(rollout, self._looks, result).inc()

    def committed(self, rollout: str, unix_seconds: float) -> None:
        """Notes the time of a committed tick."""
        self.look(rollout, "committed")
        self._of(rollout, self._last_tick).set(unix_seconds)

    def judged(self, rollout: str, phase: str, verdicts: Sequence[pb.Verdict]) -> None:
        """Shows what the gates say now."""
        self._verdicts.show(rollout, phase, verdicts)

    def ended(self, rollout: str) -> None:
        """Shows a rollout's verdicts no longer, nor when it was looked at."""
        self._verdicts.forget(rollout)
        with suppress(KeyError):
            self._last_tick.remove(rollout)
        """Shows nothing of a rollout any longer."""
        self._verdicts.forget(rollout)
        for metric, labels in self._shown.pop(rollout, ()):
            metric.remove(rollout, *labels)

    def _of(self, rollout: str, metric: MetricT, *labels: str) -> MetricT:
        self._shown[rollout].add((metric, labels))
        return metric.labels(rollout, *labels)

    def absence(self, absence: pb.Absence) -> None:
        """Counts evidence that was not there."""
        kind = pb.AbsenceType.Name(absence.type).removeprefix("ABSENCE_TYPE_")
        self._absences.labels(absence.replica, kind).inc()

    def lease(self, epoch: int | None) -> None:
        """Shows whether this process drives."""
        self._epoch.set(epoch or 0)

    def certificates(self, not_after: Mapping[str, Callable[[], datetime]]) -> None:
        """Shows when certificates end, by what they are for."""
        for use, moment in not_after.items():
            self._not_after.labels(use).set_function(partial(_unix_seconds, moment))

    def serve(
        self, host: str, port: int, may_read: PageAccess | None = None, certificates: Certificates | None = None
    ) -> PageServer:
        """Opens the page.

        Raises:
            OSError: when the port cannot be had.
        """

        def page() -> Page:
            return Page(generate_latest(self.registry), CONTENT_TYPE_LATEST)

        return PageServer(host, port, {"/metrics": page}, certificates=certificates, may_read=may_read)


def _unix_seconds(moment: Callable[[], datetime]) -> float:
    return moment().timestamp()
