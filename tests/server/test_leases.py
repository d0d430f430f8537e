"""One holder at a time, an epoch that outlives the lease, and clocks that jump."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from covey_server.errors import CallError
from covey_server.rollouts.leases import Lease, Leases
from covey_server.store import Store, open_store

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Clocks:
    """A wall clock and a monotonic one, moved by hand."""

    wall: datetime = START
    monotonic: float = 100.0

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def leases(store: Store, clocks: Clocks) -> Leases:
    return made(store, clocks)


def made(store: Store, clocks: Clocks) -> Leases:
    return Leases(store, lambda: clocks.wall, lambda: clocks.monotonic)


def acquire(store: Store, leases: Leases, holder: str, seconds: float = 10.0) -> Lease:
    return store.group_commit(lambda connection: leases.acquire(connection, "analyzer", holder, seconds))


def release(store: Store, leases: Leases, holder: str) -> Lease:
    return store.group_commit(lambda connection: leases.release(connection, "analyzer", holder))


def require(store: Store, leases: Leases, epoch: int) -> Lease:
    return store.group_commit(lambda connection: leases.require(connection, "analyzer", epoch))


def refused(store: Store, leases: Leases, holder: str) -> CallError:
    with pytest.raises(CallError) as refusal:
        acquire(store, leases, holder)
    return refusal.value


def test_the_same_holder_renews_and_keeps_its_epoch(store: Store, leases: Leases, clocks: Clocks) -> None:
    assert acquire(store, leases, "a") == Lease(1, "a", START + timedelta(seconds=10))
    clocks.pass_time(9)
    assert acquire(store, leases, "a") == Lease(1, "a", START + timedelta(seconds=19))
    clocks.pass_time(60)  # nobody else came
    assert acquire(store, leases, "a").epoch == 1


def test_another_holder_waits_and_learns_for_how_long(store: Store, leases: Leases, clocks: Clocks) -> None:
    acquire(store, leases, "a")
    clocks.pass_time(4)
    refusal = refused(store, leases, "b")
    assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "LEASE_HELD"
    assert refusal.metadata["holder"] == "a"
    assert refusal.retry_after_seconds == pytest.approx(6)


def test_after_expiry_another_holder_gets_the_next_epoch_and_fences_the_old(
    store: Store, leases: Leases, clocks: Clocks
) -> None:
    first = acquire(store, leases, "a")
    assert require(store, leases, first.epoch).holder == "a"
    clocks.pass_time(10)
    # Nobody took it: the old holder is still the only one, and may write.
    assert require(store, leases, first.epoch).holder == "a"
    assert acquire(store, leases, "b").epoch == 2
    with pytest.raises(CallError) as stale:
        require(store, leases, first.epoch)
    assert stale.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert stale.value.reason == "STALE_EPOCH"
    assert stale.value.metadata["current_epoch"] == "2"
    assert refused(store, leases, "a").metadata["holder"] == "b"


def test_a_released_lease_is_free_and_its_epoch_is_spent(store: Store, leases: Leases) -> None:
    acquire(store, leases, "a")
    assert release(store, leases, "b").holder == "a", "only the holder can give it back"
    assert require(store, leases, 1).holder == "a"
    assert release(store, leases, "a").holder == ""
    with pytest.raises(CallError, match="was released"):
        require(store, leases, 1)
    assert acquire(store, leases, "b").epoch == 2


def test_releasing_what_was_never_taken_does_nothing(store: Store, leases: Leases) -> None:
    assert release(store, leases, "a").epoch == 0


@pytest.mark.parametrize("epoch", [0, 1, 2, -1])
def test_without_a_lease_no_epoch_is_in_force(store: Store, leases: Leases, epoch: int) -> None:
    with pytest.raises(CallError, match="not the one in force"):
        require(store, leases, epoch)


def test_a_wall_clock_that_jumps_neither_ends_nor_prolongs_a_lease(
    store: Store, leases: Leases, clocks: Clocks
) -> None:
    acquire(store, leases, "a")
    clocks.wall += timedelta(hours=1)
    assert refused(store, leases, "b").retry_after_seconds == pytest.approx(10)
    clocks.wall -= timedelta(hours=2)
    clocks.pass_time(10)
    assert acquire(store, leases, "b").epoch == 2


def test_a_lease_survives_a_restart(store: Store, leases: Leases, clocks: Clocks) -> None:
    acquire(store, leases, "a")
    clocks.pass_time(4)
    clocks.monotonic = 1.0  # another process, another origin
    restarted = made(store, clocks)
    assert refused(store, restarted, "b").retry_after_seconds == pytest.approx(6)
    clocks.pass_time(6)
    assert acquire(store, restarted, "b").epoch == 2


def test_after_a_restart_a_clock_that_went_back_costs_one_lease_at_most(
    store: Store, leases: Leases, clocks: Clocks
) -> None:
    acquire(store, leases, "a")
    clocks.wall -= timedelta(days=365)
    restarted = made(store, clocks)
    assert refused(store, restarted, "b").retry_after_seconds == pytest.approx(10)
    clocks.pass_time(10)
    assert acquire(store, restarted, "b").epoch == 2


def test_two_holders_in_one_transaction_see_each_other(store: Store, leases: Leases, clocks: Clocks) -> None:
    acquire(store, leases, "old")
    clocks.pass_time(10)
    with store.write() as connection:
        assert leases.acquire(connection, "analyzer", "a").epoch == 2
        with pytest.raises(CallError, match="'a' holds the lease"):
            leases.acquire(connection, "analyzer", "b")


def test_a_lease_that_was_rolled_back_was_never_given(store: Store, leases: Leases) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        leases.acquire(connection, "analyzer", "a", 300)
        raise ZeroDivisionError
    assert acquire(store, leases, "b").epoch == 1


def test_targets_have_leases_of_their_own(store: Store, leases: Leases) -> None:
    acquire(store, leases, "a")
    other = store.group_commit(lambda connection: leases.acquire(connection, "another", "b"))
    assert other.epoch == 1
