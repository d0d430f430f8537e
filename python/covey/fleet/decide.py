"""What to do next with a fleet: a pure function of its spec and of what each region's journal says.

It remembers nothing. Two coordinators that see the same do the same, and what both do happens once; one that sees less
than is true waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from covey.fleet import words
from covey.fleet.model import (
    ABORT_ALL,
    CREATE,
    NO_GATE,
    OUTAGE,
    PAUSE,
    START,
    Action,
    FleetDecision,
    FleetState,
    GlobalReading,
    RegionView,
)
from covey.fleet.spec import fleet_digest, waves_of
from covey.rollout.model import State
from covey.rollout.units import seconds_of
from covey.v1.fleet_pb2 import ON_REGION_HARM_ROLLBACK_ALL, FleetSpec


def decide_fleet(
    fleet: FleetSpec,
    views: Sequence[RegionView],
    now: datetime,
    *,
    gate: GlobalReading = NO_GATE,
    abort_reason: str = "",
) -> FleetDecision:
    """The actions that follow, each with its reason.

    In this order: an abort of everything; regions that hold somebody else's rollout; drafts for regions that have none;
    then wave by wave, of which the next starts only where every region of those before is done and within reach.

    Args:
        fleet: the spec, checked.
        views: one per region, in any order.
        now: the coordinator's clock; it matters to `wave_dwell` only.
        gate: what the global gate says.
        abort_reason: why somebody asks now to abort all of it; empty where nobody does.
    """
    given = {view.name: view for view in views}
    ordered = [given[region.name] for region in fleet.regions]
    by_name = {view.name: view for view in ordered}
    strangers = [view for view in ordered if _is_strange(fleet, view)]
    ours = [view for view in ordered if view not in strangers]
    outages = [_outage(view, now) for view in ours if _is_told_of_outage(view)]
    waits = {view.name: words.STRANGER if view in strangers else words.standing(view) for view in ordered}
    if reason := abort_reason or _abort_of_all(fleet, ours, gate):
        # Whoever aborts by hand means the fleet of that name, whatever was changed in the file since.
        kin = [view for view in strangers if view.fleet == fleet.name] if abort_reason else []
        return _aborted([*ours, *kin], reason, outages, waits)
    creates = [
        Action(CREATE, view.name, f"the plan of fleet {fleet.name} for region {view.name}, checked by its own server")
        for view in ordered
        if view.reachable and not view.exists and not view.problem
    ]
    if strangers:
        names = ", ".join(view.name for view in strangers)
        sentence = f"{names}: {words.STRANGER}; nothing starts before that is settled"
        return FleetDecision((*outages,), FleetState.HELD, sentence, waits)
    return _next_wave(fleet, by_name, now, gate, [*outages, *creates], waits)


def _abort_of_all(fleet: FleetSpec, views: Sequence[RegionView], gate: GlobalReading) -> str:
    """Why everything is to be aborted; empty where it is not. Once a region's journal says so it stays so."""
    if aborted := [view.name for view in views if ABORT_ALL in view.verbs]:
        return f"the whole fleet was aborted, as the journal of {', '.join(aborted)} says"
    if gate.harm:
        return f"the global gate shows harm: {gate.harm}"
    if fleet.on_region_harm == ON_REGION_HARM_ROLLBACK_ALL:
        for view in views:
            if view.is_harmed:
                return f"region {view.name} was rolled back, and on_region_harm is rollback_all: {view.explanation}"
    return ""


def _aborted(views: Sequence[RegionView], reason: str, outages: list[Action], waits: dict[str, str]) -> FleetDecision:
    left = [view for view in views if view.takes_abort]
    actions = [Action(ABORT_ALL, view.name, reason) for view in left if view.reachable]
    away = [view.name for view in views if not view.reachable and not view.is_terminal]
    for name in away:
        waits[name] = "out of reach; its abort is delivered when it is back, and until then its own gates guard it"
    if left or away or any(not view.is_terminal and view.exists for view in views):
        unreached = f"; still out of reach: {', '.join(away)}" if away else ""
        return FleetDecision((*outages, *actions), FleetState.ROLLING_BACK, f"{reason}{unreached}", waits)
    kept = [view.name for view in views if view.state == State.STATE_SUCCEEDED]
    later = f"; had succeeded before, and keep the candidate: {', '.join(kept)}" if kept else ""
    return FleetDecision((*outages,), FleetState.ROLLED_BACK, f"{reason}{later}", waits)


