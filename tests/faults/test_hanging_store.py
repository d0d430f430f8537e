"""A store that hangs: an abort does not wait for it, and a server that cannot read it serves the baseline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from server.rollout_rooms import Caller, Rooms, control_port, refusal
from server.running import ServedHere
from waiting import wait_until

from covey import failpoints
from covey.rollout.state import RolloutState
from covey.v1 import journal_pb2
from covey.v1 import rollouts_pb2 as pb
from covey_server.rollouts.board import BoardKeeper
from covey_server.rollouts.journal_entries import Author
from covey_server.rollouts.store_watch import StoreWatch

pytestmark = pytest.mark.quiet

NAME = "rollouts/x"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    made = Rooms(tmp_path / "data")
    made.journal.zero_ahead.patience_seconds = 0.3
    yield made
    failpoints.disarm()
    made.close()


class Hung:
    """Writers that hang with the store, as many as the control port has threads for."""

    def __init__(self, port: int, count: int = 12) -> None:
        failpoints.arm("store.before_commit:hang")
        self._threads = [threading.Thread(target=self._pause, args=(port, number)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _pause(self, port: int, number: int) -> None:
        call = Caller(port)
        try:
            call("ReportIncident", incident_id=f"i{number}", description="slow", request_id=f"hung {number}")
        except grpc.RpcError:
            pass  # its deadline
        finally:
            call.close()

    def let_go(self) -> None:
        failpoints.disarm()
        for thread in self._threads:
            thread.join(30)


def test_an_abort_does_not_wait_for_a_store_that_hangs(rooms: Rooms) -> None:
    rooms.to_canary()
    with control_port(rooms) as port:
        hung = Hung(port.port)
        wait_until(rooms.store._writer._lock.locked)
        call = Caller(port.port)
        begun = time.monotonic()
        refused = refusal(call, "AbortRollout", reason="it is bad", request_id="abort")
        took = time.monotonic() - begun
        assert rooms.weight() == 0
        assert took < 5, f"{took:.1f} s"
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert "the candidate's weight is 0 on this server" in refused.message
        assert call("GetRollout").state == pb.Rollout.STATE_RUNNING, "the journal does not know"
        hung.let_go()
        wait_until(lambda: rooms.journal.state(NAME).state == pb.Rollout.STATE_ROLLING_BACK, 30)
        again = call("AbortRollout", reason="it is bad", request_id="abort").rollout
        assert again.state == pb.Rollout.STATE_ROLLING_BACK
        kinds = [entry.WhichOneof("payload") for entry in call.entries()]
        assert kinds.count("rollback_started") == 1
        call.close()


def test_an_abort_that_waits_for_the_store_leaves_the_weight(rooms: Rooms) -> None:
    """The twin."""
    rooms.journal.zero_ahead.patience_seconds = 3600.0
    rooms.to_canary()
    with control_port(rooms) as port:
        hung = Hung(port.port)
        wait_until(rooms.store._writer._lock.locked)
        call = Caller(port.port)
        request = pb.AbortRolloutRequest(name=NAME, reason="it is bad", request_id="abort")
        with pytest.raises(grpc.RpcError) as late:
            call.stub.AbortRollout(request, timeout=2)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert rooms.weight() == 100
        hung.let_go()
        wait_until(lambda: rooms.weight() == 0, 30)
        call.close()


def weights_after_a_hung_advance(rooms: Rooms) -> list[int | None]:
    """Weights on the board after an abort ahead of the journal, as the journal brings an older advance to light."""
    rooms.to_canary()
    seen: list[int | None] = []

    def look(_state: RolloutState) -> None:
        rooms.clock.pass_time(2)
        seen.append(rooms.weight())

    rooms.journal.subscribe(look)
    advance = journal_pb2.Entry(phase_entered=journal_pb2.PhaseEntered(phase="full", candidate_weight_bp=10_000))
    failpoints.arm("store.before_commit:hang")
    thread = threading.Thread(target=lambda: rooms.append(advance))
    thread.start()
    wait_until(rooms.store._writer._lock.locked)
    with control_port(rooms) as port:
        call = Caller(port.port)
        refusal(call, "AbortRollout", reason="it is bad")
        call.close()
        seen.append(rooms.weight())
        failpoints.disarm()
        thread.join(30)
        wait_until(lambda: rooms.journal.state(NAME).state == pb.Rollout.STATE_ROLLING_BACK, 30)
    return seen


def test_an_older_advance_does_not_bring_the_weight_back(rooms: Rooms) -> None:
    assert weights_after_a_hung_advance(rooms) == [0, 0, 0]


def test_without_the_hold_an_older_advance_brings_the_weight_back(rooms: Rooms) -> None:
    """The twin: weight 0 once, and not held."""

    class Forgetful(BoardKeeper):
        def hold_at_zero(self, rollout: str) -> None:
            super().hold_at_zero(rollout)
            self._voices = replace(self._voices, held=frozenset())

    rooms.journal.keeper.__class__ = Forgetful
    assert weights_after_a_hung_advance(rooms) == [0, 10_000, 0]


def test_a_refused_rollback_gives_the_weight_back(rooms: Rooms) -> None:
    rooms.to_canary()
    failpoints.arm("store.before_commit:hang")
    thread = threading.Thread(target=lambda: rooms.append(journal_pb2.Entry(paused=journal_pb2.RolloutPaused())))
    thread.start()
    wait_until(rooms.store._writer._lock.locked)

    def refused(connection: Any) -> None:
        rooms.journal.append(connection, NAME, [], Author("a"), expected_sequence=1)

    with pytest.raises(Exception, match="has not answered"):
        rooms.journal.commit(refused, zero_ahead_of=NAME)
    assert rooms.weight() == 0
    failpoints.disarm()
    thread.join(30)
    wait_until(lambda: rooms.weight() == 100, 30)


def test_a_store_that_cannot_be_read_for_a_while_leaves_the_baseline(rooms: Rooms) -> None:
    rooms.to_canary()
    watch = StoreWatch(rooms.store, rooms.journal.keeper, blind_seconds=0.5, look_seconds=0.05)
    try:
        failpoints.arm("store.probed:hang")
        wait_until(lambda: rooms.weight() == 0, 30)
        split = rooms.board.current(rooms.clock.now)
        assert split is not None
        assert split.shadow_share == 0
        rooms.append(journal_pb2.Entry(paused=journal_pb2.RolloutPaused()))
        assert rooms.weight() == 0
        failpoints.disarm()
        wait_until(lambda: rooms.weight() == 100, 30)
    finally:
        watch.stop()


def test_a_server_watches_over_its_store(tmp_path: Path) -> None:
    """The figure of a server as it is: the baseline for everybody 5 to 8 s after its store hangs."""
    served = ServedHere(data_directory=tmp_path / "data")
    try:
        call = Caller(served.control_port)
        call.started()
        call.enter_canary(call.lease())
        board, clock = served.room.board, served.room.clock
        wait_until(lambda: board.current(clock()) is not None and board.current(clock()).candidate_weight_bp == 100, 30)
        failpoints.arm("store.probed:hang")
        begun = time.monotonic()
        wait_until(lambda: board.current(clock()).candidate_weight_bp == 0, 30)
        assert 4 < time.monotonic() - begun < 20
        failpoints.disarm()
        wait_until(lambda: board.current(clock()).candidate_weight_bp == 100, 30)
        call.close()
    finally:
        failpoints.disarm()
        served.stop()


def test_a_server_that_does_not_watch_its_store_keeps_the_candidate(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: it is blind all the same, and does not see that it is."""
    monkeypatch.setattr(StoreWatch, "_watch", lambda watch: None)
    rooms.to_canary()
    watch = StoreWatch(rooms.store, rooms.journal.keeper, blind_seconds=0.2, look_seconds=0.05)
    try:
        failpoints.arm("store.probed:hang")
        wait_until(lambda: watch.unread_seconds > 1, 30)
        assert rooms.weight() == 100
    finally:
        failpoints.disarm()
        wait_until(lambda: watch.unread_seconds < 1, 30)
        watch.stop()
