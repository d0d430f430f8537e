"""What covey adds to the price of a call: next to an empty handler, next to a raw stream, and to many at once.

    python benchmarks/bench_wire.py [--smoke]

Real server processes on free ports, one client process, rounds interleaved. The rival server (`wire_servers`) has
covey's options, its number of threads and its own lean pool, takes the same bytes and does nothing with them; with the
library's ThreadPoolExecutor it is slower. Answers are compared with the library's, bit for bit, before any timing.
AnalyzeLearner: 56 events, 12 domains and the learner's own capabilities by name, about 1.3 KB, four callers. Ingest:
chunks of 256 KiB in arrival order (learner int64, time int64, domain, capability, kind, action), acknowledged when
they are synced, and together where they were synced together; the rival acknowledges each. The clock stands while the
dataset is made and deleted, which is at once so that putting its events in order, which follows an append after two
quiet seconds (about 8 ms of one core per MB), does not run beside the rival.

What profiles said (server processor time; the same machine, other work on it):
- AnalyzeLearner took 0.58 ms a call. Two thousandths of that are the traits. What went: a thread hand-over into the
  variant's lane and back (compiled work of bounded size runs where the call is), decoding into NumPy and a dictionary
  of eleven result arrays (the core reads the message where it lies, 1.7 us, and writes the answer, 1.9 us), and the
  executor's futures, semaphore and locks (one queue operation now). Left is the library's own, three thread hand-overs
  a call, about ten voluntary context switches with either server; and covey's Python, 9 us in a loop of its own (67
  frames) with 1.4 us reading and 1.1 us in the interceptor, which samples put at several times that where switches
  have emptied the caches. Neither garbage collection nor locks show. To go further the handler would have to be
  compiled, or one message to hold more learners.
- AnalyzeLearners made of 1,024 learners 1,024 calls. Now reading takes 1.4 us a learner, the kernels and writing 0.9,
  routing, counting and framing 0.1.
- AppendEvents spent 14.6 ms per MB: 8 sorting by learner, 2.6 building and copying the file's image, 1.3 decoding and
  the rest committing in turn with all that. Next it was 0.14 reading, on the transport's one thread and giving the
  interpreter away there; 0.47 writing a column at a time; 0.26 the checksum of zlib; an acknowledgement a chunk. Now
  the transport's thread hands on bytes, one system call writes many chunks (0.26: the kernel fills large pages), the
  checksum folds with the processor's polynomial product (0.06 from the cache, 0.16 from memory), and a sync has one
  acknowledgement. Collecting the columns in memory first costs as much as it saves, a checksum of each megabyte right
  after its write saves nothing that can be told from noise, and writing past the page cache (O_DIRECT) would take
  0.15 with the copy that aligns. In all 3.1 ms per MB became 2.0, 0.86 being the rival's. What bounds it now is the
  kernel's copy into the page cache, a fifth of the samples, then the disk (0.6 GB/s synced here, less than the raw
  stream carries on an idle machine).
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import harness
import wire_servers as servers
from covey.parameters import TraitParameters
from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2
from covey_server.answering.engines import AnalyzerEngine
from covey_server.decoding import decode_packed

_SERVICE = "/covey.v1.AnalyzerService/"
INGEST = "packed ingest over gRPC, MB/s over a raw echo stream of the same chunks"
UNARY = "AnalyzeLearner (packed, 56 events, metrics on) calls/s over an empty handler receiving the same bytes"
STREAM = "AnalyzeLearners stream, learners/s over AnalyzeLearner learners/s"
CLAIMS_HERE = (INGEST, UNARY, STREAM)

_EVENTS_EACH = 56
_LEARNERS_PER_MESSAGE = 1024
_CALLERS = 4
_CHUNK_BYTES = 256 * 1024
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


def chunks(count: int, in_order: bool) -> list[bytes]:
    """`count` serialized messages of an append, each of about 256 KiB."""
    generator = np.random.default_rng(3)
    rows = _CHUNK_BYTES // 20
    learners = np.repeat(np.arange(count * rows // _EVENTS_EACH + 1), _EVENTS_EACH)[: count * rows]
    if not in_order:
        generator.shuffle(learners)
    messages = []
    for number in range(count):
        packed = events_pb2.PackedEvents(
            event_count=rows,
            learner_id_int64=learners[number * rows : (number + 1) * rows].astype("<i8").tobytes(),
            time_us=(_AS_OF_US - generator.integers(0, 56 * _DAY_US, rows)).astype("<i8").tobytes(),
            domain=events_pb2.DictionaryColumn(
                values=_DOMAINS, indices_uint8=generator.integers(0, 12, rows).astype("u1").tobytes()
            ),
            capability=events_pb2.DictionaryColumn(
                values=_CAPABILITIES, indices_uint8=generator.integers(0, 100, rows).astype("u1").tobytes()
            ),
            kind=generator.integers(1, 5, rows).astype("u1").tobytes(),
            action_taken=generator.integers(0, 2, rows).astype("u1").tobytes(),
        )
        message = datasets_pb2.AppendEventsRequest(chunk_sequence=number + 1, packed=packed)
        messages.append(message.SerializeToString())
    return messages


class Stopwatch:
    """A clock that can stand still."""

    def __init__(self) -> None:
        self._stood_seconds = 0.0

    def __call__(self) -> float:
        """Seconds since some instant, less those it stood."""
        return time.perf_counter() - self._stood_seconds

    @contextmanager
    def standing(self) -> Iterator[None]:
        """What is done inside takes no time."""
        before = time.perf_counter()
        yield
        self._stood_seconds += time.perf_counter() - before


def appender(server: servers.ServerProcess, messages: list[bytes], clock: Stopwatch) -> Callable[[], None]:
    """Appends all of `messages` to a new dataset until the last is acknowledged, and deletes it."""
    delete = server.channel.unary_unary(f"{_SERVICE}DeleteDataset", _registered_method=True)
    create = server.channel.unary_unary(f"{_SERVICE}CreateDataset", _registered_method=True)
    append = server.channel.stream_stream(f"{_SERVICE}AppendEvents", _registered_method=True)

    def append_all() -> None:
        name = f"d{uuid.uuid4().hex}"
        with clock.standing():
            create(analyzer_pb2.CreateDatasetRequest(dataset_id=name, request_id=name).SerializeToString())
        first = datasets_pb2.AppendEventsRequest(dataset=f"datasets/{name}", append_id="a").SerializeToString()
        last = deque(append(iter([first, *messages])), maxlen=1).pop()
        synced = datasets_pb2.AppendEventsResponse.FromString(last).synced_chunk_sequence
        if synced != len(messages):
            raise RuntimeError(f"{synced} of {len(messages)} chunks are synced")
        with clock.standing():
            delete(analyzer_pb2.DeleteDatasetRequest(name=f"datasets/{name}", request_id=name).SerializeToString())

    return append_all


def echoer(server: servers.ServerProcess, messages: list[bytes]) -> Callable[[], None]:
    """Streams the same messages to a handler that acknowledges each and does nothing with it."""
    call = server.channel.stream_stream(servers.STREAM, _registered_method=True)

    def stream_all() -> None:
        if sum(1 for _ in call(iter(messages))) != len(messages):
            raise RuntimeError("a message was not acknowledged")

    return stream_all


def together(requests: list[bytes]) -> bytes:
    """One message of all these questions."""
    message = analyzer_pb2.AnalyzeLearnersRequest()
    for request in requests:
        message.requests.add().MergeFromString(request)
    return message.SerializeToString()


def check(server: servers.ServerProcess, requests: list[bytes], message: bytes) -> None:
    """Both forms of the question have the answers of the library, bit for bit."""
    ask = server.channel.unary_unary(f"{_SERVICE}AnalyzeLearner", _registered_method=True)
    stream = server.channel.stream_stream(f"{_SERVICE}AnalyzeLearners", _registered_method=True)
    (answers,) = map(analyzer_pb2.AnalyzeLearnersResponse.FromString, stream(iter([message])))
    engine = AnalyzerEngine("native", TraitParameters())
    for request, result in zip(requests[:200], answers.results[:200], strict=True):
        packed = analyzer_pb2.AnalyzeLearnerRequest.FromString(request).packed
        assert result.response.traits == engine.analyze(decode_packed(packed, "packed"), _AS_OF_US).traits
        assert result.response == analyzer_pb2.AnalyzeLearnerResponse.FromString(ask(request))


def with_server_time(
    server: servers.ServerProcess, work: Callable[[], None], seconds: list[float]
) -> Callable[[], None]:
    """The same work; the server's processor time goes to `seconds`."""

    def measured() -> None:
        before = server.cpu_seconds()
        work()
        seconds.append(server.cpu_seconds() - before)

    return measured


