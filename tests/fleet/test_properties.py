"""Whatever happens in whatever order: waves, aborts, doubled and late coordinators, outages."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from covey.fleet.decide import decide_fleet
from covey.fleet.model import ABORT_ALL, CREATE, START, FleetDecision
from covey.fleet.spec import load_fleet, wave_numbers

from .fleets import fleet_text
from .servers import fleet_of, tick

# 1,000 by COVEY_FLEET_EXAMPLES tries much more than there is time for in every run.
EXAMPLES = int(os.environ.get("COVEY_FLEET_EXAMPLES", "25"))
REGIONS = st.sampled_from(["eu", "us", "ap"])


class Fleet(RuleBasedStateMachine):
    """Regions that go on, are harmed and cut off, under coordinators that remember nothing, of which some are late."""

    @initialize(
        waves=st.sampled_from([(1, 2, 3), (1, 1, 2), (1, 2, 2), (2, 1, 1)]),
        harm=st.sampled_from(["rollback_region", "rollback_all"]),
        tolerated=st.integers(0, 2),
        done=st.sampled_from(["", "ramp"]),
    )
    def begin(self, waves: tuple[int, ...], harm: str, tolerated: int, done: str) -> None:
        self.fleet = load_fleet(fleet_text(waves=waves, harm=harm, tolerated=tolerated, done=done), "fleet.yaml")
        self.servers = fleet_of(self.fleet)
        self.waves = wave_numbers(self.fleet)
        self.now = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        self.late: FleetDecision | None = None
        self.known_started: set[str] = set()

    @rule(times=st.integers(1, 2))
    def coordinate(self, times: int) -> None:
        """One coordinator, or two that see the same and both call."""
        views = [server.view() for server in self.servers.values()]
        decision = decide_fleet(self.fleet, views, self.now)
        again = decide_fleet(self.fleet, views[::-1], self.now)
        assert again == decision, "the same is decided of the same, in whatever order it is told"
        if any(ABORT_ALL in view.verbs for view in views):
            assert not {CREATE, START} & {action.verb for action in decision.actions}, "abort wins"
        for _ in range(times):
            before = {name: len(server.entries) for name, server in self.servers.items()}
            for action in decision.actions:
                self.servers[action.region].act(action, self.now)
        if times == 2:
            after = {name: len(server.entries) for name, server in self.servers.items()}
            assert after == before, "the second time changes nothing"

    @rule()
    def look_and_be_late(self) -> None:
        """A coordinator that looks now and calls later."""
        self.late = decide_fleet(self.fleet, [server.view() for server in self.servers.values()], self.now)

    @precondition(lambda self: self.late is not None)
    @rule()
    def call_late(self) -> None:
        assert self.late is not None
        for action in self.late.actions:
            self.servers[action.region].act(action, self.now)
        self.late = None

    @rule(name=REGIONS)
    def cut(self, name: str) -> None:
        self.servers[name].cut = True

    @rule(name=REGIONS)
    def heal(self, name: str) -> None:
        self.servers[name].cut = False

    @rule(name=REGIONS, steps=st.integers(1, 4))
    def go_on(self, name: str, steps: int) -> None:
        """A region needs nobody for that: it does so cut off, too."""
        for _ in range(steps):
            if self.servers[name].moves:
                self.servers[name].go_on(self.now)

    @rule(name=REGIONS)
    def harm(self, name: str) -> None:
        server = self.servers[name]
        if server.moves and server.state is not None and server.state.in_phase:
            server.be_harmed(self.now)

    @rule()
    def abort(self) -> None:
        tick(self.fleet, self.servers, self.now, abort_reason="a law")

    @rule()
    def wait(self) -> None:
        self.now += timedelta(minutes=1)

    @invariant()
    def no_wave_starts_before_those_before_it_are_done(self) -> None:
        """Checked at the moment a start appears: what is done then stays done, so a late call is no excuse."""
        if not hasattr(self, "servers"):
            return
        for name, server in self.servers.items():
            if not server.is_started or name in self.known_started:
                continue
            self.known_started.add(name)
            earlier = [self.servers[it] for it, wave in self.waves.items() if wave < self.waves[name]]
            back = [it for it in self.servers.values() if it.state is not None and it.state.rollback_cause]
            for other in earlier:
                state = other.state
                assert state is not None and other.is_started
                reached = self.fleet.wave_done_in_phase and self.fleet.wave_done_in_phase in _entered(other.entries)
                tolerated = state.rollback_cause and len(back) <= self.fleet.tolerated_region_count
                assert reached or state.is_terminal or tolerated, (name, state.state)

    def teardown(self) -> None:
        """In the end everybody is back, and what is decided comes to rest."""
        if not hasattr(self, "servers"):
            return
        for server in self.servers.values():
            server.cut = False
        for _ in range(40):
            decision = tick(self.fleet, self.servers, self.now)
            for server in self.servers.values():
                if server.moves:
                    server.go_on(self.now)
            if decision.is_final:
                break
        assert decision.is_final, decision
        assert decision.actions == ()
        aborted = any(ABORT_ALL in server.view().verbs for server in self.servers.values())
        if aborted:
            assert all(server.state is None or server.state.is_terminal for server in self.servers.values())


def _entered(entries: list) -> set[str]:  # type: ignore[type-arg]
    return {entry.phase_entered.phase for entry in entries if entry.WhichOneof("payload") == "phase_entered"}


class Careless(Fleet):
    """The twin: a coordinator to whom all regions are one wave."""

    @initialize()
    def begin(self) -> None:
        super().begin(waves=(1, 1, 1), harm="rollback_region", tolerated=0, done="")
        self.waves = {"eu": 1, "us": 2, "ap": 3}


def test_a_coordinator_that_knows_no_waves_is_found() -> None:
    with pytest.raises(AssertionError):
        # The same examples every time: among twenty that are drawn anew there may be none that tells.
        patient = settings(TestFleet.settings, max_examples=100, derandomize=True, database=None)
        run_state_machine_as_test(Careless, settings=patient)  # type: ignore[no-untyped-call]


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, phases=[Phase.generate])
