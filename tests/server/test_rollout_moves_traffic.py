"""The wired server from the journal to the answer: what RolloutService records is what callers and the page get."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

from waiting import wait_until

from covey.v1 import analyzer_pb2, journal_pb2, rollout_spec_pb2, rollouts_pb2

from .rollout_rooms import looked
from .running import NATIVE, REFERENCE, ServedHere, ServerProcess, Stubs, question

NAME = "rollouts/r"


def begin(server: Stubs, traffic_share: float, rollout_id: str = "r") -> rollouts_pb2.Rollout:
    """Create and start a rollout of the native over the reference engine."""
    spec = rollout_spec_pb2.RolloutSpec(
        target="analyzer",
        baseline=REFERENCE,
        candidate=NATIVE,
        shadow_share=0.0,
        phases=[
            rollout_spec_pb2.Phase(
                name="canary",
                traffic_share=traffic_share,
                hold={"seconds": 60},
                criteria=[rollout_spec_pb2.Criterion(statement="p99 < 200 ms")],
            ),
            rollout_spec_pb2.Phase(name="all", traffic_share=1.0, hold={"seconds": 60}),
        ],
    )
    server.rollouts.CreateRollout(
        rollouts_pb2.CreateRolloutRequest(rollout_id=rollout_id, spec=spec, request_id=f"create {rollout_id}"),
        timeout=30,
    )
    request = rollouts_pb2.StartRolloutRequest(name=f"rollouts/{rollout_id}", request_id=f"start {rollout_id}")
    return server.rollouts.StartRollout(request, timeout=10).rollout


def enter(server: Stubs, rollout: rollouts_pb2.Rollout) -> rollouts_pb2.Rollout:
    """Enter the first phase, as a controller does."""
    lease = server.rollouts.AcquireLease(
        rollouts_pb2.AcquireLeaseRequest(target="analyzer", holder="test", request_id="lease"), timeout=10
    )
    weight_bp = round(rollout.spec.phases[0].traffic_share * 10_000)
    look = looked(datetime.now(UTC))
    entered = journal_pb2.Entry(phase_entered={"phase": "canary", "candidate_weight_bp": weight_bp})
    return server.rollouts.CommitDecision(
        rollouts_pb2.CommitDecisionRequest(
            name=NAME,
            epoch=lease.epoch,
            expected_sequence=rollout.last_sequence,
            entries=[look, entered],
            request_id="enter",
        ),
        timeout=10,
    ).rollout


def weight(server: Stubs) -> float:
    """The candidate's share as this replica applies it."""
    return server.samples("covey_rollout_weight_ratio", rollout=NAME)[()]


def test_a_phase_moves_learners_and_an_abort_brings_them_back_at_once(server: ServedHere) -> None:
    rollout = begin(server, 0.5)
    assert weight(server) == 0.0
    enter(server, rollout)
    wait_until(lambda: weight(server) == 0.5)
    variants = [server.analyzer.AnalyzeLearner(question(str(number)), timeout=10).variant for number in range(60)]
    assert set(variants) == {NATIVE, REFERENCE}
    assert server.count(variant=NATIVE, code="OK") == variants.count(NATIVE)
    limits = server.samples("covey_requests_over_limit_total", method="AnalyzeLearner")
    assert {dict(labels)["variant"] for labels in limits} == {NATIVE, REFERENCE}
    assert {dict(labels)["limit_seconds"] for labels in limits} == {"0.2"}
    abort = rollouts_pb2.AbortRolloutRequest(name=NAME, reason="enough", request_id="abort")
    assert server.rollouts.AbortRollout(abort, timeout=10).rollout.candidate_weight_bp == 0
    after = [server.analyzer.AnalyzeLearner(question(str(number)), timeout=10).variant for number in range(60)]
    assert set(after) == {REFERENCE}


def test_a_restart_serves_the_weight_of_the_journal(server_process: Callable[..., ServerProcess]) -> None:
    server = server_process()
    enter(server, begin(server, 0.9999))
    wait_until(lambda: weight(server) == 0.9999)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(30)
    started = time.monotonic()
    again = server_process()
    assert again.analyzer.AnalyzeLearner(question("1"), timeout=10).variant == NATIVE
    assert weight(again) == 0.9999
    assert time.monotonic() - started < 20
    assert again.terminate() == 0


def test_two_crashes_of_a_candidate_bring_its_weight_to_0(server_process: Callable[..., ServerProcess]) -> None:
    arguments = ("--enable-faults", "--fault", "candidate-crashes")
    server = server_process(*arguments)
    enter(server, begin(server, 0.9999))
    wait_until(lambda: weight(server) == 0.9999)
    for _ in range(2):
        calls = [server.analyzer.AnalyzeLearner.future(question(str(number)), timeout=10) for number in range(60)]
        assert server.process.wait(30) == -signal.SIGABRT
        assert any(call.exception() is not None for call in calls)
        server = server_process(*arguments)
    info = server.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=10)
    assert info.active_split.candidate_weight_bp == 0
    variants = {server.analyzer.AnalyzeLearner(question(str(number)), timeout=10).variant for number in range(60)}
    assert variants == {REFERENCE}
    entries = server.rollouts.ListEntries(rollouts_pb2.ListEntriesRequest(parent=NAME), timeout=10).entries
    causes = [entry.rollback_started.cause for entry in entries if entry.HasField("rollback_started")]
    assert causes == [journal_pb2.RollbackStarted.CAUSE_CRASH_LOOP]
