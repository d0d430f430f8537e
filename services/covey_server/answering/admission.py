"""Who gets a thread, and when: calls are stamped at submission, wait in a bounded queue, and are refused beyond it.

A refused call does not wait behind the others: it is told RESOURCE_EXHAUSTED, with the time after which a retry makes
sense, on a thread that does nothing else, or unread by the thread that took it (`refusals`). Streams hold at most half
of the threads, whatever they do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any

import grpc

from covey_server.answering.pool import CallThreads, Ticket, run
from covey_server.answering.refusals import READ_REFUSALS_PER_SECOND, Allowance, Turn
from covey_server.errors import CallError

RETRY_AFTER_SECONDS = 0.2


@dataclass(slots=True)
class Arrival:
    """A call from its submission on; the stamp goes with the call into the thread that serves it.

    Attributes:
        method: full name, such as "/covey.v1.AnalyzerService/AnalyzeLearner".
        request_id: the caller's, or made up.
        submitted: `time.monotonic()` at submission: waiting for a thread counts as part of the call.
        turn: where it is not to be served, the handler is to say so.
        was_handled: the handler was entered, which answers for itself from there on.
    """

    method: str
    request_id: str
    submitted: float
    turn: Turn = Turn.SERVED
    was_handled: bool = False

    @property
    def refused(self) -> bool:
        """The queue was full."""
        return self.turn is not Turn.SERVED


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
        self._queue_limit = queue_limit
        self._on_abandoned = on_abandoned

    @property
    def waiting_count(self) -> int:
        """Calls that wait for a thread."""
        return self._queue.qsize()

    def turn(self, now: float) -> Turn:
        """What is to become of a call that came at `now`, of `time.monotonic()`."""
        # One thread of the transport asks and submits, so that what it sees of the queue is at most too much.
        if self._queue.qsize() < self._queue_limit:
            return Turn.SERVED
        return Turn.REFUSED if self._reads.take(now) else Turn.UNREAD

    def submit(self, fn: Callable[..., object], /, *args: Any) -> Ticket:
        """Queue a call, hand it to the thread of refusals, or refuse it here, as its turn is."""
        arrival = _arrival_of(fn)
        if arrival is None or arrival.turn is Turn.SERVED:
            return super().submit(self._serve, arrival, fn, args)
        if arrival.turn is Turn.REFUSED:
            return self._refusals.submit(self._serve, arrival, fn, args)
        ticket = Ticket()
        run(fn, args, ticket)
        return ticket

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads."""
        self._refusals.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _serve(self, arrival: Arrival | None, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            fn(*args)
        finally:
            if arrival is not None and not arrival.was_handled:
                self._on_abandoned(arrival, _deadline_has_passed(args))


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


def _arrival_of(fn: Callable[..., Any]) -> Arrival | None:
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
