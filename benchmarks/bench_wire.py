"""What covey adds to the price of a call."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

import wire_servers as servers
from covey.v1 import analyzer_pb2, events_pb2

_SERVICE = "/covey.v1.AnalyzerService/"
INGEST = "packed ingest over gRPC, MB/s over a raw echo stream of the same chunks"
UNARY = "AnalyzeLearner (packed, 56 events, metrics on) calls/s over an empty handler receiving the same bytes"
STREAM = "AnalyzeLearners stream, learners/s over AnalyzeLearner learners/s"
CLAIMS_HERE = (INGEST, UNARY, STREAM)

_EVENTS_EACH = 56
_LEARNERS_PER_MESSAGE = 1024
_CALLERS = 4
_DAY_US = 86_400_000_000
_AS_OF_US = 20_000 * _DAY_US
_DOMAINS = [f"domain {number}" for number in range(12)]
_CAPABILITIES = [f"skill {number}" for number in range(100)]


def history(generator: np.random.Generator) -> events_pb2.PackedEvents:
    """56 events of a learner over 8 weeks."""
    count = _EVENTS_EACH
    used, capability = np.unique(generator.integers(0, 100, count), return_inverse=True)
    return events_pb2.PackedEvents(
        event_count=count,
        time_us=np.sort(_AS_OF_US - generator.integers(0, 56 * _DAY_US, count)).astype("<i8").tobytes(),
        domain=events_pb2.DictionaryColumn(
            values=_DOMAINS, indices_uint8=generator.integers(0, 12, count).astype("u1").tobytes()
        ),
        capability=events_pb2.DictionaryColumn(
            values=[_CAPABILITIES[number] for number in used], indices_uint8=capability.astype("u1").tobytes()
        ),
        kind=generator.integers(1, 5, count).astype("u1").tobytes(),
        action_taken=generator.integers(0, 2, count).astype("u1").tobytes(),
    )


def questions(count: int) -> list[bytes]:
    """Serialized questions about as many learners."""
    generator = np.random.default_rng(7)
    as_of = analyzer_pb2.AnalyzeLearnerRequest().as_of
    as_of.FromMicroseconds(_AS_OF_US)
    return [
        analyzer_pb2.AnalyzeLearnerRequest(
            learner_id=str(10**6 + number), packed=history(generator), as_of=as_of
        ).SerializeToString()
        for number in range(count)
    ]


def asker(server: servers.ServerProcess, method: str, requests: list[bytes]) -> Callable[[], None]:
    """Asks all of `requests`, `_CALLERS` at a time."""
    call = server.channel.unary_unary(method, _registered_method=True)

    def ask(share: list[bytes]) -> None:
        for request in share:
            call(request)

    def ask_all() -> None:
        threads = [threading.Thread(target=ask, args=(requests[start::_CALLERS],)) for start in range(_CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return ask_all


def streamer(server: servers.ServerProcess, messages: list[bytes]) -> Callable[[], None]:
    """Sends all of `messages` on one stream and reads every answer."""
    call = server.channel.stream_stream(f"{_SERVICE}AnalyzeLearners", _registered_method=True)

    def ask_all() -> None:
        if sum(1 for _ in call(iter(messages))) != len(messages):
            raise RuntimeError("a message was not answered")

    return ask_all
