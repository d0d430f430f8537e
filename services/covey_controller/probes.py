"""Asks every replica for an answer of every variant, at its own pace, so that a silent candidate is noticed."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from covey.client.channel import Security
from covey.rollout.codes import classify
from covey.rollout.traffic import addresses
from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, events_pb2
from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.client import open_channel
from covey_controller.config import Replica

_NOON_SECONDS = 1_700_049_600
_DAY_SECONDS = 86_400

_log = logging.getLogger("covey_controller.probes")

# Told after every probe: replica, variant, answered.
Observer = Callable[[str, str, bool], None]


def probe_request() -> analyzer_pb2.AnalyzeLearnerRequest:
    """A learner of three events, always the same: the answer costs the server next to nothing."""
    rows = [
        events_pb2.EventRow(
            time=Timestamp(seconds=_NOON_SECONDS - day * _DAY_SECONDS), domain="probe", capability=f"probe-{day % 2}"
        )
        for day in range(3)
    ]
    return analyzer_pb2.AnalyzeLearnerRequest(
        learner_id="covey-probe", rows=events_pb2.EventRows(rows=rows), as_of=Timestamp(seconds=_NOON_SECONDS)
    )


def answered(code: grpc.StatusCode) -> bool | None:
    """Whether the variant answered a probe.

    A failure that the variant reports itself is an answer; silence and being turned away are none. None: the server
    would not ask the variant, as for a candidate that no phase has let in yet; that says nothing of it.
    """
    if code is grpc.StatusCode.OK:
        return True
    outcome = classify(code.name)
    return None if outcome == "served" else outcome == "error"


@dataclass(frozen=True)
class Probe:
    """One question that is asked again and again.

    Attributes:
        replica: under which name its answers are counted.
        variant: whom it asks.
        address: where.
        send: asks, with a deadline in seconds.
    """

    replica: str
    variant: str
    address: str
    send: Callable[[float], grpc.Future[Any]]


class Probes:
    """Every question of one rollout, and the channels on which they are asked."""

    def __init__(self, channels: Sequence[grpc.Channel], probes: Sequence[Probe]) -> None:
        self._channels = channels
        self.each = probes

    def close(self) -> None:
        """Closes the channels; calls under way are cancelled."""
        for channel in self._channels:
            channel.close()


def learner_probes(replicas: Iterable[Replica], variants: Sequence[str]) -> Probes:
    """Asks every replica of covey's own server for an answer of every variant."""
    request = probe_request()
    channels = [(replica, open_channel(replica.data_address, replica.security)) for replica in replicas]

    def asking(
        stub: analyzer_pb2_grpc.AnalyzerServiceStub, variant: str, security: Security
    ) -> Callable[[float], grpc.Future[Any]]:
        def ask(seconds: float) -> grpc.Future[Any]:
            metadata = (("covey-probe-variant", variant), *security.call_metadata())
            return stub.AnalyzeLearner.future(request, timeout=seconds, metadata=metadata)

        return ask

    probes = [
        Probe(replica.name, variant, replica.data_address, asking(stub, variant, replica.security))
        for replica, channel in channels
        for stub in [analyzer_pb2_grpc.AnalyzerServiceStub(channel)]
        for variant in variants
    ]
    return Probes([channel for _, channel in channels], probes)


def health_probes(spec: RolloutSpec) -> Probes:
    """Asks every process of a foreign service for its health, directly.

    All are counted as one replica: where the baseline does not answer either, it is the way there that is broken.
    A service without health checks says so, which is an answer.
    """
    request = health_pb2.HealthCheckRequest()
    places = [
        (variant, address, open_channel(address, Security(plaintext=True)))
        for variant in (spec.baseline, spec.candidate)
        for address in addresses(variant)
    ]

    def asking(stub: health_pb2_grpc.HealthStub) -> Callable[[float], grpc.Future[Any]]:
        return lambda seconds: stub.Check.future(request, timeout=seconds)  # type: ignore[attr-defined]

    probes = [
        Probe(spec.target, variant, address, asking(health_pb2_grpc.HealthStub(channel)))
        for variant, address, channel in places
    ]
    return Probes([channel for _, _, channel in places], probes)


class Prober:
    """Probes of one rollout: each every `interval_seconds`, counted between two ticks.

    At most one of each is under way, so a hanging server costs one call per probe and no more. `start` and `stop`
    frame a thread of its own; `drain` is called by the loop.
    """

    def __init__(
        self,
        probes: Probes,
        *,
        interval_seconds: float,
        deadline_seconds: float,
        observe: Observer,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._deadline_seconds = min(deadline_seconds, interval_seconds)
        self._observe = observe
        self._probes = probes
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, bool]] = Counter()
        self._under_way: set[tuple[str, str, str]] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="covey-probes", daemon=True)

    def start(self) -> None:
        """Begins to probe."""
        self._thread.start()

    def stop(self) -> None:
        """Ends probing; calls under way are cancelled and not counted."""
        self._stopped.set()
        self._probes.close()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def drain(self) -> list[pb.ProbeCounts]:
        """What came back since the last call. Give it back with `restore` when the tick was not committed."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        pairs = sorted({(replica, variant) for replica, variant, _ in counts})
        return [
            pb.ProbeCounts(
                replica=replica,
                variant=variant,
                answered_count=counts[replica, variant, True],
                unanswered_count=counts[replica, variant, False],
            )
            for replica, variant in pairs
        ]

    def restore(self, probes: Iterable[pb.ProbeCounts]) -> None:
        """Counts probes again that no journal has."""
        with self._lock:
            for probe in probes:
                self._counts[probe.replica, probe.variant, True] += probe.answered_count
                self._counts[probe.replica, probe.variant, False] += probe.unanswered_count

    def _run(self) -> None:
        while not self._stopped.is_set():
            for probe in self._probes.each:
                self._send(probe)
            self._stopped.wait(self._interval_seconds)

    def _send(self, probe: Probe) -> None:
        key = (probe.replica, probe.variant, probe.address)
        with self._lock:
            if key in self._under_way:
                return
            self._under_way.add(key)
        try:
            call = probe.send(self._deadline_seconds)
        except ValueError as error:  # the channel was closed by `stop`, or there is no token to send
            if not self._stopped.is_set():
                _log.error("no probe: %s", error)
            with self._lock:
                self._under_way.discard(key)
            return
        call.add_done_callback(lambda done: self._finish(probe, done))

    def _finish(self, probe: Probe, call: grpc.Future[Any]) -> None:
        error = None if call.cancelled() else call.exception()
        code = grpc.StatusCode.OK if error is None else error.code()  # type: ignore[attr-defined]
        with self._lock:
            self._under_way.discard((probe.replica, probe.variant, probe.address))
        if call.cancelled() or self._stopped.is_set():
            return
        result = answered(code)
        if result is None:
            return
        with self._lock:
            self._counts[probe.replica, probe.variant, result] += 1
        self._observe(probe.replica, probe.variant, result)
