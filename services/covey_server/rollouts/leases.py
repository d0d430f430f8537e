"""The right to drive a target: one holder at a time, and a fencing number that outlives its lease.

What protects the journal is the epoch: it is compared in the transaction that writes, and it does not expire. The
time only decides when another holder may ask. Within one server process it is counted on the monotonic clock, so that
a wall clock that jumps neither ends a lease nor prolongs it; the wall-clock time in the table is for people and for
the first look after a restart, where it is believed for at most the lease's own length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import grpc
from sqlalchemy import BigInteger, Column, Connection, Row, String, Table, insert, select, update

from covey import failpoints
from covey_server.errors import CallError
from covey_server.store import Store
from covey_server.store.schema import from_microseconds, metadata, to_microseconds

DEFAULT_SECONDS = 10.0
LONGEST_SECONDS = 300.0

_leases = Table(
    "leases",
    metadata,
    Column("target", String(128), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    # Empty after a release.
    Column("holder", String(256), nullable=False),
    Column("expire_time_us", BigInteger, nullable=False),
    Column("length_us", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its holder knows it.

    Attributes:
        epoch: grows with every change of holder.
        holder: who has it; empty when it was released.
        expire_time: when another holder may take it, by the server's wall clock.
    """

    epoch: int
    holder: str
    expire_time: datetime


class Leases:
    """Leases of the store.

    Args:
        store: where they are kept.
        clock: the wall clock, aware.
        monotonic: seconds that only grow; counts the time that is left.
    """

    def __init__(
        self, store: Store, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        # Until when a target's lease is in force, by this process's monotonic clock, and which lease that was: another
        # server of the store may have given or renewed one since.
        self._ends: dict[str, tuple[int, float]] = {}

    def acquire(self, connection: Connection, target: str, holder: str, seconds: float = DEFAULT_SECONDS) -> Lease:
        """Give the lease to `holder`, or renew it.

        Args:
            connection: of a write transaction.
            target: what is driven.
            holder: who asks; unique per process.
            seconds: length of the lease, more than 0 and at most `LONGEST_SECONDS`.

        Raises:
            CallError: FAILED_PRECONDITION with RetryInfo while another holder's lease is in force.
        """
        row = self._row(connection, target)
        renewed = row is not None and row.holder == holder
        if row is not None and row.holder and not renewed:
            left = self._seconds_left(connection, target, row.expire_time_us, row.length_us)
            if left > 0:
                raise CallError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"{row.holder!r} holds the lease of {target!r} for another {left:.1f} s",
                    reason="LEASE_HELD",
                    metadata={"holder": row.holder[:200], "epoch": str(row.epoch)},
                    retry_after_seconds=left,
                )
        epoch = 1 if row is None else row.epoch if renewed else row.epoch + 1
        expire_time = self._clock() + timedelta(seconds=seconds)
        values = {
            "epoch": epoch,
            "holder": holder,
            "expire_time_us": to_microseconds(expire_time),
            "length_us": round(seconds * 1e6),
        }
        if row is None:
            connection.execute(insert(_leases).values(target=target, **values))
        else:
            connection.execute(update(_leases).where(_leases.c.target == target).values(**values))
        failpoints.reach("lease.written")
        self._remember(connection, target, to_microseconds(expire_time), self._monotonic() + seconds)
        return Lease(epoch, holder, expire_time)

    def release(self, connection: Connection, target: str, holder: str) -> Lease:
        """Give the lease back, so that another holder need not wait; nothing happens where `holder` has none."""
        row = self._row(connection, target)
        if row is None:
            return Lease(0, "", self._clock())
        if row.holder == holder:
            now = self._clock()
            values = {"holder": "", "expire_time_us": to_microseconds(now)}
            connection.execute(update(_leases).where(_leases.c.target == target).values(**values))
            return Lease(row.epoch, "", now)
        return Lease(row.epoch, row.holder, from_microseconds(row.expire_time_us))

    def require(self, connection: Connection, target: str, epoch: int) -> Lease:
        """The lease whose epoch a writer shows; must be called in the transaction that writes.

        Raises:
            CallError: FAILED_PRECONDITION, reason STALE_EPOCH, where it is not the epoch in force.
        """
        row = self._row(connection, target)
        current = 0 if row is None else row.epoch
        if row is None or epoch != current or not row.holder:
            state = "was released" if row is not None and epoch == current else f"is not the one in force ({current})"
            raise CallError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"epoch {epoch} of the lease of {target!r} {state}; acquire the lease, then decide on what the journal"
                " says by then",
                reason="STALE_EPOCH",
                metadata={"target": target[:200], "epoch": str(epoch), "current_epoch": str(current)},
            )
        failpoints.reach("lease.checked")
        return Lease(row.epoch, row.holder, from_microseconds(row.expire_time_us))

    def _row(self, connection: Connection, target: str) -> Row[Any] | None:
        return connection.execute(select(_leases).where(_leases.c.target == target)).one_or_none()

    def _seconds_left(self, connection: Connection, target: str, expire_time_us: int, length_us: int) -> float:
        now = self._monotonic()
        known_us, end = self._store.pending(connection).get(("lease", target), self._ends.get(target, (None, 0.0)))
        if known_us != expire_time_us:
            left = (expire_time_us - to_microseconds(self._clock())) / 1e6
            end = now + min(max(left, 0.0), length_us / 1e6)
            self._ends[target] = (expire_time_us, end)
        return float(end) - now

    def _remember(self, connection: Connection, target: str, expire_time_us: int, end: float) -> None:
        self._store.pending(connection)["lease", target] = (expire_time_us, end)
        self._store.after_commit(connection, lambda: self._ends.__setitem__(target, (expire_time_us, end)))
