"""A full disk: no advance, reads go on, a rollback is recorded all the same, and what was set aside comes back."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from server.rollout_rooms import Caller, Refusal, Rooms, control_port, looked, refusal, tick
from server.running import ServerProcess

from covey.v1 import rollouts_pb2 as pb
from covey_server.rollouts.journal_audit import store_to_audit
from covey_server.store import StoreError
from covey_server.store.ballast import BALLAST_NAME, DEFAULT_BYTES

from .disks import fill, needs_mount, small_disk

pytestmark = [pytest.mark.e2e, needs_mount]

NAME = "rollouts/x"
BALLAST_BYTES = 128 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1024) as place:
        yield place


def until_full(rooms: Rooms, disk: Path) -> None:
    """Fill the disk, then the blocks that the database had left over."""
    fill(disk)
    for _ in range(1000):
        try:
            rooms.append(tick())
        except StoreError as error:
            assert error.is_full
            return
    raise AssertionError("the disk is never full")


def test_nothing_advances_reads_go_on_and_an_abort_is_recorded(disk: Path) -> None:
    rooms = Rooms(disk / "data", ballast_bytes=BALLAST_BYTES)
    rooms.to_canary()
    until_full(rooms, disk)
    before = rooms.journal.state(NAME).last_sequence
    with control_port(rooms) as port:
        call = Caller(port.port)
        refused = refusal(call, "PauseRollout")
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert call("GetRollout").last_sequence == before, "reads go on"
        assert rooms.weight() == 100
        aborted = call("AbortRollout", reason="the disk is full").rollout
        assert aborted.state == pb.Rollout.STATE_ROLLING_BACK
        assert rooms.weight() == 0
        assert not (rooms.store.directory / BALLAST_NAME).exists(), "it gave its space"
        refused = refusal(call, "ReportIncident", incident_id="i", description="d")
        assert "the disk is full; only rollbacks are recorded" in refused.message
        call.close()
    # The next server starts on the full disk, and knows of the abort.
    again = rooms.reopened()
    try:
        assert again.journal.state(NAME).state == pb.Rollout.STATE_ROLLING_BACK
        assert again.weight() == 0
        until_full(again, disk)
        (disk / "filler").unlink()
        again.append(tick())
        assert (again.store.directory / BALLAST_NAME).stat().st_size == BALLAST_BYTES, "and is set aside again"
    finally:
        again.close()
    with store_to_audit(disk / "data") as store:
        assert store.checked(NAME).breaks == ()


def test_without_ballast_the_abort_is_in_force_and_not_recorded(disk: Path) -> None:
    """The twin."""
    rooms = Rooms(disk / "data", ballast_bytes=0)
    rooms.to_canary()
    until_full(rooms, disk)
    with control_port(rooms) as port:
        call = Caller(port.port)
        assert refusal(call, "AbortRollout", reason="full").code == grpc.StatusCode.UNAVAILABLE
        assert rooms.weight() == 0, "weight 0 may run ahead of the journal"
        call.close()
    again = rooms.reopened()
    try:
        assert again.journal.state(NAME).state == pb.Rollout.STATE_RUNNING
        assert again.weight() == 100, "which a restart forgets"
    finally:
        again.close()


def test_thirty_rollbacks_fit_into_the_ballast_of_a_server(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8192) as disk:
        rooms = Rooms(disk / "data", DEFAULT_BYTES)
        names = [f"rollouts/x{number}" for number in range(30)]
        for name in names:
            rooms.create(name)
        rooms.to_canary()
        fill(disk)
        with pytest.raises(StoreError) as full:
            while True:
                rooms.append(tick())
        assert full.value.is_full
        with control_port(rooms) as port:
            call = Caller(port.port)
            for name in (NAME, *names):
                call("AbortRollout", name=name, reason="the disk is full")
            call.close()
        rooms.close()


def test_a_server_process_lives_through_a_full_disk(disk: Path, tmp_path: Path) -> None:
    ports = (tmp_path / f"ports{number}.json" for number in itertools.count())
    options = ("--ballast-kilobytes", "128")
    server = ServerProcess(disk / "data", next(ports), options)
    call = Caller(server.control_port)
    call.started()
    epoch = call.lease()
    call.enter_canary(epoch)
    fill(disk)
    refused = first_refusal(call, epoch)
    assert refused.code == grpc.StatusCode.UNAVAILABLE
    assert call("GetRollout").candidate_weight_bp == 100
    os.kill(server.process.pid, signal.SIGKILL)
    server.kill()
    # It comes up again on the full disk, serves the share that the journal says, and takes the abort.
    server = ServerProcess(disk / "data", next(ports), options)
    call = Caller(server.control_port)
    assert call("GetRollout").candidate_weight_bp == 100
    assert call("AbortRollout", reason="full").rollout.candidate_weight_bp == 0
    os.kill(server.process.pid, signal.SIGKILL)
    server.kill()
    server = ServerProcess(disk / "data", next(ports), options)
    call = Caller(server.control_port)
    assert call("GetRollout").candidate_weight_bp == 0
    assert server.terminate() == 0
    server.kill()


def first_refusal(call: Caller, epoch: int) -> Refusal:
    """The refusal of the first look that finds no space."""
    for _ in range(1000):
        try:
            call.commit(epoch, looked(weight_bp=100))
        except grpc.RpcError as error:
            return Refusal(error)
    raise AssertionError("the disk is never full")
