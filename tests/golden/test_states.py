"""State of earlier releases: new code opens it, one step back works, a kill at any step leaves one that opens."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from covey.rollout.spec import spec_digest
from covey.v1 import analyzer_pb2, rollouts_pb2
from covey_server.config import Address, ServerConfig
from covey_server.rollouts.journal_audit import store_to_audit
from covey_server.store import StoreError, open_store, store_at_rest
from covey_server.store.migrations import NEWEST_VERSION
from covey_server.store.steps import FIRST_VERSION, STEPS
from covey_server.wiring import AnalyzerServer, wall_clock

from .states import VERSIONS, columns, dumped, lay_out

FREE = Address("127.0.0.1", 0)
# Rooms declare their tables when they are imported; a start of a server does all of this.
OPEN = """
import sys
from covey_server.wiring import AnalyzerServer, wall_clock
from covey_server.config import Address, ServerConfig
from pathlib import Path
free = Address("127.0.0.1", 0)
config = ServerConfig(Path(sys.argv[1]), listen=free, control_listen=free, metrics_listen=free)
AnalyzerServer(config, wall_clock).stop()
"""


def started(directory: Path) -> AnalyzerServer:
    return AnalyzerServer(ServerConfig(directory, listen=FREE, control_listen=FREE, metrics_listen=FREE), wall_clock)


def version_of(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "covey.db")) as connection:
        (version,) = connection.execute("SELECT version FROM schema_version").fetchone()
    return int(version)


def test_every_version_before_this_one_has_its_golden_state() -> None:
    assert list(range(FIRST_VERSION, NEWEST_VERSION)) == VERSIONS
    assert [step.version for step in STEPS] == list(range(FIRST_VERSION + 1, NEWEST_VERSION + 1))


@pytest.mark.parametrize("version", VERSIONS)
def test_new_code_opens_the_state_of_an_earlier_release(version: int, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    known = lay_out(version, directory)
    server = started(directory)
    try:
        for name, (state, weight_bp, last_sequence, digest) in known.items():
            found = server.journal.state(name)
            assert rollouts_pb2.Rollout.State.Name(found.state) == state
            assert (found.candidate_weight_bp, found.last_sequence) == (weight_bp, last_sequence)
            assert found.spec_digest == digest, "what was signed is still signed"
            assert len(list(server.journal.entries(name))) == last_sequence
        datasets = server.dataset_rooms.datasets
        (dataset,) = datasets.list(analyzer_pb2.ListDatasetsRequest()).datasets
        assert (dataset.name, dataset.event_count) == ("datasets/history", 12)
        assert datasets.check_files() == 0
    finally:
        server.stop()
    assert version_of(directory) == NEWEST_VERSION
    with store_to_audit(directory) as store:
        assert [store.checked(name).breaks for name in store.names()] == [()] * len(known)
    copy = directory / f"covey.version-{version}.db"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchone() == (version,)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migrated_state_has_the_tables_of_a_new_one(version: int, tmp_path: Path) -> None:
    lay_out(version, tmp_path / "old")
    started(tmp_path / "old").stop()
    started(tmp_path / "new").stop()
    assert columns(tmp_path / "old") == columns(tmp_path / "new")


@pytest.mark.parametrize("version", VERSIONS)
def test_steps_back_give_the_old_state_again_and_steps_forward_the_same_as_before(version: int, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    lay_out(version, directory)
    before = columns(directory), [line for line in dumped(directory) if line.startswith("INSERT")]
    with store_at_rest(directory) as store:
        assert store.bring_to().steps
    forward = dumped(directory)
    with store_at_rest(directory) as store:
        migrated = store.bring_to(version)
        assert (migrated.found, migrated.version) == (NEWEST_VERSION, version)
    assert (columns(directory), [line for line in dumped(directory) if line.startswith("INSERT")]) == before
    with store_at_rest(directory) as store:
        store.bring_to()
    assert dumped(directory) == forward


def test_versions_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    for target in (0, NEWEST_VERSION + 1):
        with store_at_rest(tmp_path) as store, pytest.raises(StoreError, match=f"there is no version {target}"):
            store.bring_to(target)


def steps_to_kill_at() -> list[str]:
    """Every failpoint of a migration, the later steps' too."""
    count = NEWEST_VERSION - FIRST_VERSION
    once = ["migrate.before_copy:kill", "copy.written:kill", "copy.named:kill"]
    each = ("migrate.begun", "migrate.changed", "store.before_commit", "store.committed", "migrate.stepped")
    return once + [f"{point}:kill:{number}" for number in range(1, count + 1) for point in each]


@pytest.mark.parametrize("fault", steps_to_kill_at())
def test_a_kill_at_any_step_of_a_migration_leaves_a_state_that_opens(fault: str, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    known = lay_out(FIRST_VERSION, directory)
    command = [sys.executable, "-c", OPEN, str(directory)]
    environment = os.environ | {"COVEY_FAULT": fault}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    server = started(directory)
    try:
        for name, (_, weight_bp, last_sequence, _) in known.items():
            assert server.journal.state(name).last_sequence == last_sequence
            assert server.journal.state(name).candidate_weight_bp == weight_bp
    finally:
        server.stop()
    assert version_of(directory) == NEWEST_VERSION
    with store_to_audit(directory) as store:
        assert [store.checked(name).breaks for name in store.names()] == [()] * len(known)


def test_a_step_that_is_not_in_one_transaction_would_be_found(tmp_path: Path) -> None:
    """The twin: a step that commits in its middle, killed there, leaves a state that nothing opens."""
    directory = tmp_path / "data"
    lay_out(FIRST_VERSION, directory)
    with closing(sqlite3.connect(directory / "covey.db")) as connection, connection:
        connection.execute("ALTER TABLE journal_entries ADD COLUMN digest BLOB")
    with pytest.raises(StoreError, match="duplicate column"):
        open_store(directory)


def test_a_spec_from_before_today_s_defaults_is_believed(tmp_path: Path) -> None:
    """A digest is over the bytes that were signed: the golden specs lack no default, so one is taken away."""
    from covey.rollout.spec import stored_digest
    from covey.rollout.state import IllegalEntry, apply
    from covey.v1.journal_pb2 import Entry

    directory = tmp_path / "data"
    lay_out(FIRST_VERSION, directory)
    store = open_store(directory)
    try:
        with store.read() as connection:
            payload = connection.exec_driver_sql("SELECT payload FROM journal_entries LIMIT 1").scalar_one()
    finally:
        store.close()
    created = Entry.FromString(payload)
    created.created.spec.ClearField("error_floor")
    created.created.spec_digest = stored_digest(created.created.spec)
    assert created.created.spec_digest != spec_digest(created.created.spec), "today's defaults would be another spec"
    assert apply(None, created).spec_digest == created.created.spec_digest
    created.created.spec.shadow_share = 0.5
    with pytest.raises(IllegalEntry, match="digest"):
        apply(None, created)
