"""fsync and write that fail: nothing is acknowledged that is not synced, and the store goes on when the disk does."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from server.rollout_rooms import Caller, Refusal, looked, refusal
from server.running import ServerProcess, history

from covey.v1 import analyzer_pb2, datasets_pb2
from covey_server.rollouts.journal_audit import store_to_audit

from .disks import failing_calls, needs_strace

pytestmark = [pytest.mark.e2e, needs_strace]

NAME = "rollouts/x"
# Says what was acknowledged, and goes on after a refusal. The second argument is the twin's switch.
WRITER = """
import sys
from covey_server.store import StoreError, open_store
from sqlalchemy import event, text
store = open_store(sys.argv[1])
with store.write() as connection:
    connection.execute(text("CREATE TABLE kept (number INTEGER PRIMARY KEY)"))
if sys.argv[2] == "without-sync":
    engine = store._writer._engine
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    engine.dispose()
if sys.argv[2] == "without-anchor":
    store._anchor.close()
for number in range(60):
    try:
        store.group_commit(lambda connection: connection.execute(text(f"INSERT INTO kept VALUES ({number})")))
        print("kept", number, flush=True)
    except StoreError as error:
        print("refused", number, error.problem, flush=True)
store.close()
"""


def written_under(directory: Path, injection: str, mode: str = "with-sync") -> tuple[list[int], list[int], list[int]]:
    """Numbers that were acknowledged, refused, and are in the store afterwards, while system calls fail."""
    directory.mkdir()
    calls = injection.partition(":")[0]
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={injection}"]
    program = [sys.executable, "-c", WRITER, str(directory), mode]
    run = subprocess.run([*command, *program], capture_output=True, text=True, timeout=120, check=False)
    if "PTRACE" in run.stderr or "ptrace" in run.stderr:
        pytest.skip(f"tracing is not allowed here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    said = [line.split() for line in run.stdout.splitlines()]
    with closing(sqlite3.connect(directory / "covey.db")) as connection:
        stored = [number for (number,) in connection.execute("SELECT number FROM kept ORDER BY number")]
    return (
        [int(words[1]) for words in said if words[0] == "kept"],
        [int(words[1]) for words in said if words[0] == "refused"],
        stored,
    )


@pytest.mark.parametrize(
    "injection",
    [
        "fdatasync:error=EIO:when=30..40",
        "fdatasync:error=ENOSPC:when=30..40",
        "pwrite64:error=EIO:when=60..80",
        "pwrite64:error=ENOSPC:when=60..80",
    ],
)
def test_what_is_acknowledged_was_synced(injection: str, tmp_path: Path) -> None:
    kept, refused, stored = written_under(tmp_path / "data", injection)
    assert refused, "the faults were noticed"
    assert kept[-1] == 59, "and the store went on after them"
    assert sorted(kept + refused) == list(range(60))
    assert set(kept) <= set(stored)
    assert not set(stored) & set(refused), "a refused write that nothing followed up is not there either"


def test_without_syncs_the_fault_is_acknowledged_away(tmp_path: Path) -> None:
    """The twin: where nothing is synced, no failing sync is noticed."""
    kept, refused, _ = written_under(tmp_path / "data", "fdatasync:error=EIO:when=30+", "without-sync")
    assert (len(kept), refused) == (60, [])


def test_without_an_anchor_what_was_refused_comes_to_pass(tmp_path: Path) -> None:
    """The other twin: closing the last connection makes an unsynced commit of the write-ahead log a real one."""
    _, refused, stored = written_under(tmp_path / "data", "fdatasync:error=EIO:when=30..40", "without-anchor")
    assert set(stored) & set(refused)


def test_a_server_whose_disk_does_not_sync(tmp_path: Path) -> None:
    """No advance, reads and answers go on, an abort is in force at once, and what was refused can be retried."""
    server = ServerProcess(tmp_path / "data", tmp_path / "ports.json")
    try:
        call = Caller(server.control_port)
        call.started()
        epoch = call.lease()
        call.enter_canary(epoch)
        dataset = analyzer_pb2.CreateDatasetRequest(dataset_id="d", request_id="d")
        server.analyzer.CreateDataset(dataset)
        before = call("GetRollout")
        with failing_calls(server.process.pid, "fsync,fdatasync", "EIO"):
            refused = refusal(call.commit, epoch, looked(weight_bp=100))
            assert refused.code == grpc.StatusCode.UNAVAILABLE
            assert call("GetRollout") == before
            assert _append_refusal(server).reason == "STORAGE_FAILED"
            aborted = refusal(call, "AbortRollout", request_id="abort", reason="the disk is ill")
            assert aborted.code == grpc.StatusCode.UNAVAILABLE
            assert f'covey_rollout_weight_ratio{{rollout="{NAME}"}} 0.0' in server.page(), "in force all the same"
        done = call("AbortRollout", request_id="abort", reason="the disk is ill").rollout
        assert done.candidate_weight_bp == 0
        assert list(_append(server))[-1].synced_event_count == 40
        entries = [entry.WhichOneof("payload") for entry in call.entries()]
        assert entries.count("rollback_started") == 1
        assert entries.count("phase_entered") == 1
        os.kill(server.process.pid, signal.SIGKILL)
    finally:
        server.kill()
    with store_to_audit(tmp_path / "data") as store:
        assert store.checked(NAME).breaks == ()


def _append(server: ServerProcess) -> list[datasets_pb2.AppendEventsResponse]:
    packed = history(1, 40)
    packed.learner_id_dictionary.values.extend(["ann", "bob"])
    packed.learner_id_dictionary.indices_uint8 = bytes([0, 1] * 20)
    requests = [
        datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="a"),
        datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed),
    ]
    return list(server.analyzer.AppendEvents(iter(requests), timeout=30))


def _append_refusal(server: ServerProcess) -> Refusal:
    return refusal(_append, server)
