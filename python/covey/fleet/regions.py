"""One region over gRPC: its journal, read on from where it was, and the few verbs that a fleet has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import grpc

from covey.client import CallFailed, Client, Security
from covey.fleet.journal import OUTAGE_PREFIX, RegionJournal
from covey.fleet.model import ABORT_ALL, ABORT_REGION, CREATE, OUTAGE, PAUSE, START, Action, RegionView, view_of
from covey.fleet.requests import request_id
from covey.fleet.spec import fleet_digest, region_spec
from covey.rollout.model import IllegalEntry
from covey.rollout.units import time_of
from covey.v1.fleet_pb2 import FleetSpec, Region, RegionAccess

# One look without an answer may be a restart; two are an outage that the journal is told of.
_MISSES_OF_AN_OUTAGE = 2


def security_of(fleet: FleetSpec, region: Region, token: str = "") -> Security:
    """How a region's control port is reached.

    Args:
        fleet: whose access holds where the region has none.
        region: the region.
        token: proves who calls, where no file holds one.

    Raises:
        ValueError: options that do not go together.
    """
    access: RegionAccess = region.access if region.HasField("access") else fleet.access

    def path(name: str) -> Path | None:
        return Path(name).expanduser() if name else None

    token_file = path(access.token_file)
    return Security(
        cacert=path(access.cacert),
        cert=path(access.cert),
        key=path(access.key),
        servername=access.servername or None,
        plaintext=True if access.plaintext else None,
        token=None if token_file else token or None,
        token_file=token_file,
    )


class RegionPort:
    """A region as a coordinator sees it; used by one thread at a time.

    Args:
        fleet: the spec, checked.
        region: which of its regions.
        client: makes a client of its control port; called again after an outage, so that no dead connection lingers.
    """

    def __init__(self, fleet: FleetSpec, region: Region, client: Callable[[], Client]) -> None:
        self.fleet = fleet
        self.region = region
        self.journal = RegionJournal(region.name)
        self._make_client = client
        self._client: Client | None = None
        self._lost_at: datetime | None = None
        self._misses = 0

    def close(self) -> None:
        """Closes the connection; the next look opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def look(self, now: datetime) -> RegionView:
        """The region now; where it does not answer, what was last known of it."""
        try:
            self._read()
        except (CallFailed, IllegalEntry) as problem:
            self.close()
            self._misses += 1
            self._lost_at = self._lost_at or now
            said = problem.message if isinstance(problem, CallFailed) else str(problem)
            is_outage = self._misses >= _MISSES_OF_AN_OUTAGE
            return view_of(self.journal, reachable=False, problem=said, lost_at=self._lost_at if is_outage else None)
        is_told = self._misses < _MISSES_OF_AN_OUTAGE or self._is_in_journal()
        return view_of(self.journal, lost_at=None if is_told else self._lost_at)

    def settle(self) -> None:
        """The outage that the last look ended is in the journal, or need not be."""
        self._lost_at, self._misses = None, 0

    def act(self, action: Action) -> None:
        """Makes the call of an action. What another coordinator did already is done.

        Raises:
            CallFailed: no answer, or a refusal that is not that.
        """
        try:
            self._call(action)
        except CallFailed as failure:
            if failure.details.reason != "REQUEST_ID_REUSED":
                raise

    def _call(self, action: Action) -> None:
        client, name = self._open(), self.fleet.name
        digest = self.journal.fleet_digest or fleet_digest(self.fleet)
        identifier = request_id(digest, action.verb)
        if action.verb == CREATE:
            client.create_rollout(name, region_spec(self.fleet, self.region), request_id=identifier)
        elif action.verb == START:
            client.start_rollout(name, reason=action.reason, request_id=identifier)
        elif action.verb == PAUSE:
            client.pause_rollout(name, reason=action.reason, request_id=identifier)
        elif action.verb in {ABORT_ALL, ABORT_REGION}:
            client.abort_rollout(name, reason=action.reason, request_id=identifier)
        elif action.verb == OUTAGE and self._lost_at is not None:
            incident = f"{OUTAGE_PREFIX}{self._lost_at:%Y%m%dT%H%M%SZ}"
            identifier = request_id(digest, incident)
            client.report_incident(name, incident, action.reason, request_id=identifier)
            client.resolve_incident(name, incident, reason="it is back", request_id=f"{identifier}-over")

    def _open(self) -> Client:
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _read(self) -> None:
        """Reads the journal on to where it ends now."""
        client, name = self._open(), self.fleet.name
        try:
            last = client.get_rollout(name).last_sequence
        except CallFailed as failure:
            if failure.code is grpc.StatusCode.NOT_FOUND:
                return
            raise
        if not self.journal.last_sequence:
            self.journal.read(client.list_entries(name))
        elif self.journal.last_sequence < last:
            patience = client.timeout_seconds
            news = client.watch_rollout(
                name, after_sequence=self.journal.last_sequence, give_up_seconds=patience, stop_after_seconds=patience
            )
            for message in news:
                self.journal.read(message.entries)
                if self.journal.last_sequence >= last:
                    break
            news.close()  # type: ignore[attr-defined]

    def _is_in_journal(self) -> bool:
        """Whether another coordinator has told of this outage already."""
        return self._lost_at is not None and any(time_of(it.time) >= self._lost_at for it in self.journal.outages)
