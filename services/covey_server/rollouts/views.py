"""Pictures of rollouts for callers, and the pages in which lists are answered."""

from __future__ import annotations

import base64
import binascii
import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from covey.rollout.resource import to_resource
from covey.v1.journal_pb2 import JournalRecord, ListRecordsRequest, ListRecordsResponse
from covey.v1.rollouts_pb2 import (
    ListEntriesRequest,
    ListEntriesResponse,
    ListRolloutsRequest,
    ListRolloutsResponse,
    Rollout,
)
from covey_server.catalogue.names import checked_name, page_size_of
from covey_server.errors import CallError, invalid, not_found
from covey_server.rollouts import journal_tables as tables

if TYPE_CHECKING:
    from covey.rollout.state import RolloutState
    from covey.v1.journal_pb2 import Entry
    from covey_server.rollouts.journal import Journal

Row = TypeVar("Row", "Entry", JournalRecord)

PAGE_BYTES = 2 << 20
"""A page ends early rather than outgrow what clients accept (4 MiB by default)."""
_ENTRIES_OF_A_MESSAGE = 500
_PICTURES_KEPT = 64
_TOKEN_VERSION = "1"  # noqa: S105


class RolloutViews:
    """Reads of the journal as answers of the API.

    Args:
        journal: what is read.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[str, int], Rollout] = OrderedDict()

    def picture(self, state: RolloutState) -> Rollout:
        """The rollout with its verdicts; shared between callers, so not to be changed.

        Verdicts cost time, and every watcher asks for the same ones.
        """
        key = (state.name, state.last_sequence)
        with self._lock:
            found = self._pictures.get(key)
            if found is not None:
                self._pictures.move_to_end(key)
                return found
        made = to_resource(state)
        with self._lock:
            self._pictures[key] = made
            while len(self._pictures) > _PICTURES_KEPT:
                self._pictures.popitem(last=False)
        return made

    def get(self, name: str) -> Rollout:
        """The rollout of a name.

        Raises:
            CallError: INVALID_ARGUMENT or NOT_FOUND.
        """
        return self.picture(self._journal.state(rollout_name("name", name)))

    def rollouts(self, request: ListRolloutsRequest) -> ListRolloutsResponse:
        """A page of rollouts without verdicts, newest first."""
        size = page_size_of(request)
        scope = f"rollouts:{request.active_only:d}"
        before = _position(request.page_token, scope)
        with self._journal.store.read() as connection:
            rows = tables.rollout_rows(connection, before, size + 1, request.active_only)
        response = ListRolloutsResponse()
        taken_bytes = 0
        for index, row in enumerate(rows):
            rollout = self._listed(row)
            taken_bytes += rollout.ByteSize()
            if index == size or (index and taken_bytes > PAGE_BYTES):
                response.next_page_token = _token(scope, rows[index - 1].ordinal)
                break
            response.rollouts.append(rollout)
        return response

    def entries(self, request: ListEntriesRequest) -> ListEntriesResponse:
        """A page of a rollout's journal, in order."""
        name = rollout_name("parent", request.parent)
        size = page_size_of(request)
        scope = f"{name}:{request.omit_ticks:d}"
        after = _position(request.page_token, scope) or 0
        until = self._journal.state(name).last_sequence
        found = self._journal.entries(name, after, until, omit_ticks=request.omit_ticks, limit=size + 1)
        entries, is_last = _bounded(found, size)
        token = "" if is_last else _token(scope, entries[-1].sequence)
        return ListEntriesResponse(entries=entries, next_page_token=token)

    def records(self, request: ListRecordsRequest) -> ListRecordsResponse:
        """A page of a rollout's journal as it is stored; entries that cannot be read are in it too."""
        name = rollout_name("parent", request.parent)
        size = page_size_of(request)
        scope = f"records:{name}"
        after = _position(request.page_token, scope) or 0
        with self._journal.store.read() as connection:
            head = tables.head_of(connection, name)
            if head is None:
                raise not_found(name, "ListRollouts shows what exists")
            found = tables.records_between(connection, name, after, size + 1)
            made = (JournalRecord(sequence=it.sequence, entry=it.entry, digest=it.digest) for it in found)
            records, is_last = _bounded(made, size)
        token = "" if is_last else _token(scope, records[-1].sequence)
        return ListRecordsResponse(records=records, next_page_token=token, last_sequence=head[0], head_digest=head[1])

    def news(self, name: str, after: int, until: int) -> list[Entry]:
        """Entries behind `after` up to `until`, as many as go into one message of a watch."""
        found = self._journal.entries(name, after, until, limit=_ENTRIES_OF_A_MESSAGE + 1)
        entries, _ = _bounded(found, _ENTRIES_OF_A_MESSAGE)
        return entries

    def _listed(self, row: tables.RolloutRow) -> Rollout:
        if row.finished_resource is None:
            return to_resource(self._journal.state(row.name), verdicts=False)
        rollout = Rollout.FromString(row.finished_resource)
        rollout.ClearField("verdicts")
        return rollout


def rollout_name(field: str, value: str) -> str:
    """`value` where it is a rollout's name.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    return checked_name(field, value, "rollouts")


def _bounded(found: Generator[Row], most: int) -> tuple[list[Row], bool]:
    """The first entries by number and bytes, at least one where there is one, and whether nothing is left."""
    entries: list[Row] = []
    taken_bytes = 0
    with closing(found):
        for entry in found:
            taken_bytes += entry.ByteSize()
            if len(entries) == most or (entries and taken_bytes > PAGE_BYTES):
                return entries, False
            entries.append(entry)
    return entries, True


def _token(scope: str, position: int) -> str:
    return base64.urlsafe_b64encode(f"{_TOKEN_VERSION} {scope} {position}".encode()).decode()


def _position(token: str, scope: str) -> int | None:
    if not token:
        return None
    try:
        version, found_scope, position = (
            base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode().split()
        )
        if version == _TOKEN_VERSION and found_scope == scope:
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise _bad_token()


def _bad_token() -> CallError:
    return invalid(
        "page_token", "not a token of this list; use next_page_token of the answer before, with the same other fields"
    )