def _scratch() -> Path:
    """On the disk that holds the project: what is synced to memory costs nothing."""
    folder = Path(__file__).parent / "out"
    folder.mkdir(exist_ok=True)
    return folder


def run(smoke: bool) -> list[harness.Row]:
    """The three claims."""
    rounds = 5 if smoke else 9
    call_count, message_count, chunk_count = (800, 8, 400) if smoke else (4000, 40, 800)
    requests = questions(_LEARNERS_PER_MESSAGE)
    message = together(requests)
    calls = [requests[number % len(requests)] for number in range(call_count)]
    messages = chunks(chunk_count, in_order=False)
    clock = Stopwatch()
    megabytes = sum(map(len, messages)) / 1e6
    learner_count = message_count * _LEARNERS_PER_MESSAGE
    with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        covey, bare = servers.covey_server(Path(folder)), servers.bare_server(Path(folder))
        try:
            check(covey, requests, message)
            server_seconds: dict[str, list[float]] = {"ours": [], "empty": [], "stream": [], "ingest": [], "echo": []}
            asked = harness.interleave(
                {
                    "ours": with_server_time(
                        covey, asker(covey, f"{_SERVICE}AnalyzeLearner", calls), server_seconds["ours"]
                    ),
                    "empty": with_server_time(bare, asker(bare, servers.UNARY, calls), server_seconds["empty"]),
                    "stream": with_server_time(
                        covey, streamer(covey, [message] * message_count), server_seconds["stream"]
                    ),
                },
                rounds,
            )
            sent = harness.interleave(
                {
                    "ingest": with_server_time(covey, appender(covey, messages, clock), server_seconds["ingest"]),
                    "echo": with_server_time(bare, echoer(bare, messages), server_seconds["echo"]),
                },
                rounds,
                clock,
            )
        finally:
            covey.stop()
            bare.stop()
    sizes = {"ours": call_count, "empty": call_count, "stream": learner_count, "ingest": megabytes, "echo": megabytes}
    for name, seconds in server_seconds.items():
        harness.note(f"server processor time, {name}: {statistics.median(seconds) / sizes[name] * 1e6:,.1f} us each")
    rates = {name: [sizes[name] / each for each in seconds] for name, seconds in (asked | sent).items()}
    return [
        harness.claim_result(
            INGEST,
            ours=rates["ingest"],
            rival=rates["echo"],
            rival_name="raw stream with an acknowledgement a chunk, nothing stored",
            unit="MB/s",
            n=round(megabytes * 1e6),
            better="larger",
        ),
        harness.claim_result(
            UNARY,
            ours=rates["ours"],
            rival=rates["empty"],
            rival_name="empty handler",
            unit="calls/s",
            n=call_count,
            better="larger",
        ),
        harness.claim_result(
            STREAM,
            ours=rates["stream"],
            rival=rates["ours"],
            rival_name="AnalyzeLearner",
            unit="learners/s",
            n=learner_count,
            better="larger",
        ),
    ]


if __name__ == "__main__":
    harness.main(run)
