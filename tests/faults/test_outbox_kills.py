"""kill -9 of the controller and of the server while people act: every transition is told, and doubles share a key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from controller.receivers import receiver
from controller.world import PLAN
from programs import free_port
from waiting import wait_until

from covey.client import CallFailed, Client
from covey.rollout.spec import load_spec

from .amounts import amount

pytestmark = pytest.mark.e2e

NAME = "rollouts/told"
# A controller that dies is succeeded after three ticks.
HASTY = PLAN.replace("tick_interval: 30s", "tick_interval: 1s")
ROUNDS = amount("ROUNDS", 2)
LATER = datetime(2090, 1, 1, tzinfo=UTC)


class Process:
    """A program that is killed and started again on the same ports."""

    def __init__(self, *command: str) -> None:
        self._command = [sys.executable, "-m", *command]
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def again(self) -> None:
        self.kill()
        self.process = self._started()


@pytest.fixture
def started() -> Iterator[Callable[..., Process]]:
    running: list[Process] = []

    def start(*command: str) -> Process:
        running.append(Process(*command))
        return running[-1]

    yield start
    for one in running:
        with suppress(ProcessLookupError):
            one.kill()


def until_done(act: Callable[[], Any]) -> Any:
    """The answer of a call, tried again while the server is away."""
    answers: list[Any] = []

    def tried() -> bool:
        try:
            answers.append(act())
        except CallFailed:
            return False
        return True

    assert wait_until(tried, 60)
    return answers[-1]


def test_nothing_is_lost_and_doubles_share_a_key(started: Callable[..., Process], tmp_path: Path) -> None:
    data, control, metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
    random = Random(11)
    with receiver() as received, Client(control=control, data=data, actor="ada") as client:
        addresses = ("--listen", data, "--control-listen", control, "--metrics-listen", metrics)
        server = started("covey_server.main", "--data-directory", str(tmp_path / "data"), *addresses)
        until_done(lambda: client.create_rollout(NAME, load_spec(HASTY, "plan"), request_id="create"))
        # Its first phase never begins: two crashes under a candidate would end the rollout.
        until_done(lambda: client.postpone_rollout(NAME, "canary", LATER, reason="not today", request_id="postpone"))
        until_done(lambda: client.start_rollout(NAME, request_id="start"))
        replica = f"data={data},metrics=http://{metrics}/metrics"
        where = ("--control", control, "--replica", replica, "--metrics-listen", "127.0.0.1:0")
        controller = started("covey_controller.main", *where, "--webhook", received.url, "--poll-seconds", "0.2")
        assert wait_until(lambda: len(received.keys) >= 2, 60)
        for number in range(ROUNDS):
            until_done(lambda number=number: client.pause_rollout(NAME, reason="x", request_id=f"pause-{number}"))
            random.choice([server.again, controller.again, lambda: None])()
            until_done(lambda number=number: client.resume_rollout(NAME, request_id=f"resume-{number}"))
            random.choice([server.again, controller.again])()
        until_done(lambda: client.abort_rollout(NAME, reason="enough", request_id="abort"))
        controller.again()

        def journal() -> list[str]:
            entries = until_done(lambda: list(client.list_entries(NAME, omit_ticks=True)))
            return [f"{NAME}/{e.sequence}/webhook" for e in entries if e.WhichOneof("payload") != "checkpoint"]

        assert wait_until(lambda: set(journal()) == set(received.keys), 90)
    first = list(dict.fromkeys(received.keys))
    assert first == journal_order(first), "in order"
    bodies = {body["dedupe_key"]: body for body in received.bodies}
    assert all(bodies[body["dedupe_key"]] == body for body in received.bodies), "a double says the same"
    assert sum(body["event"] == "paused" for body in bodies.values()) == ROUNDS


def journal_order(keys: list[str]) -> list[str]:
    return sorted(keys, key=lambda key: int(key.split("/")[2]))
