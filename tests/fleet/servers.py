"""Regions in memory whose journals are real: the state machine accepts every entry, and request ids happen once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from covey.fleet.decide import decide_fleet
from covey.fleet.journal import RegionJournal
from covey.fleet.model import (
    ABORT_ALL,
    ABORT_REGION,
    CREATE,
    OUTAGE,
    PAUSE,
    START,
    Action,
    FleetDecision,
    RegionView,
    view_of,
)
from covey.fleet.requests import request_id
from covey.fleet.spec import fleet_digest, region_spec
from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.state import RolloutState, apply
from covey.rollout.units import timestamp_of
from covey.v1.fleet_pb2 import FleetSpec, Region
from covey.v1.journal_pb2 import Entry, PhaseEntered, RollbackStarted, RolloutFinished


class Server:
    """One region: its journal, and a controller that is moved by hand.

    Attributes:
        cut: whether nobody reaches it.
        refused: how many calls came too late to be legal.
    """

    def __init__(self, fleet: FleetSpec, region: Region) -> None:
        self.fleet, self.region = fleet, region
        self.entries: list[Entry] = []
        self.state: RolloutState | None = None
        self.cut = False
        self.refused = 0
        self._requests: set[str] = set()

    def view(self) -> RegionView:
        """As a coordinator without memory sees it."""
        journal = RegionJournal(self.region.name)
        if self.cut:
            return view_of(journal, reachable=False, problem="no answer")
        journal.read(self.entries)
        return view_of(journal)

    def act(self, action: Action, now: datetime) -> None:
        """A call of a coordinator, which may be lost, doubled or late."""
        identifier = request_id(fleet_digest(self.fleet), action.verb)
        if self.cut or identifier in self._requests:
            return
        try:
            entries = self._made(action, now)
        except CommandRefused:
            self.refused += 1
            return
        self._requests.add(identifier)
        self.write(entries, now, identifier, action.reason)

    def _made(self, action: Action, now: datetime) -> Sequence[Entry]:
        if action.verb == CREATE:
            if self.state is not None:
                raise CommandRefused("it is there")
            return commands.create("rollouts/three", "u1d", region_spec(self.fleet, self.region))
        if self.state is None:
            raise CommandRefused("there is none")
        verbs = {
            START: commands.start, PAUSE: commands.pause, ABORT_ALL: commands.abort, ABORT_REGION: commands.abort,
        }  # fmt: skip
        return [] if action.verb == OUTAGE else verbs[action.verb](self.state, now)

    def write(self, entries: Sequence[Entry], now: datetime, identifier: str = "", reason: str = "") -> None:
        for entry in entries:
            made = Entry()
            made.CopyFrom(entry)
            made.sequence = len(self.entries) + 1
            made.request_id, made.reason, made.schema_version = identifier, reason, 1
            made.time.CopyFrom(timestamp_of(now))
            self.state = apply(self.state, made)
            self.entries.append(made)

    @property
    def is_started(self) -> bool:
        """Whether somebody has started it, whatever became of it."""
        return any(entry.WhichOneof("payload") == "started" for entry in self.entries)

    @property
    def moves(self) -> bool:
        """Whether its controller can go on."""
        state = self.state
        return state is not None and state.started_at is not None and not state.is_terminal and not state.paused

    def go_on(self, now: datetime) -> None:
        """The next phase, or success; or the end of a rollback."""
        state = self.state
        assert state is not None
        if state.rollback_cause:
            aborted = state.rollback_cause == RollbackStarted.CAUSE_ABORT
            outcome = RolloutFinished.OUTCOME_ABORTED if aborted else RolloutFinished.OUTCOME_ROLLED_BACK
            self.write([Entry(finished=RolloutFinished(outcome=outcome))], now)
        elif state.next_phase is not None:
            entered = PhaseEntered(
                phase=state.next_phase.name, candidate_weight_bp=state.plan.weight_bp(state.phase_index + 1)
            )
            self.write([Entry(phase_entered=entered)], now)
        else:
            self.write([Entry(finished=RolloutFinished(outcome=RolloutFinished.OUTCOME_SUCCEEDED))], now)

    def succeed(self, now: datetime) -> None:
        """To the end."""
        while self.moves:
            self.go_on(now)

    def be_harmed(self, now: datetime) -> None:
        """Its own gates roll it back."""
        cause = RollbackStarted(cause=RollbackStarted.CAUSE_TRIGGER, explanation="error_rate > 6 %: shown")
        self.write([Entry(rollback_started=cause)], now)


def fleet_of(fleet: FleetSpec) -> dict[str, Server]:
    """A server per region."""
    return {region.name: Server(fleet, region) for region in fleet.regions}


def tick(
    fleet: FleetSpec, servers: dict[str, Server], now: datetime, *, times: int = 1, **more: object
) -> FleetDecision:
    """So many turns of a coordinator that remembers nothing; the decision of the last."""
    for _ in range(times):
        decision = decide_fleet(fleet, [server.view() for server in servers.values()], now, **more)  # type: ignore[arg-type]
        for action in decision.actions:
            servers[action.region].act(action, now)
    return decision
