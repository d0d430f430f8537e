"""The global gate: what all regions counted, added up, and judged by the gates as they are.

It is a rollout of one phase in memory, whose looks are those of every region. Sums of exact counters are exact, and a
look adds a factor to a test whoever made it. Two things follow. Starting times are not mixed over, so that the tests do
not depend on which region's look came first, and a region that was out of reach may be added late. And what differs
between regions looks like bursts, which makes the gate slower to claim anything, never rasher.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from covey.fleet.journal import RegionLook
from covey.fleet.model import NO_GATE, GlobalReading
from covey.fleet.spec import GLOBAL_PHASE, global_plan
from covey.rollout import commands
from covey.rollout.accumulate import phase_evidence
from covey.rollout.counts import Counts
from covey.rollout.gates.look import Arm, Look
from covey.rollout.gates.values import changed
from covey.rollout.questions import criterion_questions, trigger_questions
from covey.rollout.state import RolloutState, fold
from covey.rollout.units import timestamp_of
from covey.rollout.verdicts import judge
from covey.v1.fleet_pb2 import FleetSpec
from covey.v1.journal_pb2 import Entry, PhaseEntered

# Virtual: nothing in a judgement depends on it.
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_REGIONS = frozenset({"regions"})


def judge_globally(fleet: FleetSpec, looks: Iterable[RegionLook]) -> GlobalReading:
    """What the global gate says of these looks, in whatever order they are given.

    Args:
        fleet: the spec, checked.
        looks: of every region.
    """
    return GlobalGate(fleet).read(looks)


class GlobalGate:
    """The gate over looks that become more: what was added stays added, unless something comes in late.

    Args:
        fleet: the spec, checked.
    """

    def __init__(self, fleet: FleetSpec) -> None:
        self._fleet = fleet
        self._asks = bool(fleet.global_gate.criteria or fleet.global_gate.triggers)
        self._added: list[tuple[datetime, str, int]] = []
        self._state: RolloutState | None = None
        self._reading = NO_GATE

    def read(self, looks: Iterable[RegionLook]) -> GlobalReading:
        """What it says of all of these looks, in the order of their times."""
        if not self._asks:
            return NO_GATE
        ordered = sorted(looks, key=_place)
        places = [_place(look) for look in ordered]
        if self._state is not None and places == self._added:
            return self._reading
        known = len(self._added)
        if self._state is None or places[:known] != self._added:
            self._state, known = _begin(self._fleet), 0
        for look in ordered[known:]:
            self._state = _plus(self._state, look)
        self._added = places
        state = self._state
        self._reading = GlobalReading(judge(state, criterion_questions(state)), judge(state, trigger_questions(state)))
        return self._reading


def _place(look: RegionLook) -> tuple[datetime, str, int]:
    return look.time, look.region, look.sequence


def _begin(fleet: FleetSpec) -> RolloutState:
    """A rollout of the one phase, in force everywhere."""
    created = commands.create(f"rollouts/{fleet.name}", "global", global_plan(fleet))
    draft = fold(_stamped(created, 1))
    started = fold(_stamped(commands.start(draft, _BEGIN), 2), draft)
    entered = Entry(phase_entered=PhaseEntered(phase=GLOBAL_PHASE, candidate_weight_bp=started.plan.weight_bp(0)))
    state = fold(_stamped([entered], 3), started)
    return replace(state, weight_confirmed=True, confirmed_replicas=_REGIONS)


def _plus(state: RolloutState, look: RegionLook) -> RolloutState:
    everything = _counted_by(state, look.everything, look.limits_seconds)
    of_phase = None
    if look.of_phase is not None:
        is_all = look.of_phase is look.everything
        of_phase = everything if is_all else _counted_by(state, look.of_phase, look.limits_seconds)
    changes = phase_evidence(state, of_phase, look.observed_seconds)
    changes["rollout_counts"] = state.rollout_counts + everything.probed
    changes["gates"] = state.gates.advanced(state.plan.gates, 0, everything, of_phase=of_phase)
    return changed(state, changes)


def _counted_by(state: RolloutState, look: Look, limits_seconds: tuple[float, ...]) -> Look:
    """A region's look with the latency limits of the global plan only: a region may count others, too."""
    places = [limits_seconds.index(limit) for limit in state.plan.limits_seconds]

    def counts(found: Counts) -> Counts:
        return replace(found, over=tuple(found.over[place] for place in places) if found.over else ())

    def arm(found: Arm) -> Arm:
        return Arm(counts(found.counts), found.shards, None)

    return Look(arm(look.candidate), arm(look.baseline), counts(look.probed), look.comparable)


def _stamped(entries: Iterable[Entry], sequence: int) -> list[Entry]:
    stamped = []
    for number, entry in enumerate(entries, start=sequence):
        entry.sequence = number
        entry.time.CopyFrom(timestamp_of(_BEGIN))
        stamped.append(entry)
    return stamped
