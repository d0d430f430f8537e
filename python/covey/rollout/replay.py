"""A journal decided again from its ticks. The same journal must give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from covey.rollout.decide import draft_decision
from covey.rollout.evidence import Evidence
from covey.rollout.kinds import DECISIONS
from covey.rollout.model import RolloutState
from covey.rollout.state import SCHEMA_VERSION, apply
from covey.rollout.units import time_of
from covey.v1.journal_pb2 import Entry, RollbackStarted, RolloutFinished

# What the server and the controller's process add to a decision, beside its times.
STAMPS = (
    "sequence",
    "schema_version",
    "epoch",
    "actor",
    "actor_verified",
    "request_id",
    "version",
    "previous_digest",
    "spec_digest",
)


COMMANDED_CAUSES = frozenset({RollbackStarted.CAUSE_ABORT, RollbackStarted.CAUSE_CRASH_LOOP})


class ReplayError(ValueError):
    """A journal that decide() would not have written, with the first entry that differs."""


def replay(entries: Iterable[Entry]) -> list[Entry]:
    """The journal as decide() writes it again: operators' entries as they are, decisions made anew from the ticks.

    A decision carries over the stamps that the server gave the recorded one (time, sequence, who), so that a journal
    and its replay can be compared byte by byte.

    Raises:
        ReplayError: a tick was followed by other decisions than decide() makes, or by none.
        IllegalEntry: the journal itself is not legal.
    """
    recorded = list(entries)
    state: RolloutState | None = None
    result: list[Entry] = []
    position = 0
    while position < len(recorded):
        entry = recorded[position]
        group = [entry]
        kind = entry.WhichOneof("payload")
        if _is_decision(entry):
            raise ReplayError(f"entry {entry.sequence} is '{kind}', which decide() does not say here")
        if kind == "tick" and state is not None:
            evidence = Evidence.from_tick(entry.tick)
            draft = draft_decision(state.spec, state, evidence, time_of(entry.time))
            group = [
                _stamped_like(made, _recorded_at(recorded, position + offset))
                for offset, made in enumerate(draft.entries)
            ]
            if len(group) == 1 and _follows(group[0], state, draft.state):
                # A look that only watched: of its stamps the state keeps the epoch, so it need not be folded twice.
                same = draft.state.epoch == group[0].epoch
                state = draft.state if same else replace(draft.state, epoch=group[0].epoch)
                result.extend(group)
                position += 1
                continue
        for made in group:
            state = apply(state, made)
        result.extend(group)
        position += len(group)
    return result


def _follows(recorded: Entry, before: RolloutState, after: RolloutState) -> bool:
    """Whether folding the recorded entry would find nothing wrong with its stamps."""
    newer_schema = recorded.schema_version > SCHEMA_VERSION
    return not newer_schema and recorded.sequence == after.last_sequence and recorded.epoch >= before.epoch


def _is_decision(entry: Entry) -> bool:
    kind = entry.WhichOneof("payload")
    if kind == "rollback_started":
        return entry.rollback_started.cause not in COMMANDED_CAUSES
    if kind == "finished":  # an abort before the first phase ends at once
        return entry.finished.outcome != RolloutFinished.OUTCOME_ABORTED
    return kind in DECISIONS


def _recorded_at(recorded: list[Entry], position: int) -> Entry:
    if position >= len(recorded):
        raise ReplayError(f"the journal ends after entry {len(recorded)}, where decide() goes on")
    return recorded[position]


def _stamped_like(made: Entry, recorded: Entry) -> Entry:
    """The entry with the recorded one's stamps; nobody else has it yet."""
    was, now = recorded.WhichOneof("payload"), made.WhichOneof("payload")
    if was != now:
        raise ReplayError(f"entry {recorded.sequence} is '{was}', decide() says '{now}'")
    if recorded.HasField("time"):
        made.time.CopyFrom(recorded.time)
    if recorded.HasField("effective_at"):
        made.effective_at.CopyFrom(recorded.effective_at)
    for name in STAMPS:
        setattr(made, name, getattr(recorded, name))
    return made
