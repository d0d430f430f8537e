"""How often a principal may call: a bucket of tokens each, refilled by the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from covey.access.principals import Principal
from covey_server.errors import CallError

_UNPROVEN = ""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimits:
    """Calls per second and principal; a pause lets a second's worth come at once.

    Args:
        calls_per_second: of each principal whose credential names no other rate; None: as many as they like.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, calls_per_second: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._default = calls_per_second
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, principal: Principal) -> None:
        """Count a call.

        Raises:
            CallError: RESOURCE_EXHAUSTED, with the time after which the next call is admitted.
        """
        rate = principal.calls_per_second or self._default
        if rate is None:
            return
        # Names that nobody proved cost nothing to make up: all of them share one bucket.
        key = principal.name if principal.is_authenticated else _UNPROVEN
        most = max(1.0, rate)
        with self._lock:
            now = self._monotonic()
            bucket = self._buckets.setdefault(key, _Bucket(most, now))
            bucket.tokens = min(most, bucket.tokens + (now - bucket.filled_at) * rate)
            bucket.filled_at = now
            if bucket.tokens >= 1.0:
                bucket.tokens -= 1.0
                return
            wait_seconds = (1.0 - bucket.tokens) / rate
        raise CallError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"{principal.name} has called more often than the {rate:g} times a second that it may; call again later",
            reason="RATE_LIMITED",
            metadata={"calls_per_second": f"{rate:g}"},
            retry_after_seconds=wait_seconds,
        )
