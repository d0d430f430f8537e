"""Around every call of the data port: the stamp, the request id, and errors as callers should see them."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import grpc

from covey_server.access.callers import CALLER, caller_name
from covey_server.access.gate import Gate
from covey_server.access.limits import RateLimits
from covey_server.answering.admission import ARRIVAL, Arrival, StreamPlaces, arrival_of, overloaded
from covey_server.answering.budget import MemoryBudget, opened_each
from covey_server.answering.half_open import MessageWatch, WatchedThreads
from covey_server.answering.refusals import Turn
from covey_server.errors import REQUEST_ID_KEY, CallError, abort, aborting, current_request_id, new_request_id
from covey_server.ports import malformed
from covey_server.ports.handlers import taken_apart

_HEALTH_PREFIX = "/grpc.health."
_LIGHT_METHODS = frozenset({"/covey.v1.AnalyzerService/GetServerInfo"})
_LONGEST_REQUEST_ID = 128
_LIGHT_THREADS = 8
_LIGHT_MESSAGE_SECONDS = 1.0

_log = logging.getLogger("covey_server.calls")

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]


class Codec(NamedTuple):
    """How the messages of a method are read (None: by the method) and written, other than by its generated code."""

    read: Callable[[bytes], Any] | None
    write: Callable[[Any], bytes]


class CallInterceptor(grpc.ServerInterceptor):
    """Stamps calls, admits their callers, gives health a thread of its own, and turns exceptions into statuses.

    Args:
        gate: who may call what.
        rates: how often.
        budget: memory for the messages of calls in flight.
        stream_places: taken by streaming calls while they last.
        counted_methods: full names of methods that count their own requests: they are entered even when refused,
            unless unread.
        on_refused: told of calls that are refused unread, of streams that found no place and of messages that found no
            memory, by their stamp.
        turn: what is to become of a call that came at some time of `time.monotonic()`.
        codecs: of the methods that have one of their own, by full name.
    """

    def __init__(
        self,
        gate: Gate,
        rates: RateLimits,
        budget: MemoryBudget,
        stream_places: StreamPlaces,
        counted_methods: frozenset[str],
        on_refused: Callable[[Arrival], None],
        turn: Callable[[float], Turn],
        codecs: Mapping[str, Codec] | None = None,
    ) -> None:
        self._gate = gate
        self._rates = rates
        self._budget = budget
        self._stream_places = stream_places
        self._counted_methods = counted_methods
        self._on_refused = on_refused
        self._turn = turn
        self._codecs = codecs or {}
        # Of a kind that waits for no message, and so of another than the methods that they stand in for.
        self._unread: Handler = grpc.stream_unary_rpc_method_handler(self._turn_away)
        self._denied: Handler = grpc.stream_unary_rpc_method_handler(self._deny)
        self._tell_overloaded = aborting(overloaded())
        # Strangers may ask for health, too: each of their calls has a thread for a second at most.
        self._light_watch = MessageWatch(_LIGHT_MESSAGE_SECONDS)
        self._light_watch.start()
        self._light_pool = WatchedThreads(_LIGHT_THREADS, "light", self._light_watch, arrival_of)
        self._wrapped: dict[str, Handler | None] = {}
        self._lock = threading.Lock()

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler | None], details: Any
    ) -> Handler | None:
        """Stamp the call and return its wrapped handler, or the one that turns it away."""
        method: str = details.method
        arrival = Arrival(method, _request_id(details.invocation_metadata), time.monotonic())
        ARRIVAL.set(arrival)
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = continuation(details)
            if handler is None:
                return None
            with self._lock:
                wrapped = self._wrapped.setdefault(method, self._wrap(method, handler))
        if not _has_own_threads(method):
            arrival.turn = self._turn(arrival.submitted)
            if arrival.turn is Turn.UNREAD:
                return self._unread
        try:
            arrival.caller = self._gate.admit_by_metadata(method, details.invocation_metadata)
        except CallError as denial:
            arrival.turn, arrival.denial = Turn.DENIED, denial
            return self._denied
        return wrapped

    def shutdown(self) -> None:
        """End the threads that this owns."""
        self._light_watch.stop()
        self._light_pool.shutdown(wait=False, cancel_futures=True)

    def _turn_away(self, messages: Iterator[Any], context: grpc.ServicerContext) -> NoReturn:
        """Refuse a call of any kind; who calls and what is asked does not matter for that."""
        arrival = _enter()
        self._on_refused(arrival)
        self._tell_overloaded(context)

    def _deny(self, messages: Iterator[Any], context: grpc.ServicerContext) -> NoReturn:
        """Deny a call of any kind to its caller, without a look at what is asked."""
        arrival = _enter()
        assert arrival.denial is not None
        _end(context, arrival.denial, arrival, arrival.method in self._counted_methods)

    def _wrap(self, method: str, handler: Handler) -> Handler:
        if method.startswith(_HEALTH_PREFIX):
            return self._health(handler)
        is_counted = method in self._counted_methods
        inner, make = taken_apart(handler)
        wrap = self._stream if handler.response_streaming else self._unary
        behavior = wrap(inner, is_counted, handler.request_streaming)
        if method in _LIGHT_METHODS:
            self._use_light_pool(behavior)
        read, write = self._codecs.get(method) or (handler.request_deserializer, handler.response_serializer)
        read = self._budget.reading(malformed.reading(read))
        return make(behavior, request_deserializer=read, response_serializer=write)

    def _unary(self, behavior: Callable[..., Any], is_counted: bool, reads_many: bool) -> Callable[..., Any]:
        def serve(request: Any, context: grpc.ServicerContext) -> Any:
            arrival = _enter()
            has_place = False
            try:
                self._admit(arrival, context)
                if reads_many:  # its thread waits for the caller, as long as the caller likes
                    self._admit_stream(arrival)
                    has_place = True
                if arrival.refused and not is_counted:
                    raise overloaded()
                response = behavior(self._opened(request, arrival, reads_many), context)
            except Exception as error:
                _end(context, error, arrival, is_counted)
            finally:
                if has_place:
                    self._stream_places.give_back()
                if not reads_many:
                    request.give_back()
            _note(arrival, is_counted, "OK")
            return response

        return serve

    def _stream(self, behavior: Callable[..., Any], is_counted: bool, reads_many: bool) -> Callable[..., Any]:
        def serve(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            arrival = _enter()
            try:
                self._admit(arrival, context)
                self._admit_stream(arrival)
            except CallError as error:
                _end(context, error, arrival, is_counted)
            try:
                yield from behavior(self._opened(request, arrival, reads_many), context)
            except Exception as error:
                _end(context, error, arrival, is_counted)
            finally:
                if not reads_many:
                    request.give_back()
                self._stream_places.give_back()
            _note(arrival, is_counted, "OK")

        return serve

    def _admit(self, arrival: Arrival, context: grpc.ServicerContext) -> None:
        caller = arrival.caller
        if caller is None:
            caller = self._gate.admit(arrival.method, context.invocation_metadata(), context.auth_context)  # type: ignore[arg-type]
        CALLER.set(caller)
        self._rates.take(caller)

    def _opened(self, request: Any, arrival: Arrival, reads_many: bool) -> Any:
        """The request, or the requests of a stream, where there is memory for them."""
        if reads_many:
            return map(malformed.wellformed, opened_each(request))
        try:
            message = request.opened()
        except CallError:
            self._on_refused(arrival)
            raise
        return malformed.wellformed(message)

    def _admit_stream(self, arrival: Arrival) -> None:
        try:
            if arrival.refused:
                raise overloaded()
            self._stream_places.take()
        except CallError:
            self._on_refused(arrival)
            raise

    def _health(self, handler: Handler) -> Handler:
        """Health on a thread of its own, otherwise as its library has it: watches send without holding a thread."""
        behavior, make = taken_apart(handler)

        @functools.wraps(behavior)
        def serve(*arguments: Any) -> Any:
            _enter()
            return behavior(*arguments)

        self._use_light_pool(serve)
        if getattr(behavior, "experimental_non_blocking", False):
            serve.experimental_non_blocking = True  # type: ignore[attr-defined]
        return make(
            serve, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )

    def _use_light_pool(self, behavior: Any) -> None:
        # The server looks for this attribute on the behavior that it calls.
        behavior.experimental_thread_pool = self._light_pool


def _has_own_threads(method: str) -> bool:
    """Whether a method is served beside the queue, and so whatever waits in it."""
    return method in _LIGHT_METHODS or method.startswith(_HEALTH_PREFIX)


def _enter() -> Arrival:
    arrival = ARRIVAL.get()
    arrival.was_handled = True
    current_request_id.set(arrival.request_id)
    return arrival


def _end(context: grpc.ServicerContext, error: Exception, arrival: Arrival, is_counted: bool) -> NoReturn:
    """Give the call the status of `error`, unless the handler gave it one already."""
    status_is_set = context.code() is not None  # type: ignore[attr-defined]
    if type(error) is Exception and not error.args and status_is_set:
        raise error  # how the server's own abort leaves a handler
    if isinstance(error, grpc.RpcError) and not context.is_active():
        raise error  # the caller went away in the middle of a stream
    _note(arrival, is_counted, error.code.name if isinstance(error, CallError) else "INTERNAL")
    if isinstance(error, CallError):
        _log.debug("refused", extra={"method": arrival.method, "detail": error.message})  # may name a learner
    abort(context, error)


def _note(arrival: Arrival, is_counted: bool, code: str) -> None:
    """One line of log a call; per-learner calls, which the metrics count, at debug level only."""
    level = logging.DEBUG if is_counted or arrival.method in _LIGHT_METHODS else logging.INFO
    if _log.isEnabledFor(level):
        seconds = round(time.monotonic() - arrival.submitted, 6)
        extra = {"method": arrival.method, "code": code, "seconds": seconds, "actor": caller_name()}
        _log.log(level, "call", extra=extra)


def _request_id(metadata: Any) -> str:
    for name, value in metadata or ():
        if name == REQUEST_ID_KEY and isinstance(value, str):
            return value[:_LONGEST_REQUEST_ID]
    return new_request_id()