def _next_wave(
    fleet: FleetSpec,
    by_name: Mapping[str, RegionView],
    now: datetime,
    gate: GlobalReading,
    actions: list[Action],
    waits: dict[str, str],
) -> FleetDecision:
    waves = waves_of(fleet)
    back = [view.name for view in by_name.values() if view.is_back]
    exceeded = len(back) > fleet.tolerated_region_count
    for number, names in enumerate(waves, start=1):
        views = [by_name[name] for name in names]
        drafts = [view for view in views if not view.has_started and not view.is_terminal]
        if drafts:
            before = [by_name[name] for wave in waves[: number - 1] for name in wave]
            obstacle = _obstacle(fleet, before, now, gate) if before else None
            if exceeded and obstacle is None:
                obstacle = FleetState.HELD, _exceeded(fleet, back)
            if obstacle is None:
                startable = [view for view in drafts if view.reachable and view.exists]
                why = _why_start(number, before, fleet)
                actions += [Action(START, view.name, why) for view in startable]
                for view in drafts:
                    waits[view.name] = "starts now" if view in startable else words.before_start(view, number)
            else:
                for view in drafts:
                    waits[view.name] = f"wave {number} waits: {obstacle[1]}"
                for name in (name for wave in waves[number:] for name in wave):
                    if not by_name[name].has_started:
                        waits[name] = f"waits for wave {number}"
                return _held(obstacle, by_name, gate, actions, waits)
        if not all(_is_done(fleet, view, exceeded=exceeded) for view in views):
            for name in (name for wave in waves[number:] for name in wave):
                if not by_name[name].has_started:
                    waits[name] = f"waits for wave {number}"
            return _under_way(number, views, by_name, gate, actions, waits)
    return _at_the_end(by_name, back, gate, actions, waits)


def _obstacle(
    fleet: FleetSpec, before: Sequence[RegionView], now: datetime, gate: GlobalReading
) -> tuple[FleetState, str] | None:
    """What keeps a wave from starting whose predecessors are these; None where nothing does."""
    if lost := [view.name for view in before if not view.reachable]:
        return FleetState.WAITING, f"out of reach: {', '.join(lost)}; no later wave starts before that is over"
    if paused := [view.name for view in before if view.paused]:
        return FleetState.HELD, f"somebody paused {', '.join(paused)}; resume it, or abort"
    if gate.refuted:
        return FleetState.HELD, f"the global gate refutes a criterion: {gate.refuted}"
    if gate.unproven:
        return FleetState.WAITING, f"not shown yet over all regions: {gate.unproven}"
    done_at = max((at for view in before if (at := _done_at(fleet, view)) is not None), default=None)
    dwell = timedelta(seconds=seconds_of(fleet.wave_dwell))
    # Without a dwell a region's clock that is ahead must not make one.
    if dwell and done_at is not None and now < done_at + dwell:
        return FleetState.WAITING, f"the dwell between waves ends at {words.instant(done_at + dwell)}"
    return None


def _is_done(fleet: FleetSpec, view: RegionView, *, exceeded: bool) -> bool:
    """Whether a wave need not wait for this region any more."""
    if view.is_back:
        return view.is_terminal and not exceeded
    return _done_at(fleet, view) is not None


def _done_at(fleet: FleetSpec, view: RegionView) -> datetime | None:
    if view.is_terminal:
        return view.ended_at
    return view.entered.get(fleet.wave_done_in_phase) if fleet.wave_done_in_phase else None


