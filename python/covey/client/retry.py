"""Trying again what is UNAVAILABLE, or refused until later: within the deadline, with the same request id."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from covey.client.channel import DEFAULT_CONTROL, DEFAULT_DATA, Security, open_channel
from covey.client.failure import CallFailed, call_failed
from covey.client.listening import accepts_connections

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
PageT = TypeVar("PageT", bound=Message)
StubT = TypeVar("StubT")

Metadata = tuple[tuple[str, str | bytes], ...]

# At least this much time must be left for another attempt to be worth it.
_SMALLEST_ATTEMPT_SECONDS = 0.01


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with jitter. Clock, sleep and randomness are handed in.

    Attributes:
        first_delay_seconds: before the second attempt; doubles with each further one.
        longest_delay_seconds: no delay is longer, unless the server asks for more.
        monotonic: seconds of a clock that never goes back.
        sleep: waits so many seconds.
        uniform: a random number from 0 to 1; a delay is taken times 0.5 to 1.
    """

    first_delay_seconds: float = 0.1
    longest_delay_seconds: float = 1.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[], float] = random.random

    def delay_seconds(self, attempt: int, asked_seconds: float | None) -> float:
        """How long to wait after failed attempt number `attempt` (from 0), at least what the server asked for."""
        longest = min(self.longest_delay_seconds, self.first_delay_seconds * 2.0 ** min(attempt, 30))
        return max(longest * (0.5 + 0.5 * self.uniform()), asked_seconds or 0.0)


class Connection:
    """Two channels, an actor, a deadline and a retry policy: what the verbs of a client share."""

    def __init__(
        self,
        control: str = DEFAULT_CONTROL,
        data: str = DEFAULT_DATA,
        *,
        actor: str = "anonymous",
        timeout_seconds: float = 10.0,
        security: Security | None = None,
        retry: Retry | None = None,
    ) -> None:
        if not timeout_seconds > 0:
            raise ValueError(f"timeout_seconds is {timeout_seconds}; expected more than 0")
        self.control = control
        self.data = data
        self.actor = actor
        self.timeout_seconds = timeout_seconds
        self.security = security or Security()
        self.retry = retry or Retry()
        self._channels: dict[str, grpc.Channel] = {}
        # A stub that is made of a channel while another thread closes it ends the process (grpcio: "not thread-safe").
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the channels that were opened; calls at work are cancelled. Any thread may do it."""
        with self._lock:
            for name in [name for name in vars(self) if name.endswith("_stub")]:
                vars(self).pop(name, None)
            while self._channels:
                self._channels.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def metadata(self) -> Metadata:
        """What every call carries: who calls, with the proof. Names outside ASCII travel percent-encoded."""
        return (*self._asserted, *self.security.call_metadata())

    @cached_property
    def _asserted(self) -> Metadata:
        from urllib.parse import quote

        return (("covey-actor", quote(self.actor, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")),)

    def stub(self, kind: Callable[[grpc.Channel], StubT], address: str) -> StubT:
        """A stub on the channel to an address, which is opened by the first to ask."""
        with self._lock:
            if address not in self._channels:
                self._channels[address] = open_channel(address, self.security)
            return kind(self._channels[address])

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        address: str,
        timeout_seconds: float | None = None,
    ) -> ResponseT:
        """Calls a unary method, again while that may help and time is left.

        Raises:
            CallFailed: the last attempt's failure.
        """
        allowed = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = self.retry.monotonic() + allowed
        attempt = 0
        while True:
            try:
                left = max(deadline - self.retry.monotonic(), _SMALLEST_ATTEMPT_SECONDS)
                return method(request, timeout=left, metadata=self.metadata)
            except grpc.RpcError as error:
                failure = call_failed(error, address, allowed)
                delay = self.retry.delay_seconds(attempt, failure.wait_seconds)
                time_left = deadline - self.retry.monotonic() - delay
                if not failure.may_succeed_later or time_left < _SMALLEST_ATTEMPT_SECONDS:
                    raise self.explained(failure) from error
            self.retry.sleep(delay)
            attempt += 1

    def explained(self, failure: CallFailed) -> CallFailed:
        """The failure that is raised in the end: where nobody answers, it says whether something listens."""
        is_silent = failure.code is grpc.StatusCode.UNAVAILABLE and failure.is_unreachable
        if not is_silent or not accepts_connections(failure.address):
            return failure
        return failure.beside_a_listener(self.security.uses_tls(failure.address))

    def pages(
        self, method: grpc.UnaryUnaryMultiCallable[RequestT, PageT], request: RequestT, address: str, page_size: int
    ) -> Iterator[PageT]:
        """Every page of a list method, each with the whole deadline.

        Raises:
            CallFailed: a page could not be read.
        """
        request.page_size = page_size  # type: ignore[attr-defined]
        while True:
            page = self.call(method, request, address)
            yield page
            token: str = page.next_page_token  # type: ignore[attr-defined]
            if not token:
                return
            request.page_token = token  # type: ignore[attr-defined]


def new_request_id(given: str | None) -> str:
    """The caller's request id, or a fresh one: made once per mutation, so that a retry repeats it."""
    return given or str(uuid.uuid4())
