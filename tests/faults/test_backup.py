"""Backups of a live server: consistent, checked byte by byte, put back whole or not at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from server.rollout_rooms import Caller, looked
from server.running import ServedHere, ServerProcess, history

from covey.v1 import analyzer_pb2, datasets_pb2
from covey_server.backup import check_backup, make_backup, making, restore_backup
from covey_server.backup.manifest import MANIFEST_NAME
from covey_server.rollouts.journal_audit import store_to_audit
from covey_server.store import StoreError, open_store

pytestmark = pytest.mark.e2e

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAME = "rollouts/x"
CHUNK_EVENTS = 40


def chunk(number: int) -> datasets_pb2.AppendEventsRequest:
    packed = history(number, CHUNK_EVENTS)
    packed.learner_id_dictionary.values.extend(["ann", "bob"])
    packed.learner_id_dictionary.indices_uint8 = bytes([0, 1] * (CHUNK_EVENTS // 2))
    return datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed)


def create(server: Any, dataset: str) -> None:
    request = analyzer_pb2.CreateDatasetRequest(dataset_id=dataset, request_id=f"create {dataset}")
    server.analyzer.CreateDataset(request, timeout=30)


def append(server: Any, dataset: str, numbers: range) -> int:
    """Chunks to a dataset; how many events are synced."""
    first = datasets_pb2.AppendEventsRequest(dataset=f"datasets/{dataset}", append_id="a")
    answers = server.analyzer.AppendEvents(iter([first, *map(chunk, numbers)]), timeout=60)
    return int(list(answers)[-1].synced_event_count)


class Load:
    """Callers that write to a server until told to stop, and remember what was acknowledged.

    Every file of the dataset is small, so that files come and go by compaction too.
    """

    def __init__(self, server: ServerProcess, epoch: int) -> None:
        self.server, self.epoch = server, epoch
        self.sequence = self.events = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=target) for target in (self._look, self._append)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _look(self) -> None:
        call = Caller(self.server.control_port)
        self.sequence = call("GetRollout").last_sequence
        while not self._stop.is_set():
            sequence = self.sequence
            answer = call.commit(
                self.epoch, looked(weight_bp=100), expected_sequence=sequence, request_id=f"look {sequence}"
            )
            self.sequence = answer.rollout.last_sequence
        call.close()

    def _append(self) -> None:
        numbers = iter(range(1, 1_000_000))

        def chunks() -> Iterator[datasets_pb2.AppendEventsRequest]:
            yield datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="a")
            while not self._stop.is_set():
                yield chunk(next(numbers))

        for answer in self.server.analyzer.AppendEvents(chunks(), timeout=120):
            self.events = answer.synced_event_count


def events_of(server: ServedHere) -> int:
    view = server.room.dataset_rooms.datasets.view("datasets/d")
    assert server.room.dataset_rooms.datasets.check_files() == 0
    return view.event_count


def test_backups_under_load_hold_everything_acknowledged_before_them(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", tmp_path / "ports.json")
    made: list[tuple[Path, int, int]] = []
    try:
        call = Caller(server.control_port)
        call.started()
        epoch = call.lease()
        call.enter_canary(epoch)
        create(server, "d")
        load = Load(server, epoch)
        try:
            for number in range(4):
                enough = threading.Event()
                for _ in range(600):
                    if load.events >= 200 * CHUNK_EVENTS * (number + 1) or enough.wait(0.05):
                        break
                acknowledged = load.sequence, load.events
                folder = tmp_path / f"backup{number}"
                make_backup(tmp_path / "data", folder, NOW)
                made.append((folder, *acknowledged))
        finally:
            load.stop()
        assert load.sequence > made[-1][1] > made[0][1] > 0
        assert load.events > made[-1][2] > made[0][2] > 0
    finally:
        server.kill()
    for number, (folder, sequence, events) in enumerate(made):
        with store_to_audit(folder) as store:
            assert store.checked(NAME).breaks == ()
        directory = tmp_path / f"restored{number}"
        restore_backup(folder, directory)
        restored = ServedHere(data_directory=directory)
        try:
            assert restored.room.journal.state(NAME).last_sequence >= sequence
            assert events_of(restored) >= events
            assert events_of(restored) % CHUNK_EVENTS == 0, "chunks are whole"
            assert append(restored, "d", range(1, events // CHUNK_EVENTS)) == events_of(restored), "and known"
        finally:
            restored.stop()


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of a small state."""
    served = ServedHere(data_directory=tmp_path / "data")
    create(served, "d")
    append(served, "d", range(1, 4))
    call = Caller(served.control_port)
    call.started()
    call.close()
    make_backup(tmp_path / "data", tmp_path / "backup", NOW)
    served.stop()
    return tmp_path / "backup"


def test_a_file_that_came_and_went_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = ServedHere(data_directory=tmp_path / "data")
    create(served, "d")
    append(served, "d", range(1, 4))
    copies = []

    def copy(*arguments: Any) -> Path:
        """The first copy knows a dataset whose file nobody has taken, and which is gone before anybody could."""
        if not copies:
            create(served, "short")
            append(served, "short", range(1, 4))
        copies.append(copy_database(*arguments))
        if len(copies) == 1:
            request = analyzer_pb2.DeleteDatasetRequest(name="datasets/short", request_id="delete")
            served.analyzer.DeleteDataset(request, timeout=30)
        return copies[-1]

    copy_database = making.copy_database
    monkeypatch.setattr(making, "copy_database", copy)
    manifest = make_backup(tmp_path / "data", tmp_path / "backup", NOW)
    served.stop()
    assert len(copies) == 2
    assert not any("short" in name for name in manifest.files)
    restore_backup(tmp_path / "backup", tmp_path / "restored")
    restored = ServedHere(data_directory=tmp_path / "restored")
    assert events_of(restored) == 3 * CHUNK_EVENTS
    restored.stop()


