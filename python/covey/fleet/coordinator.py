"""The loop around `decide_fleet`: look at every region, decide, call, and nothing else.

It holds no state that matters. Killed at any instant, doubled, or started elsewhere, it goes on from what the regions'
journals say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from covey.client import CallFailed, Client
from covey.fleet.decide import decide_fleet
from covey.fleet.gate import GlobalGate
from covey.fleet.journal import RegionJournal
from covey.fleet.model import Action, FleetDecision, GlobalReading, RegionView
from covey.fleet.regions import RegionPort
from covey.v1.fleet_pb2 import FleetSpec, Region


@dataclass(frozen=True)
class FleetLook:
    """One turn of the loop.

    Attributes:
        time: when.
        views: one per region, in the fleet's order.
        gate: what the global gate says.
        decision: what followed.
        done: actions whose call succeeded.
        failed: those that did not, with why; they follow again at the next turn if they still should.
    """

    time: datetime
    views: tuple[RegionView, ...]
    gate: GlobalReading
    decision: FleetDecision
    done: tuple[Action, ...] = ()
    failed: Mapping[Action, str] = field(default_factory=dict)


class Coordinator:
    """Looks at regions side by side, so that one that does not answer delays no other for longer than a call may take.

    Args:
        fleet: the spec, checked.
        client: makes a client of a region's control port.
        clock: the wall clock, aware.
    """

    def __init__(self, fleet: FleetSpec, client: Callable[[Region], Client], clock: Callable[[], datetime]) -> None:
        self.fleet = fleet
        self._clock = clock
        self._gate = GlobalGate(fleet)
        self._ports = {region.name: RegionPort(fleet, region, _maker(client, region)) for region in fleet.regions}
        self._pool = ThreadPoolExecutor(len(self._ports), thread_name_prefix="region")

    def close(self) -> None:
        """Closes every connection."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for port in self._ports.values():
            port.close()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def journals(self) -> Mapping[str, RegionJournal]:
        """What was read of each region so far."""
        return {name: port.journal for name, port in self._ports.items()}

    def look(self, *, abort_reason: str = "") -> FleetLook:
        """What every region says now, and what should follow; calls that change nothing."""
        now = self._clock()
        views = tuple(self._pool.map(lambda port: port.look(now), self._ports.values()))
        looks = [look for port in self._ports.values() for look in port.journal.looks]
        gate = self._gate.read(looks)
        return FleetLook(now, views, gate, decide_fleet(self.fleet, views, now, gate=gate, abort_reason=abort_reason))

    def turn(self, *, abort_reason: str = "", verbs: frozenset[str] | None = None) -> FleetLook:
        """One look, and the calls that follow from it.

        Args:
            abort_reason: why somebody aborts all of it now; empty where nobody does.
            verbs: only these are called; None: all.
        """
        look = self.look(abort_reason=abort_reason)
        actions = [action for action in look.decision.actions if verbs is None or action.verb in verbs]
        # Side by side over regions, one after the other within each.
        by_region = [[action for action in actions if action.region == name] for name in self._ports]
        outcomes = [pair for pairs in self._pool.map(self._act_all, by_region) for pair in pairs]
        failed = {action: problem for action, problem in outcomes if problem}
        away = {action.region for action in failed}
        for view in look.views:
            if view.reachable and view.name not in away:
                self._ports[view.name].settle()
        done = tuple(action for action in actions if action not in failed)
        return FleetLook(look.time, look.views, look.gate, look.decision, done, failed)

    def act(self, action: Action) -> str:
        """Makes one call; why it failed, or empty."""
        try:
            self._ports[action.region].act(action)
        except CallFailed as failure:
            return failure.message
        return ""

    def _act_all(self, actions: list[Action]) -> list[tuple[Action, str]]:
        return [(action, self.act(action)) for action in actions]


def _maker(client: Callable[[Region], Client], region: Region) -> Callable[[], Client]:
    return lambda: client(region)
