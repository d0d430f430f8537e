"""The ballast: set aside, given up whole, set aside again; in parts it is in nobody's way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from covey_server.store import Store, StoreError, open_store
from covey_server.store.ballast import BALLAST_NAME, Ballast

from .store_notes import texts, write_note


def test_space_is_set_aside_and_given_up(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 1 << 16)
    assert ballast.keep()
    path = tmp_path / BALLAST_NAME
    assert (path.stat().st_size, path.stat().st_blocks * 512 >= 1 << 16) == (1 << 16, True)
    assert ballast.give_up()
    assert not path.exists()
    assert not ballast.give_up()
    assert ballast.keep()
    assert Ballast(tmp_path, 1 << 12).keep()
    assert path.stat().st_size == 1 << 12, "a server that is told less keeps less"


def test_no_ballast(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 0)
    assert ballast.keep()
    assert not ballast.give_up()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose space is given up, on a disk that has none."""
    store = open_store(tmp_path / "data", ballast_bytes=1 << 16)
    assert store.ballast.give_up()

    def no_space(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    return store


def test_until_it_is_back_only_what_is_reserved_is_written(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="only rollbacks are recorded") as refused:
        full.group_commit(write_note("ordinary"))
    assert refused.value.is_full
    with pytest.raises(StoreError, match="only rollbacks"), full.write():
        pass
    assert full.group_commit(write_note("rollback"), is_reserved=True) == "rollback"
    assert texts(full) == ["rollback"]
    monkeypatch.undo()
    assert full.group_commit(write_note("later")) == "later"
    assert (full.directory / BALLAST_NAME).exists()
    full.close()
