"""What each sink has been told. The journal is the outbox; all that is kept beside it is how far a sink has come.

A controller pulls transitions, tells them, and advances the sink's cursor, all under the epoch of its lease. If it dies
between telling and advancing, the next controller tells the same transition again under the same dedupe key: at least
once, and once for whoever heeds the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, insert, select, update

from covey.rollout.kinds import QUIET_KINDS
from covey.v1 import notifications_pb2
from covey.v1.journal_pb2 import Entry
from covey_server.catalogue.names import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE, checked_id
from covey_server.errors import invalid
from covey_server.rollouts.journal_tables import journal_entries, rollouts
from covey_server.rollouts.journal_tables import notification_cursors as cursors
from covey_server.rollouts.journal_tables import notification_sinks as sinks
from covey_server.rollouts.requests import check_request
from covey_server.rollouts.views import PAGE_BYTES, rollout_name
from covey_server.store import once_for

if TYPE_CHECKING:
    from covey.access.principals import Principal
    from covey_server.rollouts.journal import Journal


class Outbox:
    """Transitions on their way to sinks.

    Args:
        journal: what is told; its store keeps the cursors.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def pull(
        self, request: notifications_pb2.PullNotificationsRequest, caller: Principal
    ) -> notifications_pb2.PullNotificationsResponse:
        """The transitions that a sink has not been told, oldest first within each rollout.

        Raises:
            CallError: INVALID_ARGUMENT, or FAILED_PRECONDITION for an epoch that is over.
        """
        del caller
        check_request(request)
        sink = checked_id("sink", request.sink)
        if not request.page_size >= 0:
            raise invalid("page_size", "is negative")
        most = min(request.page_size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)
        first = self._first_ordinal(sink, request.target)
        response = notifications_pb2.PullNotificationsResponse()
        taken_bytes = 0
        with self._journal.store.read() as connection:
            self._journal.leases.require(connection, request.target, request.epoch)
            for name, cursor in _open_rollouts(connection, sink, request.target, first):
                on_call = None
                for entry in _transitions(connection, name, cursor, most - len(response.notifications)):
                    taken_bytes += entry.ByteSize()
                    if response.notifications and taken_bytes > PAGE_BYTES:
                        return response
                    on_call = on_call or self._journal.state(name).spec.on_call
                    key = f"{name}/{entry.sequence}/{sink}"
                    response.notifications.add(rollout=name, entry=entry, on_call=on_call, dedupe_key=key)
                if len(response.notifications) >= most:
                    return response
        return response

    def advance(
        self, request: notifications_pb2.AdvanceNotificationsRequest, caller: Principal
    ) -> notifications_pb2.AdvanceNotificationsResponse:
        """Note that a sink has been told.

        Raises:
            CallError: INVALID_ARGUMENT, NOT_FOUND, or FAILED_PRECONDITION for an epoch that is over.
        """
        del caller
        check_request(request)
        sink, name = checked_id("sink", request.sink), rollout_name("name", request.name)

        def run(connection: Connection) -> bytes:
            state = self._journal.current(connection, name)
            self._journal.leases.require(connection, state.spec.target, request.epoch)
            sequence = _advanced(connection, sink, name, request.sequence)
            return notifications_pb2.AdvanceNotificationsResponse(sequence=sequence).SerializeToString()

        def remembered(connection: Connection) -> bytes:
            return once_for(connection, request, run, self._journal.clock())

        return notifications_pb2.AdvanceNotificationsResponse.FromString(self._journal.commit(remembered))

    def _first_ordinal(self, sink: str, target: str) -> int:
        """The first rollout that the sink is told of; settled when the sink is first heard of."""
        query = select(sinks.c.first_ordinal).where(sinks.c.sink == sink, sinks.c.target == target)
        with self._journal.store.read() as connection:
            known = connection.execute(query).scalar_one_or_none()
        if known is not None:
            return int(known)

        def register(connection: Connection) -> int:
            found = connection.execute(query).scalar_one_or_none()
            if found is not None:
                return int(found)
            ordinals = select(func.min(rollouts.c.ordinal)).where(rollouts.c.finished_resource.is_(None))
            first = connection.execute(ordinals).scalar_one_or_none()
            if first is None:
                first = (connection.execute(select(func.max(rollouts.c.ordinal))).scalar_one_or_none() or 0) + 1
            connection.execute(insert(sinks).values(sink=sink, target=target, first_ordinal=first))
            return int(first)

        return self._journal.commit(register)


def _open_rollouts(connection: Connection, sink: str, target: str, first: int) -> list[tuple[str, int]]:
    """Rollouts of which the sink has not been told the end, with the last entry that it was told."""
    join = rollouts.outerjoin(cursors, (cursors.c.rollout == rollouts.c.name) & (cursors.c.sink == sink))
    query = (
        select(rollouts.c.name, func.coalesce(cursors.c.sequence, 0))
        .select_from(join)
        .where(rollouts.c.target == target, rollouts.c.ordinal >= first, cursors.c.is_done.isnot(True))
        .order_by(rollouts.c.ordinal)
    )
    return [(name, int(sequence)) for name, sequence in connection.execute(query)]


def _transitions(connection: Connection, name: str, after: int, most: int) -> Iterator[Entry]:
    table = journal_entries
    query = (
        select(table.c.payload)
        .where(table.c.rollout == name, table.c.sequence > after, table.c.is_tick.is_(False))
        .where(table.c.kind.notin_(QUIET_KINDS))
        .order_by(table.c.sequence)
        .limit(most)
    )
    for payload in connection.execute(query).scalars():
        yield Entry.FromString(payload)


def _advanced(connection: Connection, sink: str, name: str, sequence: int) -> int:
    """Moves the cursor on, never back; where it stands."""
    table = journal_entries
    kind = connection.execute(
        select(table.c.kind).where(table.c.rollout == name, table.c.sequence == sequence)
    ).scalar_one_or_none()
    if kind is None:
        raise invalid("sequence", f"the journal of {name} has no entry {sequence}")
    where = (cursors.c.sink == sink, cursors.c.rollout == name)
    known = connection.execute(select(cursors.c.sequence).where(*where)).scalar_one_or_none()
    values = {"sequence": sequence, "is_done": kind == "finished"}
    if known is None:
        connection.execute(insert(cursors).values(sink=sink, rollout=name, **values))
    elif known < sequence:
        connection.execute(update(cursors).where(*where).values(**values))
    return max(sequence, int(known or 0))
