"""Opening a store: one process per directory, errors that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import update

from covey_server.store import Store, StoreError, open_store
from covey_server.store.schema import schema_version

from .store_notes import write_note


def test_a_second_opening_of_a_directory_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"another live server \(process {os.getpid()}\).*data directory.*Stop that"):
        open_store(tmp_path / "data")
    program = f"from covey_server.store import open_store; open_store({str(tmp_path / 'data')!r})"
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert f"another live server (process {os.getpid()})" in second.stderr


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("I am a file")
    with pytest.raises(StoreError, match="A file is in the way: remove it"):
        open_store(tmp_path / "data")
    with pytest.raises(StoreError, match="A file is in the way"):
        open_store(tmp_path / "data" / "below")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "covey.db").write_text("certainly not a database, but long enough to be read as one" * 100)
    with pytest.raises(StoreError, match="no covey database"):
        open_store(tmp_path)


def test_no_write_permission(tmp_path: Path) -> None:
    # Root may write everywhere; its child becomes nobody.
    drop = "os.setgroups([]); os.setgid(65534); os.setuid(65534)" if os.getuid() == 0 else ""
    directory = tmp_path / "data"
    open_store(directory).close()
    for entry in directory.iterdir():
        entry.chmod(0o444)
    directory.chmod(0o555)
    # The folders above belong to the test runner's user alone.
    opened = [
        parent for parent in directory.parents if os.access(parent, os.W_OK) and parent.stat().st_uid == os.getuid()
    ]
    modes = [(parent, parent.stat().st_mode) for parent in opened if not parent.stat().st_mode & 0o001]
    for parent, mode in modes:
        parent.chmod(mode | 0o011)
    program = textwrap.dedent(f"""
        import os, sys
        from covey_server.store import StoreError, open_store
        {drop}
        try:
            open_store({str(directory)!r})
        except StoreError as error:
            sys.exit(f"refused: {{error}}")
    """)
    try:
        child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    finally:
        for parent, mode in modes:
            parent.chmod(mode)
        directory.chmod(0o755)
    assert child.returncode == 1, child.stderr
    assert "refused: " in child.stderr, child.stderr
    assert "Permission denied" in child.stderr
    assert "read and write permission" in child.stderr


def test_a_store_of_a_newer_covey_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.write() as connection:
        connection.execute(update(schema_version).values(version=99, written_by="9.9"))
    store.close()
    for _ in range(2):  # the refusal gives the lock back
        with pytest.raises(StoreError, match=r"covey 9\.9 wrote version 99.*Run covey 9\.9 or newer"):
            open_store(tmp_path)


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/covey", "postgresql://u:secret@h", "sqlite://", "sqlite:///:memory:", "nonsense"]
)
def test_other_databases_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError) as refusal:
        open_store(tmp_path, url)
    assert "sqlite:////" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_url_of_a_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data", f"sqlite:///{tmp_path}/elsewhere.db")
    store.group_commit(write_note("there"))
    store.close()
    assert (tmp_path / "elsewhere.db").stat().st_size > 0