def test_any_flipped_byte_of_a_backup_is_refused_and_nothing_is_changed(backup: Path, tmp_path: Path) -> None:
    manifest = check_backup(backup)
    chance = random.Random(0)
    target = tmp_path / "restored"
    for name, file in manifest.files.items():
        for _ in range(20):
            path = backup / name
            data = bytearray(path.read_bytes())
            data[chance.randrange(file.byte_count)] ^= 1 << chance.randrange(8)
            good = path.read_bytes()
            path.write_bytes(data)
            with pytest.raises(StoreError, match=f"{name} is not as it was written"):
                restore_backup(backup, target)
            path.write_bytes(good)
            assert not target.exists()
    restore_backup(backup, target)
    open_store(target).close()


def test_without_the_check_a_flipped_byte_is_restored(backup: Path, tmp_path: Path) -> None:
    """The twin: what restores without looking makes a dataset that cannot be read."""
    name = next(name for name in check_backup(backup).files if name.endswith(".arrow"))
    data = bytearray((backup / name).read_bytes())
    data[len(data) // 2] ^= 1
    target = tmp_path / "restored"
    for path in sorted(backup.rglob("*")):
        if path.is_file() and path.name != MANIFEST_NAME:
            copy = target / path.relative_to(backup)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data if path == backup / name else path.read_bytes())
    served = ServedHere(data_directory=target)
    assert served.room.dataset_rooms.datasets.check_files() == 1
    served.stop()


def test_a_damaged_source_is_not_backed_up(backup: Path, tmp_path: Path) -> None:
    path = next((tmp_path / "data" / "datasets").rglob("*.arrow"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match=r"is damaged \(its CRC-32"):
        make_backup(tmp_path / "data", tmp_path / "second", NOW)
    assert not (tmp_path / "second").exists()
    with pytest.raises(StoreError, match="there is something already"):
        make_backup(tmp_path / "data", backup, NOW)


def test_restore_keeps_what_is_there(backup: Path, tmp_path: Path) -> None:
    served = ServedHere(data_directory=tmp_path / "data")
    append(served, "d", range(1, 10))
    with pytest.raises(StoreError, match="another live server"):
        restore_backup(backup, tmp_path / "data", overwrite=True)
    served.stop()
    with pytest.raises(StoreError, match=r"there is state already.*--overwrite"):
        restore_backup(backup, tmp_path / "data")
    _, kept = restore_backup(backup, tmp_path / "data", overwrite=True)
    served = ServedHere(data_directory=tmp_path / "data")
    assert events_of(served) == 3 * CHUNK_EVENTS
    served.stop()
    assert kept is not None
    served = ServedHere(data_directory=kept)
    assert events_of(served) == 9 * CHUNK_EVENTS
    served.stop()


PROGRAM = """
import sys
from pathlib import Path
from datetime import datetime, UTC
from covey_server.backup import make_backup, restore_backup
verb, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
if verb == "backup":
    make_backup(source, target, datetime(2026, 3, 1, tzinfo=UTC))
else:
    restore_backup(source, target, overwrite=True)
"""


def killed(fault: str, *arguments: str) -> None:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = os.environ | {"COVEY_FAULT": fault}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr


@pytest.mark.parametrize("point", ["backup.files_taken", "copy.written", "backup.database_copied", "backup.written"])
def test_a_backup_that_was_killed_is_none(point: str, backup: Path, tmp_path: Path) -> None:
    killed(f"{point}:kill", "backup", str(tmp_path / "data"), str(tmp_path / "second"))
    assert not (tmp_path / "second").exists()
    make_backup(tmp_path / "data", tmp_path / "second", NOW)
    assert check_backup(tmp_path / "second").files.keys() == check_backup(backup).files.keys()


@pytest.mark.parametrize("point", ["restore.staged", "restore.marked", "restore.moved_away", "restore.moved_in"])
def test_a_restore_that_was_killed_is_done_again_or_not_at_all(point: str, backup: Path, tmp_path: Path) -> None:
    served = ServedHere(data_directory=tmp_path / "data")
    append(served, "d", range(1, 10))
    served.stop()
    killed(f"{point}:kill", "restore", str(backup), str(tmp_path / "data"))
    if point == "restore.staged":
        served = ServedHere(data_directory=tmp_path / "data")
        assert events_of(served) == 9 * CHUNK_EVENTS, "nothing was touched"
        served.stop()
    else:
        with pytest.raises(StoreError, match="a restore into it has not ended"):
            open_store(tmp_path / "data")
    restore_backup(backup, tmp_path / "data", overwrite=True)
    served = ServedHere(data_directory=tmp_path / "data")
    assert events_of(served) == 3 * CHUNK_EVENTS
    served.stop()


def test_what_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no good backup: manifest\.json: No such file"):
        restore_backup(tmp_path, tmp_path / "data")
    for text in ("", "{}", '{"format": 2}', '{"format": 1, "time": "", "covey_version": "", "tables_version": 1,'):
        (tmp_path / MANIFEST_NAME).write_text(text)
        with pytest.raises(StoreError, match="no good backup"):
            check_backup(tmp_path)
    head = '{"format": 1, "time": "t", "covey_version": "1", "tables_version": 1, '
    names = head + '"files": {"%s": {"bytes": 1, "sha256": ""}}}'
    for name in ("../../etc/passwd", "datasets/../../x", "datasets/d/f"):
        (tmp_path / MANIFEST_NAME).write_text(names % name)
        with pytest.raises(StoreError, match="no good backup"):
            check_backup(tmp_path)
    with pytest.raises(StoreError, match="there is no store"):
        make_backup(tmp_path, tmp_path / "backup", NOW)
