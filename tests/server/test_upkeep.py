"""What the metrics page tells operators of store, space, ticks and certificates."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from covey import failpoints
from covey.access.certificates import CertificateFiles, Certificates, end_of
from covey.errors import InputError
from covey_server.metrics.upkeep import rollout_families
from covey_server.store import Store, StoreError, open_store
from covey_server.store.following import Follower
from covey_server.store.write_health import WriteHealth

from .postgres import Cluster
from .running import ServedHere
from .store_notes import write_note


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def test_a_healthy_server_says_so(server: ServedHere) -> None:
    assert server.samples("covey_store_unwritable_seconds") == {(("store", "journal"),): 0}
    assert 0 <= server.count("covey_store_unread_seconds") < 5
    assert server.count("covey_store_ballast_bytes") == server.count("covey_store_ballast_wanted_bytes") == 64 << 10
    assert server.samples("covey_store_unfollowed_seconds") == {}
    assert server.samples("covey_certificate_not_after_timestamp_seconds") == {}


def test_failures_last_from_the_first_to_the_next_success() -> None:
    now = 0.0
    health = WriteHealth(lambda: now)
    assert health.unwritable_seconds == 0
    health.failed()
    now = 5.0
    health.failed()
    now = 7.0
    assert health.unwritable_seconds == 7
    health.succeeded()
    assert health.unwritable_seconds == 0
    health.begin()
    now = 10.0
    assert health.unwritable_seconds == 3, "a turn that hangs is no success"
    health.end()
    assert health.unwritable_seconds == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "data", ballast_bytes=1 << 16)
    yield made
    made.close()


def test_a_full_disk_is_unwritable_although_rollbacks_are_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert store.ballast.give_up()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(StoreError):
            store.group_commit(write_note("ordinary"))
        store.group_commit(write_note("rollback"), is_reserved=True)
        assert store.unwritable_seconds > 0
        assert store.ballast.kept_bytes == 0
    store.group_commit(write_note("later"))
    assert store.unwritable_seconds == 0
    assert store.ballast.kept_bytes == 1 << 16


def test_a_write_that_hangs_is_seen_while_it_hangs(store: Store) -> None:
    failpoints.arm("store.before_commit:hang")
    writing = threading.Thread(target=lambda: store.group_commit(write_note("slow")))
    writing.start()
    wait_until(lambda: store.unwritable_seconds > 0.1)
    failpoints.disarm()
    writing.join(10)
    assert store.unwritable_seconds == 0


def test_a_follower_that_fails_falls_behind() -> None:
    now = [0.0]
    looks = threading.Semaphore(0)
    works = True

    def follow() -> None:
        looks.release()
        if not works:
            raise StoreError("gone", place="here", remedy="wait")

    follower = Follower("journal", follow, 0.001, lambda: now[0])
    assert looks.acquire(timeout=10)
    works = False
    assert looks.acquire(timeout=10)
    now[0] = 60.0
    assert all(looks.acquire(timeout=10) for _ in range(3))
    assert follower.unfollowed_seconds == 60
    works = True
    wait_until(lambda: follower.unfollowed_seconds == 0)
    follower.stop()


def test_servers_of_one_database_say_how_far_they_follow(
    start_server: Callable[..., ServedHere], cluster: Cluster
) -> None:
    server = start_server(store_url=cluster.database())
    assert set(server.samples("covey_store_unwritable_seconds")) == {
        (("store", "journal"),),
        (("store", "datasets"),),
    }
    followed = server.samples("covey_store_unfollowed_seconds")
    assert set(followed) == {(("subject", "journal"),), (("subject", "outcomes"),)}
    assert max(followed.values()) < 10


def test_rollouts_tell_when_they_were_looked_at(worlds: Any) -> None:
    state = worlds.holding().state
    by_name = {family.name: family for family in rollout_families([state])}
    (tick,) = by_name["covey_rollout_last_tick_timestamp_seconds"].samples
    assert tick.value == state.last_tick_at.timestamp()
    (info,) = by_name["covey_rollout_info"].samples
    assert info.labels["candidate"] == state.spec.candidate
    (interval,) = by_name["covey_rollout_tick_interval_seconds"].samples
    assert interval.value == state.tick_interval_seconds


def test_the_first_certificate_of_a_chain_to_end_counts(authority: Any, tmp_path: Path) -> None:
    certificate, key = authority.issue("server")
    end = end_of(Path(certificate).read_bytes(), "server.pem")
    assert Certificates(CertificateFiles(certificate, key)).not_after() == end
    assert end > datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(InputError, match="no certificate"):
        end_of(b"nonsense", "server.pem")
