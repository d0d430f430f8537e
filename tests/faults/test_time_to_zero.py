"""How long a bad candidate has traffic: from the fault to the last call that the baseline does not answer.

In the suite one fault, once; COVEY_FAULTS_ZEROES=5 measures every kind so often, for docs/reliability.md.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import grpc
import numpy as np
import pytest
from e2e.test_foreign_service import NAME, SECONDS, begin, reached, story
from e2e.test_foreign_service import Stage as EchoStage
from findings import Finding
from waiting import wait_until

from covey import failpoints
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollouts_pb2 import Rollout

from .amounts import amount
from .zero_stage import Asker, Fault, Measured, Stage, is_quiet

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

ZEROES = amount("ZEROES", 0)
MOST_SECONDS = 120.0
MOST_CRASH_TICKS = 2
# The default; nothing of a crash loop waits for a look.
CRASH_TICK_SECONDS = 30.0


def kill_twice(stage: Stage) -> None:
    stage.kill_server()
    stage.kill_server()


def cut_metrics(stage: Stage) -> None:
    stage.relay.is_cut = True


def mend_metrics(stage: Stage) -> None:
    stage.relay.is_cut = False


def kill_controller(stage: Stage) -> None:
    assert stage.controller.process is not None
    stage.controller.process.kill()


def report(stage: Stage) -> None:
    stage.client.report_incident(stage.name, "i", description="learners see nothing", critical=True)


def abort(stage: Stage) -> None:
    stage.client.abort_rollout(stage.name, reason="it is bad")


def hang_store(_: Stage) -> None:
    failpoints.arm("store.probed:hang")


FAULTS = [
    Fault("exceptions in 3 % of the calls", ("error-rate=0.03",)),
    Fault("exceptions in every call", ("error-rate=1",)),
    Fault("5 % of the calls 300 ms late", ("latency=300ms@0.05",)),
    Fault("latency doubled", ("latency-doubled",)),
    Fault("2 % of the answers wrong", ("wrong-result=0.02",)),
    Fault("hangs", ("candidate-hangs",)),
    Fault(
        "crashes with every 20th call",
        ("candidate-crashes",),
        begins_with="UNAVAILABLE",
        is_crash=True,
        tick_seconds=CRASH_TICK_SECONDS,
    ),
    Fault("killed -9, and again once it is back", act=kill_twice, is_crash=True, tick_seconds=CRASH_TICK_SECONDS),
    Fault("exceptions in 30 %, its controller killed", ("error-rate=0.3",), act=kill_controller),
    Fault("hangs, its metrics page gone", ("candidate-hangs",), act=cut_metrics, restores=mend_metrics),
    Fault("its store hangs", act=hang_store, is_here=True, restores=lambda _: failpoints.disarm()),
    Fault("a critical incident is reported", act=report),
    Fault("somebody aborts", act=abort),
]
IN_THE_SUITE = {"exceptions in every call"}


@pytest.fixture(scope="module")
def measured() -> Iterator[list[Measured]]:
    """What was measured by all tests of this file."""
    found: list[Measured] = []
    yield found
    failpoints.disarm()


def table(found: list[Measured]) -> str:
    """As docs/reliability.md has it."""
    lines = ["| fault | times | median | longest | tick | longest in ticks | cause |", "|---|---|---|---|---|---|---|"]
    for name, group in groupby(found, key=lambda each: each.fault):
        same = list(group)
        seconds = [each.seconds for each in same]
        causes = ", ".join(sorted({each.cause.removeprefix("CAUSE_").lower().replace("_", " ") for each in same}))
        lines.append(
            f"| {name} | {len(same)} | {np.median(seconds):.1f} s | {max(seconds):.1f} s | {same[0].tick_seconds:g} s"
            f" | {max(each.ticks for each in same):.1f} | {causes or 'held at 0'} |"
        )
    seconds = [each.seconds for each in found]
    p99 = np.quantile(seconds, 0.99, method="higher")
    return "\n".join([*lines, f"| all | {len(found)} | {np.median(seconds):.1f} s | p99 {p99:.1f} s | | | |"])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_from_the_fault_to_zero(fault: Fault, tmp_path: Path, measured: list[Measured]) -> None:
    times = ZEROES or int(fault.name in IN_THE_SUITE)
    if not times:
        pytest.skip("COVEY_FAULTS_ZEROES measures every kind")
    stage = Stage(tmp_path, fault)
    try:
        measured.extend(stage.measure() for _ in range(times))
    finally:
        stage.close()
    mine = [each for each in measured if each.fault == fault.name]
    assert max(each.seconds for each in mine) < MOST_SECONDS
    if fault.is_crash:
        assert max(each.ticks for each in mine) <= MOST_CRASH_TICKS


@pytest.mark.parametrize("number", range(ZEROES))
def test_a_foreign_candidate_is_killed_behind_haproxy(number: int, tmp_path: Path, measured: list[Measured]) -> None:
    """A process of its own: nothing of the baseline dies with it."""
    echo = EchoStage(tmp_path)
    try:
        client = begin(echo, "haproxy", 0.0)
        with client, grpc.insecure_channel(f"127.0.0.1:{echo.ports['7000']}") as channel:
            say = channel.unary_unary("/echo.Echo/Say")

            def asked(number: int) -> tuple[grpc.Future[bytes], Callable[[bytes], str]]:
                header = (("x-covey-learner", f"learner-{number % 500}"),)
                return say.future(b" hello", timeout=2, metadata=header), echoed_by

            asker = Asker(asked, 100.0)
            try:
                assert wait_until(lambda: any(each.who == "candidate" for each in asker.since(0.0)), SECONDS)
                killed = time.monotonic()
                echo.kill("echo2")
                assert reached(client, Rollout.STATE_ROLLED_BACK), story(echo, client)
                assert wait_until(lambda: is_quiet(asker, killed), SECONDS)
                last = max((each.sent for each in asker.since(killed) if each.who != "baseline"), default=killed)
            finally:
                asker.stop()
            (rollback,) = (e.rollback_started for e in client.list_entries(NAME) if e.HasField("rollback_started"))
    finally:
        echo.close()
    cause = RollbackStarted.Cause.Name(rollback.cause)
    measured.append(Measured("a process of its own behind HAProxy, killed -9", last - killed, 0.5, cause))
    assert measured[-1].ticks <= MOST_CRASH_TICKS


def test_every_fault_in_one_table(measured: list[Measured], finding: Finding) -> None:
    if not ZEROES:
        pytest.skip("COVEY_FAULTS_ZEROES measures every kind")
    finding(f"\n{table(measured)}")


def echoed_by(answer: bytes) -> str:
    return "baseline" if answer.startswith(b"1") else "candidate"


def test_while_nobody_looks_a_bad_candidate_keeps_its_traffic(tmp_path: Path) -> None:
    """The twin: the same fault, and a controller that is stopped."""
    stage = Stage(tmp_path, Fault("exceptions in every call", ("error-rate=1",), act=stop_controller, tick_seconds=1.0))
    asker = stage.begin()
    try:
        since = stage.begin_fault(asker, 0.0)
        stage.until(lambda: any(each.sent > since + 6.0 for each in asker.since(since)))
        latest = [each for each in asker.since(since + 5.0) if each.who != "baseline"]
        assert len(latest) > 20, "after five ticks"
    finally:
        asker.stop()
        assert stage.controller.process is not None
        os.killpg(stage.controller.process.pid, signal.SIGCONT)
        stage.close()


def stop_controller(stage: Stage) -> None:
    assert stage.controller.process is not None
    os.killpg(stage.controller.process.pid, signal.SIGSTOP)
