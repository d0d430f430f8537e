"""The load generator, a process of its own: `python -m covey.demo.load --data HOST:PORT --events FILE --rate 200`.

Open loop: every call's send time is fixed before the first is sent. Calls that leave late are counted, and so are those
that do not leave because too many are under way. Latency counts from the scheduled time, so a stall is seen in full by
every call that it delays. Nothing is tried again; a server that is away costs its calls and no more.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np

from covey.demo.arrivals import Seconds, constant_arrivals, poisson_arrivals, quantiles
from covey.demo.learners import read_event_table
from covey.stop_signals import StopSignals

_METHOD = "/covey.v1.AnalyzerService/AnalyzeLearner"
_LATE_SECONDS = 0.01
_MOST_CALLS = 5_000_000
_CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
)


class Tally:
    """What became of the calls; safe to call from any thread."""

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._codes: Counter[str] = Counter()
        self._latencies: Seconds = np.empty(limit, np.float64)
        self._answered = 0
        self.in_flight = 0
        self.sent = 0
        self.late = 0
        self.not_sent = 0

    def begin(self) -> None:
        """A call leaves."""
        with self._lock:
            self.in_flight += 1
            self.sent += 1

    def end(self, code: str, seconds: float) -> None:
        """A call is over."""
        with self._lock:
            self._codes[code] += 1
            self._latencies[self._answered] = seconds
            self._answered += 1
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.notify_all()

    def wait_idle(self, seconds: float) -> None:
        """Until no call is under way, or the time is over."""
        with self._idle:
            self._idle.wait_for(lambda: self.in_flight == 0, timeout=seconds)

    def summary(self, seconds: float) -> dict[str, object]:
        """Everything, for JSON."""
        with self._lock:
            return {
                "sent": self.sent,
                "late": self.late,
                "not_sent": self.not_sent,
                "in_flight": self.in_flight,
                "seconds": round(seconds, 3),
                "codes": dict(sorted(self._codes.items())),
                "latency_ms": quantiles(self._latencies[: self._answered]),
            }


class Load:
    """Sends prepared calls at their times.

    Args:
        address: of the data port.
        requests: serialised calls, one per learner.
        order: which learner each call is for, shape (calls,).
        arrivals: when each call leaves, in seconds after the start, shape (calls,), ascending.
        deadline_seconds: of each call.
        in_flight_limit: calls under way at most.
        stop_signals: waited for between calls; no further call leaves once one has arrived.
    """

    def __init__(
        self,
        address: str,
        requests: Sequence[bytes],
        order: Sequence[int],
        arrivals: Seconds,
        *,
        deadline_seconds: float,
        in_flight_limit: int,
        stop_signals: StopSignals,
    ) -> None:
        self._address = address
        self._requests = requests
        self._order = order
        self._arrivals = arrivals
        self._deadline_seconds = deadline_seconds
        self._in_flight_limit = in_flight_limit
        self._stop_signals = stop_signals
        self.tally = Tally(len(arrivals))

    def run(self) -> dict[str, object]:
        """Sends all calls and waits for the answers; returns the summary."""
        start = time.monotonic()
        with grpc.insecure_channel(self._address, options=_CHANNEL_OPTIONS) as channel:
            # Bytes in, bytes out: the calls were packed before the start and nobody reads the answers.
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                _METHOD, request_serializer=None, response_deserializer=None
            )
            for learner, at in zip(self._order, self._arrivals, strict=True):
                due = start + float(at)
                if self._stop_signals.wait(max(0.0, due - time.monotonic())):
                    break
                self._send(call, self._requests[learner], due)
            self.tally.wait_idle(self._deadline_seconds + 1.0)
        return self.tally.summary(time.monotonic() - start)

    def _send(self, call: grpc.UnaryUnaryMultiCallable[bytes, bytes], request: bytes, due: float) -> None:
        if self.tally.in_flight >= self._in_flight_limit:
            self.tally.not_sent += 1
            return
        if time.monotonic() - due > _LATE_SECONDS:
            self.tally.late += 1
        self.tally.begin()
        future = call.future(request, timeout=self._deadline_seconds)
        future.add_done_callback(lambda done: self.tally.end(_code(done), time.monotonic() - due))


def _code(future: grpc.Future[bytes]) -> str:
    if future.cancelled():
        return "CANCELLED"
    error = future.exception()
    if error is None:
        return "OK"
    return str(error.code().name) if isinstance(error, grpc.Call) else "UNKNOWN"


def shuffled_rounds(learner_count: int, calls: int, seed: int) -> list[int]:
    """Which learner each call is for: every learner once per round, each round in an order of its own.

    Every learner calls equally often, so the candidate's share of calls is its share of learners.
    """
    random = np.random.default_rng(seed)
    rounds = -(-calls // learner_count) if calls else 0
    order = [random.permutation(learner_count) for _ in range(rounds)]
    return [int(learner) for learner in np.concatenate(order)[:calls]] if order else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the load and prints its summary as one line of JSON."""
    parser = argparse.ArgumentParser(prog="covey.demo.load", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, metavar="HOST:PORT", help="data port of the server")
    parser.add_argument("--events", required=True, type=Path, help="Parquet file as `covey generate` writes it")
    parser.add_argument("--rate", type=float, default=200.0, help="calls per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long")
    parser.add_argument("--calls", type=int, default=_MOST_CALLS, help="at most so many calls")
    parser.add_argument("--learners", type=int, default=2000, help="at most so many learners of the file")
    parser.add_argument("--arrivals", choices=["poisson", "constant"], default="poisson")
    parser.add_argument("--in-flight", type=int, default=256, help="calls under way at most")
    parser.add_argument("--deadline-seconds", type=float, default=5.0, help="of each call")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not (options.rate > 0 and options.seconds > 0 and options.learners > 0 and options.in_flight > 0):
        parser.error("--rate, --seconds, --learners and --in-flight must be above 0")
    limit = min(options.calls, _MOST_CALLS)
    if options.arrivals == "constant":
        arrivals = constant_arrivals(options.rate, options.seconds, limit)
    else:
        arrivals = poisson_arrivals(options.rate, options.seconds, limit, options.seed)
    requests = [request.SerializeToString() for request in read_event_table(options.events).requests(options.learners)]
    order = shuffled_rounds(len(requests), len(arrivals), options.seed)
    with StopSignals() as stop_signals:
        load = Load(
            options.data,
            requests,
            order,
            arrivals,
            deadline_seconds=options.deadline_seconds,
            in_flight_limit=options.in_flight,
            stop_signals=stop_signals,
        )
        sys.stdout.write(json.dumps(load.run()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