def _under_way(
    number: int,
    views: Sequence[RegionView],
    by_name: Mapping[str, RegionView],
    gate: GlobalReading,
    actions: list[Action],
    waits: dict[str, str],
) -> FleetDecision:
    """A wave that is not done: it goes on by itself, region by region."""
    if gate.refuted:
        return _held(
            (FleetState.HELD, f"the global gate refutes a criterion: {gate.refuted}"), by_name, gate, actions, waits
        )
    active = [view for view in by_name.values() if view.has_started and not view.is_terminal]
    starting = [action for action in actions if action.verb == START]
    lost = [view.name for view in views if not view.reachable]
    if lost:
        sentence = f"wave {number} waits; out of reach, and going on alone by their own gates: {', '.join(lost)}"
        return FleetDecision(tuple(actions), FleetState.WAITING, sentence, waits)
    if active or starting:
        return FleetDecision(tuple(actions), FleetState.RUNNING, f"wave {number}: {words.listed(views)}", waits)
    if any(view.is_back for view in views):
        back = [view.name for view in by_name.values() if view.is_back]
        sentence = f"taken back: {', '.join(back)}; no later wave starts, and the others have ended"
        return FleetDecision(tuple(actions), FleetState.STOPPED, sentence, waits)
    return FleetDecision(
        tuple(actions), FleetState.PLANNED, f"wave {number} has not started: {words.listed(views)}", waits
    )


def _held(
    obstacle: tuple[FleetState, str],
    by_name: Mapping[str, RegionView],
    gate: GlobalReading,
    actions: list[Action],
    waits: dict[str, str],
) -> FleetDecision:
    """No further wave for now. Where all regions together refute a criterion, those that run stop advancing, once."""
    state, sentence = obstacle
    active = [view for view in by_name.values() if view.has_started and not view.is_terminal]
    if gate.refuted:
        actions += [
            Action(PAUSE, view.name, sentence)
            for view in active
            if view.reachable and not view.paused and not view.is_back and PAUSE not in view.verbs
        ]
    elif state is FleetState.HELD and not active and any(view.is_back for view in by_name.values()):
        state = FleetState.STOPPED
    return FleetDecision(tuple(actions), state, sentence, waits)


def _at_the_end(
    by_name: Mapping[str, RegionView],
    back: Sequence[str],
    gate: GlobalReading,
    actions: list[Action],
    waits: dict[str, str],
) -> FleetDecision:
    active = [view for view in by_name.values() if not view.is_terminal]
    if active:
        if gate.refuted:
            return _held(
                (FleetState.HELD, f"the global gate refutes a criterion: {gate.refuted}"), by_name, gate, actions, waits
            )
        return FleetDecision(tuple(actions), FleetState.RUNNING, f"the last wave: {words.listed(active)}", waits)
    kept = [view.name for view in by_name.values() if view.name not in back]
    if not kept:
        sentence = f"every region was taken back: {', '.join(back)}"
        return FleetDecision(tuple(actions), FleetState.ROLLED_BACK, sentence, waits)
    without = f"; taken back, which the plan tolerates: {', '.join(back)}" if back else ""
    sentence = f"the candidate serves everybody in {', '.join(kept)}{without}"
    return FleetDecision(tuple(actions), FleetState.SUCCEEDED, sentence, waits)


def _exceeded(fleet: FleetSpec, back: Sequence[str]) -> str:
    tolerated = fleet.tolerated_region_count
    return f"taken back: {', '.join(back)}; the plan tolerates {tolerated or 'none'}"


def _why_start(number: int, before: Sequence[RegionView], fleet: FleetSpec) -> str:
    if not before:
        return f"wave 1 of fleet {fleet.name} begins"
    return f"wave {number} of fleet {fleet.name} begins: {words.listed(before)}"


def _is_strange(fleet: FleetSpec, view: RegionView) -> bool:
    """Whether a rollout of the fleet's name is there that is none of this fleet's, or was made from another spec."""
    return view.exists and view.fleet_digest != fleet_digest(fleet)


def _is_told_of_outage(view: RegionView) -> bool:
    return view.reachable and view.lost_at is not None and view.exists and not view.is_terminal


def _outage(view: RegionView, now: datetime) -> Action:
    since = words.instant(view.lost_at) if view.lost_at else ""
    text = f"region {view.name} was out of reach of the coordinator from {since} to {words.instant(now)}"
    return Action(OUTAGE, view.name, f"{text}; its own controller and gates went on meanwhile")
