"""What operators are called for: a store that cannot be written, read or followed, space, certificates, ticks.

Nothing here reads the store or the disk: the page is served while they hang. Ages are by a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from covey.access.certificates import Certificates
    from covey.rollout.state import RolloutState
    from covey_server.rollouts.store_watch import StoreWatch
    from covey_server.store import Store
    from covey_server.store.ballast import Ballast
    from covey_server.store.following import Follower


class Upkeep:
    """The families of the metrics page that no gate reads.

    Args:
        stores: by what they hold: "journal", and "datasets" where that is another one.
        ballast: of the data directory.
        watch: reads the journal's store.
        followers: of a store that other servers write to; none where there are no others.
        active: the rollouts that are not finished.
        has_started: whether a rollout takes its target.
        certificates: the server's own; None: plaintext.
    """

    def __init__(
        self,
        *,
        stores: Mapping[str, Store],
        ballast: Ballast,
        watch: StoreWatch,
        followers: Iterable[Follower],
        active: Callable[[], Iterable[RolloutState]],
        has_started: Callable[[RolloutState], bool],
        certificates: Certificates | None,
    ) -> None:
        self._stores = dict(stores)
        self._ballast = ballast
        self._watch = watch
        self._followers = tuple(followers)
        self._active = active
        self._has_started = has_started
        self._certificates = certificates

    def families(self) -> Iterator[Metric]:
        """As they stand."""
        yield from self._store_families()
        yield from rollout_families([state for state in self._active() if self._has_started(state)])
        if self._certificates is not None:
            yield certificate_family({"server": self._certificates.not_after()})

    def _store_families(self) -> Iterator[Metric]:
        unwritable = GaugeMetricFamily(
            "covey_store_unwritable_seconds",
            "How long writes have failed or hung; 0 after one that was synced.",
            labels=["store"],
        )
        for name, store in self._stores.items():
            unwritable.add_metric([name], store.unwritable_seconds)
        yield unwritable
        yield _single(
            "covey_store_unread_seconds", "Time since the journal's store was read.", self._watch.unread_seconds
        )
        unfollowed = GaugeMetricFamily(
            "covey_store_unfollowed_seconds",
            "Time since what other servers wrote was taken over; no series where the store is not shared.",
            labels=["subject"],
        )
        for follower in self._followers:
            unfollowed.add_metric([follower.subject], follower.unfollowed_seconds)
        yield unfollowed
        kept, wanted = self._ballast.kept_bytes, self._ballast.wanted_bytes
        yield _single("covey_store_ballast_bytes", "Space set aside for rollbacks on a full disk.", kept)
        yield _single("covey_store_ballast_wanted_bytes", "Space that is to be set aside.", wanted)


def rollout_families(started: Iterable[RolloutState]) -> Iterator[Metric]:
    """Who is compared, and when a controller looked last, by the journal: they outlive the controller."""
    info = GaugeMetricFamily(
        "covey_rollout_info",
        "A rollout that has started and not ended; always 1.",
        labels=["rollout", "phase", "baseline", "candidate"],
    )
    tick = GaugeMetricFamily(
        "covey_rollout_last_tick_timestamp_seconds",
        "Unix time of the last tick in the journal; of the start where there was none.",
        labels=["rollout"],
    )
    interval = GaugeMetricFamily(
        "covey_rollout_tick_interval_seconds", "Time between two ticks in this phase.", labels=["rollout"]
    )
    for state in started:
        info.add_metric([state.name, state.phase, state.spec.baseline, state.spec.candidate], 1)
        looked_at = state.last_tick_at or state.started_at
        if looked_at is not None:
            tick.add_metric([state.name], looked_at.timestamp())
        interval.add_metric([state.name], state.tick_interval_seconds)
    yield from (info, tick, interval)


def certificate_family(not_after: Mapping[str, datetime]) -> Metric:
    """When certificates end, by what they are for."""
    family = GaugeMetricFamily(
        "covey_certificate_not_after_timestamp_seconds",
        "Unix time at which the certificate, or one of its chain, ends.",
        labels=["use"],
    )
    for use, moment in not_after.items():
        family.add_metric([use], moment.timestamp())
    return family


def _single(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
