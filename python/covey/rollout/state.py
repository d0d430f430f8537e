"""The state machine: a rollout's state is a fold over the entries of its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from covey.rollout.calendars import Zone
from covey.rollout.counts import Counts
from covey.rollout.gates.memory import GateMemory
from covey.rollout.model import TERMINAL, Denial, IllegalEntry, Plan, RolloutState, State
from covey.rollout.spec import spec_digest, stored_digest
from covey.rollout.transitions import HANDLERS
from covey.rollout.units import time_of
from covey.rollout.words import state_word
from covey.v1.journal_pb2 import Entry

# Entries of a newer schema are refused rather than misread.
SCHEMA_VERSION = 1


def fold(entries: Iterable[Entry], state: RolloutState | None = None) -> RolloutState:
    """The state after all entries of one rollout, from the first, or from those that follow `state`.

    Raises:
        IllegalEntry: an entry that may not follow those before it.
        ValueError: no entries.
    """
    for entry in entries:
        state = apply(state, entry)
    if state is None:
        raise ValueError("a journal has at least the entry that created the rollout")
    return state


def apply(state: RolloutState | None, entry: Entry) -> RolloutState:
    """The state after one more entry. Costs the same however long the journal is.

    Args:
        state: after the entries before; None before the first.
        entry: with its sequence and time.

    Raises:
        IllegalEntry: the entry may not follow; the state is unchanged.
    """
    if entry.schema_version > SCHEMA_VERSION:
        raise IllegalEntry(
            f"entry {entry.sequence} has schema {entry.schema_version}, this version knows {SCHEMA_VERSION}; upgrade",
            "NEWER_SCHEMA",
        )
    kind = entry.WhichOneof("payload")
    if kind is None:
        raise IllegalEntry(f"entry {entry.sequence} says nothing", "EMPTY_ENTRY")
    if state is None:
        return _created(entry)
    if entry.sequence != state.last_sequence + 1:
        raise IllegalEntry(f"entry {entry.sequence} does not follow entry {state.last_sequence}", "WRONG_SEQUENCE")
    if entry.epoch and entry.epoch < state.epoch:
        raise IllegalEntry(f"epoch {entry.epoch} is over; {state.epoch} has written since", "STALE_EPOCH")
    if kind == "created":
        raise IllegalEntry("the rollout exists already", "EXISTS")
    if state.is_terminal:
        raise IllegalEntry(f"the rollout is {state_word(state.state)}; nothing follows")
    after = HANDLERS[kind](state, entry, getattr(entry, kind))
    if after.last_sequence == entry.sequence and after.epoch >= entry.epoch:
        return after  # a tick stamps the state with the rest of what it changes
    return replace(after, last_sequence=entry.sequence, epoch=max(state.epoch, entry.epoch))


def _created(entry: Entry) -> RolloutState:
    if entry.WhichOneof("payload") != "created":
        raise IllegalEntry("a journal begins with the entry that creates the rollout", "NOT_CREATED")
    if entry.sequence != 1:
        raise IllegalEntry(f"a journal begins with entry 1, not {entry.sequence}", "WRONG_SEQUENCE")
    created = entry.created
    if created.spec_digest not in {stored_digest(created.spec), spec_digest(created.spec)}:
        raise IllegalEntry("the digest is not that of the spec", "WRONG_DIGEST")
    if created.spec.calendar.time_zone and not created.zone_offsets:
        raise IllegalEntry(f"the offsets of {created.spec.calendar.time_zone} are missing", "NO_ZONE_OFFSETS")
    plan = Plan.of(created.spec, Zone.of(created.zone_offsets))
    zero = Counts(over=(0,) * len(plan.limits_seconds))
    return RolloutState(
        name=created.rollout,
        uid=created.uid,
        plan=plan,
        spec_digest=created.spec_digest,
        state=State.STATE_DRAFT,
        last_sequence=entry.sequence,
        epoch=entry.epoch,
        create_time=time_of(entry.time),
        explanation="it is a draft; start it",
        not_before={
            phase.name: time_of(phase.not_before) for phase in plan.spec.phases if phase.HasField("not_before")
        },
        phase_counts=zero,
        rollout_counts=zero,
        phase_rivals=zero,
        gates=GateMemory.empty(plan.gates),
    )


__all__ = ["SCHEMA_VERSION", "TERMINAL", "Denial", "IllegalEntry", "Plan", "RolloutState", "State", "apply", "fold"]
