"""Asks every replica for an answer of every variant, at its own pace, so that a silent candidate is noticed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from covey.rollout.codes import classify
from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, events_pb2
from covey.v1 import evidence_pb2 as pb
from covey_controller.client import open_channel
from covey_controller.config import Replica

_NOON_SECONDS = 1_700_049_600
_DAY_SECONDS = 86_400

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


class Prober:
    """Probes of one rollout: every replica and variant each `interval_seconds`, counted between two ticks.

    At most one probe of a pair is under way, so a hanging server costs one call per pair and no more. `start` and
    `stop` frame a thread of its own; `drain` is called by the loop.
    """

    def __init__(
        self,
        replicas: Iterable[Replica],
        variants: Sequence[str],
        *,
        interval_seconds: float,
        deadline_seconds: float,
        observe: Observer,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._deadline_seconds = min(deadline_seconds, interval_seconds)
        self._observe = observe
        self._request = probe_request()
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, bool]] = Counter()
        self._under_way: set[tuple[str, str]] = set()
        self._stopped = threading.Event()
        self._channels = [(replica.name, open_channel(replica.data_address)) for replica in replicas]
        self._targets = [
            (name, variant, analyzer_pb2_grpc.AnalyzerServiceStub(channel))
            for name, channel in self._channels
            for variant in variants
        ]
        self._thread = threading.Thread(target=self._run, name="covey-probes", daemon=True)

    def start(self) -> None:
        """Begins to probe."""
        self._thread.start()

    def stop(self) -> None:
        """Ends probing; calls under way are cancelled and not counted."""
        self._stopped.set()
        for _, channel in self._channels:
            channel.close()
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
            for name, variant, stub in self._targets:
                self._send(name, variant, stub)
            self._stopped.wait(self._interval_seconds)

    def _send(self, name: str, variant: str, stub: analyzer_pb2_grpc.AnalyzerServiceStub) -> None:
        with self._lock:
            if (name, variant) in self._under_way:
                return
            self._under_way.add((name, variant))
        try:
            call = stub.AnalyzeLearner.future(
                self._request, timeout=self._deadline_seconds, metadata=(("covey-probe-variant", variant),)
            )
        except ValueError:  # the channel was closed by `stop`
            return
        call.add_done_callback(lambda done: self._finish(name, variant, done))

    def _finish(self, name: str, variant: str, call: grpc.Future[analyzer_pb2.AnalyzeLearnerResponse]) -> None:
        error = None if call.cancelled() else call.exception()
        code = grpc.StatusCode.OK if error is None else error.code()  # type: ignore[attr-defined]
        with self._lock:
            self._under_way.discard((name, variant))
        if call.cancelled() or self._stopped.is_set():
            return
        result = answered(code)
        if result is None:
            return
        with self._lock:
            self._counts[name, variant, result] += 1
        self._observe(name, variant, result)
