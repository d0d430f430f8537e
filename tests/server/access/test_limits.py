"""Calls per second and principal, by a clock moved by hand and over a real port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from covey.access.principals import Principal, Role, unproven
from covey.v1 import analyzer_pb2
from covey_server.access.limits import RateLimits
from covey_server.errors import CallError

from ..rollout_rooms import Refusal
from ..running import ServedHere
from .known import TokensFile

INFO = analyzer_pb2.GetServerInfoRequest()
ADA, BEN = Principal("ada"), Principal("ben", calls_per_second=100.0)


class Limits:
    """Limits of two calls a second under a clock moved by hand."""

    def __init__(self, rate: float | None = 2.0) -> None:
        self.now = 0.0
        self.limits = RateLimits(rate, lambda: self.now)

    def admitted(self, principal: Principal, attempts: int) -> int:
        return sum(self._is_admitted(principal) for _ in range(attempts))

    def _is_admitted(self, principal: Principal) -> bool:
        try:
            self.limits.take(principal)
        except CallError:
            return False
        return True


def test_a_rate_holds_over_time_and_lets_a_second_come_at_once() -> None:
    clocked = Limits()
    assert clocked.admitted(ADA, 10) == 2
    total = 0
    for _ in range(80):
        clocked.now += 0.125
        total += clocked.admitted(ADA, 5)
    assert total == 20
    clocked.now += 3600.0
    assert clocked.admitted(ADA, 10) == 2


def test_each_has_a_bucket_and_a_credentials_own_rate_counts() -> None:
    clocked = Limits()
    assert clocked.admitted(ADA, 10) == 2
    assert clocked.admitted(Principal("cleo"), 10) == 2
    assert clocked.admitted(BEN, 1000) == 100


def test_names_that_nobody_proved_share_one() -> None:
    clocked = Limits()
    assert sum(clocked.admitted(unproven(f"name-{number}"), 1) for number in range(10)) == 2


def test_a_refusal_says_when_the_next_call_is_admitted() -> None:
    clocked = Limits()
    clocked.admitted(ADA, 2)
    with pytest.raises(CallError) as refused:
        clocked.limits.take(ADA)
    assert refused.value.retry_after_seconds == pytest.approx(0.5)
    clocked.now += 0.5
    clocked.limits.take(ADA)


def test_without_a_rate_nobody_is_refused() -> None:
    assert Limits(None).admitted(ADA, 1000) == 1000


def test_who_calls_too_often_is_refused_and_nobody_else(
    start_server: Callable[..., ServedHere], tmp_path: Path
) -> None:
    tokens = TokensFile(tmp_path / "tokens.json")
    tokens.add("second", {Role.VIEWER})
    served = start_server(tokens=tokens.path, calls_per_second=1)

    def ask(name: str) -> Refusal | None:
        try:
            served.analyzer.GetServerInfo(INFO, timeout=20, metadata=tokens.metadata(name))
        except grpc.RpcError as error:
            return Refusal(error)
        return None

    refusals = [refusal for refusal in (ask("viewer") for _ in range(50)) if refusal is not None]
    assert refusals
    assert {(refusal.code, refusal.reason) for refusal in refusals} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    }
    assert all(refusal.retry_after_seconds for refusal in refusals)
    assert ask("second") is None
