"""Who gets a thread, and when: calls are stamped at submission, wait in a bounded queue, and are refused beyond it.

A refused call does not wait behind the others: it is told RESOURCE_EXHAUSTED, with the time after which a retry makes
sense, on a thread that does nothing else, or unread by the thread that took it (`refusals`). Streams hold at most half
of the threads, whatever they do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from covey_server.answering.half_open import MessageWatch
from covey_server.answering.pool import CallThreads, Ticket, run
from covey_server.answering.refusals import READ_REFUSALS_PER_SECOND, Allowance, StormCount, Turn
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey.access.principals import Principal

_log = logging.getLogger("covey_server.calls")

RETRY_AFTER_SECONDS = 0.2
MESSAGE_SECONDS = 20.0
"""How long a message may take while its call holds a thread: four megabytes over two megabits a second."""
_MOST_REFUSALS_WAITING = 32


@dataclass(slots=True)
class Arrival:
    """A call from its submission on; the stamp goes with the call into the thread that serves it.

    Attributes:
        method: full name, such as "/covey.v1.AnalyzerService/AnalyzeLearner".
        request_id: the caller's, or made up.
        submitted: `time.monotonic()` at submission: waiting for a thread counts as part of the call.
        turn: where it is not to be served, the handler is to say so.
        caller: who it was by its first bytes; None where only a certificate can say.
        denial: what such a caller is told.
        was_handled: the handler was entered, which answers for itself from there on.
    """

    method: str
    request_id: str
    submitted: float
    turn: Turn = Turn.SERVED
    was_handled: bool = False
    caller: Principal | None = None
    denial: CallError | None = None

    @property
    def refused(self) -> bool:
        """The queue was full."""
        return self.turn in {Turn.REFUSED, Turn.UNREAD}


ARRIVAL: ContextVar[Arrival] = ContextVar("arrival")
"""The call at hand; set by the interceptor, visible in the thread that serves the call."""


class WorkerPool(CallThreads):
    """The threads of the data port, with a bounded queue in front of them.

    Args:
        thread_count: threads that serve calls.
        queue_limit: calls that may wait for one.
        on_abandoned: told of calls that ended before their handler was entered (the caller cancelled, its deadline
            passed in the queue, or its message was too large), with whether the deadline had passed.
    """

    def __init__(self, thread_count: int, queue_limit: int, on_abandoned: Callable[[Arrival, bool], None]) -> None:
        super().__init__(thread_count, "call")
        self._refusals = CallThreads(1, "refusal")
        self._reads = Allowance(READ_REFUSALS_PER_SECOND)
        self._storm = StormCount()
        self._watch = MessageWatch(MESSAGE_SECONDS)
        self._watch.start()
        self._queue_limit = queue_limit
        self._on_abandoned = on_abandoned

    def turn(self, now: float) -> Turn:
        """What is to become of a call that came at `now`, of `time.monotonic()`."""
        # One thread of the transport asks and submits, so that what it sees of the queue is at most too much.
        if self._queue.qsize() < self._queue_limit:
            if self._storm.count:
                self._tell(self._storm.to_tell(now))
            return Turn.SERVED
        if self._refusals.waiting_count < _MOST_REFUSALS_WAITING and self._reads.take(now):
            return Turn.REFUSED
        self._storm.add()
        self._tell(self._storm.to_tell(now))
        return Turn.UNREAD

    def submit(self, fn: Callable[..., object], /, *args: Any) -> Ticket:
        """Queue a call, hand it to the thread of refusals, or refuse it here, as its turn is."""
        arrival = arrival_of(fn)
        if arrival is None or arrival.turn is Turn.SERVED:
            return super().submit(self._serve, arrival, fn, args)
        if arrival.turn is not Turn.UNREAD:
            return self._refusals.submit(self._serve, arrival, fn, args)
        ticket = Ticket()
        run(fn, args, ticket)
        return ticket

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads."""
        self._watch.stop()
        if rest := self._storm.rest():
            _log_storm(rest)
        self._refusals.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _serve(self, arrival: Arrival | None, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if arrival is None:
            fn(*args)
            return
        try:
            self._watch.serve(arrival, fn, args)
        finally:
            if not arrival.was_handled:
                self._on_abandoned(arrival, _deadline_has_passed(args))

    def _tell(self, refused_count: int) -> None:
        # A log that nobody reads must not hold the thread that takes calls.
        if refused_count:
            self._refusals.submit(_log_storm, refused_count)


class StreamPlaces:
    """Places for streaming calls: fewer than the threads, so that unary calls always find one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places = threading.BoundedSemaphore(limit)

    def take(self) -> None:
        """Take a place, to be given back.

        Raises:
            CallError: RESOURCE_EXHAUSTED when all are taken.
        """
        if not self._places.acquire(blocking=False):
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"all {self._limit} places for streams are taken; close one, or call again later",
                reason="STREAMS_EXHAUSTED",
                retry_after_seconds=1.0,
            )

    def give_back(self) -> None:
        """Give a place back."""
        self._places.release()


def overloaded() -> CallError:
    """What a refused call is told."""
    return CallError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the server has more calls waiting than it can serve in time; call again later",
        reason="OVERLOADED",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


def _log_storm(refused_count: int) -> None:
    _log.warning(
        "more calls than can be served: refused unread, without a line each", extra={"refused_count": refused_count}
    )


def arrival_of(fn: Callable[..., Any]) -> Arrival | None:
    """The stamp of a call: the server submits `context.run` of the context that its interceptors ran in."""
    context = getattr(fn, "__self__", None)
    return context.get(ARRIVAL) if isinstance(context, Context) else None


def _deadline_has_passed(args: tuple[Any, ...]) -> bool:
    """Whether the caller's deadline is over, from the call event among the arguments of a submitted call."""
    for argument in args[1:2]:
        deadline = getattr(getattr(argument, "call_details", None), "deadline", None)
        if deadline is not None:
            return bool(deadline <= time.time())
    return False
