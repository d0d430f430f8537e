"""Whatever happens in whatever order: legal weights, legal decisions, the same state from the same journal."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.replay import replay
from covey.rollout.state import State, fold
from covey.rollout.units import time_of
from covey.v1.evidence_pb2 import Absence, AbsenceType

from .world import SHORT_PLAN, Journal, Replica, World, ended, plan, started

WITHOUT_TRAFFIC = {
    State.STATE_DRAFT,
    State.STATE_SCHEDULED,
    State.STATE_ROLLING_BACK,
    State.STATE_ROLLED_BACK,
    State.STATE_ABORTED,
}

ABSENT = st.sampled_from([value for value in AbsenceType.values() if value])
LOOKS = st.fixed_dictionaries(
    {"kind": st.just("look")},
    optional={
        "times": st.integers(1, 12),
        "observed": st.sampled_from([0.0, 1.0, 2.0, 500.0]),
        "absent": ABSENT,
        "blind": st.just(True),
        "wrong_weight": st.integers(0, 10_000),
        "restart": st.just(True),
        "fall": st.just(True),
        "errors": st.sampled_from([0.0, 0.01, 0.5]),
        "silent": st.just(True),
    },
)
VERBS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            [
                "start",
                "pause",
                "resume",
                "promote",
                "postpone",
                "abort",
                "approve",
                "approve",
                "deny",
                "revoke",
                "report_incident",
                "resolve_incident",
                "crash_loop",
            ]
        ),
        "phase": st.sampled_from(["canary", "rollout", "nonsense"]),
        "role": st.sampled_from(["operations", "operations", "stranger"]),
        "critical": st.booleans(),
        "seconds": st.integers(-10, 60),
    }
)


def act(world: World, action: dict[str, object]) -> None:
    kind = action["kind"]
    if kind == "look":
        look(world, action)
        return
    journal = world.journal
    arguments: dict[str, object] = {}
    if kind in {"approve", "deny", "revoke"}:
        arguments = {"phase": action["phase"], "role": action["role"]}
    elif kind == "postpone":
        seconds = int(str(action["seconds"]))
        arguments = {"phase": action["phase"], "not_before": journal.now + timedelta(seconds=seconds)}
    elif kind == "report_incident":
        arguments = {"incident_id": "i1", "critical": action["critical"], "description": "smoke"}
    elif kind == "resolve_incident":
        arguments = {"incident_id": "i1"}
    if kind != "crash_loop":
        arguments["reason"] = "because"
    try:
        journal.command(getattr(commands, str(kind)), **arguments)
    except CommandRefused as refusal:
        assert refusal.message
        assert refusal.reason_code


def look(world: World, action: dict[str, object]) -> None:
    if world.journal.state.is_terminal or world.journal.state.state == State.STATE_DRAFT:
        return
    world.error_rate = float(str(action.get("errors", 0.0005)))
    world.probes_answered = "silent" not in action
    if action.get("restart"):
        world.replicas[0] = Replica("a", started=world.replicas[0].started + 1)
    if action.get("fall"):
        world.replicas[0].candidate.request_count //= 2
        world.replicas[0].candidate.ClearField("error_count")
        world.replicas[0].candidate.ClearField("unavailable_count")
    world.absences = [Absence(replica="a", type=action["absent"])] if "absent" in action else []  # type: ignore[arg-type]
    for _ in range(int(str(action.get("times", 1)))):
        if world.journal.state.is_terminal:
            return
        changes: dict[str, object] = {}
        if "observed" in action:
            changes["observed_seconds"] = action["observed"]
        if "blind" in action:
            changes["readings"] = []
        elif "wrong_weight" in action:
            readings = world.readings()
            readings[0].candidate_weight_bp = int(str(action["wrong_weight"]))
            changes["readings"] = readings
        world.look(**changes)
        check(world)


def check(world: World) -> None:
    state = world.journal.state
    planned = {state.plan.weight_bp(index) for index in range(len(state.spec.phases))}
    assert state.candidate_weight_bp in planned | {0}
    if state.state in WITHOUT_TRAFFIC:
        assert state.candidate_weight_bp == 0
    elif state.in_phase or state.state == State.STATE_SUCCEEDED:
        assert state.candidate_weight_bp == state.plan.weight_bp(state.phase_index)


@settings(max_examples=60)
@given(st.lists(st.one_of(LOOKS, VERBS), max_size=25))
def test_no_sequence_of_events_leads_to_an_illegal_weight(actions: list[dict[str, object]]) -> None:
    world = World(Journal(plan()), requests_per_second=600.0)
    world.journal.command(commands.start)
    for action in actions:
        if world.journal.state.is_terminal:
            break
        act(world, action)
        check(world)
    assert world.journal.refold() == world.journal.state
    again = replay(world.journal.entries)
    assert [entry.SerializeToString(deterministic=True) for entry in again] == [
        entry.SerializeToString(deterministic=True) for entry in world.journal.entries
    ]


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(0, 1), st.sampled_from([0.0005, 0.02, 0.1]))
def test_a_controller_that_dies_and_folds_the_journal_goes_on_as_if_it_had_not(
    seed: int, cut_at: float, error_rate: float
) -> None:
    world = started(seed=seed, error_rate=error_rate, requests_per_second=800.0)
    world.run(ended)
    entries = world.journal.entries
    ticks = [index for index, entry in enumerate(entries) if entry.HasField("tick")]
    cut = ticks[int(cut_at * (len(ticks) - 1))]
    state = fold(entries[:cut])
    for index, tick in enumerate(entries[cut:], start=cut):
        if not tick.HasField("tick"):
            continue
        decided = decide(state.spec, state, Evidence.from_tick(tick.tick), time_of(tick.time))
        recorded = entries[index : index + len(decided)]
        kinds = [entry.WhichOneof("payload") for entry in recorded]
        assert [entry.WhichOneof("payload") for entry in decided] == kinds
        for made, kept in zip(decided, recorded, strict=True):
            assert getattr(made, str(made.WhichOneof("payload"))) == getattr(kept, str(kept.WhichOneof("payload")))
        state = fold_on(state, recorded)
    assert state == world.journal.state


def fold_on(state, entries):  # type: ignore[no-untyped-def]
    from covey.rollout.state import apply

    for entry in entries:
        state = apply(state, entry)
    return state


@settings(max_examples=10)
@given(st.integers(1, 40))
def test_a_gap_of_an_hour_costs_no_evidence_and_gives_no_dwell(kill_at: int) -> None:
    world = started(requests_per_second=1000.0)
    for _ in range(kill_at):
        if not world.journal.state.is_terminal:
            world.look()
    if world.journal.state.is_terminal:
        return
    world.journal.now += timedelta(hours=1)
    elapsed = world.journal.state.phase_elapsed_seconds
    phase = world.journal.state.phase_index
    world.epoch += 1
    world.look(observed_seconds=0.0)
    if world.journal.state.phase_index == phase:
        assert world.journal.state.phase_elapsed_seconds == elapsed
    assert world.run(ended).state == State.STATE_SUCCEEDED


def test_healthy_candidates_are_not_rolled_back_by_triggers() -> None:
    """At the limit's own rate: 1 % over a rollout, so that four in 40 rollouts would be very bad luck."""
    text = SHORT_PLAN.replace("error_rate < 2 %", "error_rate < 4 %").replace("p99 < 200 ms", "p99 < 300 ms")
    fired = 0
    for seed in range(40):
        world = started(text, seed=seed, error_rate=0.03, slow_rate=0.0, requests_per_second=500.0)
        for _ in range(30):
            if not world.journal.state.is_terminal:
                world.look()
        fired += "rollback_started" in world.journal.kinds()
    assert fired <= 3
