"""A rollout in virtual time: the live decide() on evidence from anywhere, with an operator whose habits are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.model import EFFECTIVE_AFTER, RolloutState, State
from covey.rollout.signatures import has_accepted
from covey.rollout.standing import Signatures
from covey.rollout.state import apply
from covey.rollout.units import timestamp_of
from covey.v1.journal_pb2 import Entry
from covey.v1.rollout_spec_pb2 import RolloutSpec

CONTROLLER = "rehearsal"


class Operator(Enum):
    """What the people of a rehearsal do.

    Attributes:
        APPROVE: sign every phase, and accept no criterion that the evidence leaves open.
        ACCEPT: sign every phase, and every open criterion that names a role for it.
        NOBODY: sign nothing.
    """

    APPROVE = "approve"
    ACCEPT = "accept"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Rehearsed:
    """How a rehearsal went.

    Attributes:
        entries: its journal, as the server would have written it.
        state: after the last look.
        notes: what the reader must know about the evidence, in sentences.
    """

    entries: tuple[Entry, ...]
    state: RolloutState
    notes: tuple[str, ...] = ()


class Rehearsal:
    """A journal that grows by looks.

    Args:
        spec: the plan.
        now: virtual time of the creation, aware.
        operator: what its people do.
        begins: before that time no phase begins; looks before it only learn the baseline. None: at the first look.
        name: of the rollout, for the report.
        effective_after: how long after its commit a change of weight takes effect.
        keeps_ticks: whether `entries` has the looks too; a simulation that is not told again does without.

    Attributes:
        state: after the last entry.
        entries: the journal so far.

    Raises:
        SpecError: the spec has errors.
    """

    def __init__(
        self,
        spec: RolloutSpec,
        now: datetime,
        *,
        operator: Operator = Operator.APPROVE,
        begins: datetime | None = None,
        name: str = "rollouts/rehearsal",
        effective_after: timedelta = EFFECTIVE_AFTER,
        keeps_ticks: bool = True,
    ) -> None:
        self.entries: list[Entry] = []
        self._operator = operator
        self._effective_after = effective_after
        self._keeps_ticks = keeps_ticks
        self._state: RolloutState | None = None
        self.append(commands.create(name, "rehearsal", _without_calendar(spec)), now)
        self.append(commands.start(self.state, now), now, actor="operator")
        if begins is not None and begins > now:
            first = self.state.plan.names[0]
            self.append(commands.postpone(self.state, now, phase=first, not_before=begins), now, actor="operator")

    @property
    def state(self) -> RolloutState:
        """The fold of the journal."""
        assert self._state is not None
        return self._state

    def look(self, evidence: Evidence) -> list[Entry]:
        """One tick of the controller at `evidence.observed_at`, after what the people do before it."""
        now = evidence.observed_at
        self._sign(now)
        return self.append(decide(self.state.spec, self.state, evidence, now), now, epoch=1)

    def append(self, entries: Iterable[Entry], now: datetime, *, epoch: int = 0, actor: str = "server") -> list[Entry]:
        """Records entries as the server does, with sequence, time and effect."""
        recorded = []
        for entry in entries:
            stamped = Entry()
            stamped.CopyFrom(entry)
            stamped.sequence = self._state.last_sequence + 1 if self._state else 1
            stamped.epoch = epoch
            stamped.actor = CONTROLLER if epoch else actor
            stamped.time.CopyFrom(timestamp_of(now))
            kind = stamped.WhichOneof("payload")
            if kind == "phase_entered":
                stamped.effective_at.CopyFrom(timestamp_of(now + self._effective_after))
            elif kind == "rollback_started":
                stamped.effective_at.CopyFrom(timestamp_of(now))
            self._state = apply(self._state, stamped)
            if self._keeps_ticks or kind != "tick":
                self.entries.append(stamped)
            recorded.append(stamped)
        return recorded

    def weight_bp(self, now: datetime) -> int | None:
        """The candidate's weight in force; None while a change is on its way."""
        effective_at = self.state.effective_at
        return None if effective_at is not None and now < effective_at else self.state.candidate_weight_bp

    def result(self, notes: Iterable[str] = ()) -> Rehearsed:
        """The rehearsal so far."""
        return Rehearsed(tuple(self.entries), self.state, tuple(notes))

    def _sign(self, now: datetime) -> None:
        state = self.state
        if self._operator is Operator.NOBODY or state.is_terminal or state.state == State.STATE_ROLLING_BACK:
            return
        following = state.next_phase
        if following is not None and (state.phase_index < 0 or state.state == State.STATE_AWAITING_APPROVAL):
            for role in following.approvals.roles:
                signatures = Signatures(self.state, following.name, now)
                for number in range(len(signatures.people(role)), signatures.needed(role)):
                    entries = commands.approve(self.state, now, phase=following.name, role=role)
                    self.append(entries, now, actor=f"{role}-{number + 1}" if number else role)
        if self._operator is not Operator.ACCEPT or state.state != State.STATE_HOLDING:
            return
        for criterion, statement in state.phase_criteria():
            role = criterion.accept_by
            if role and not has_accepted(self.state, statement.text, role):
                entries = commands.approve(self.state, now, phase=state.phase, role=role, statement=statement.text)
                self.append(entries, now, actor=role)


def _without_calendar(spec: RolloutSpec) -> RolloutSpec:
    """A rehearsal's days are no days of the calendar: its windows would only make it longer."""
    free = RolloutSpec()
    free.CopyFrom(spec)
    free.ClearField("calendar")
    return free
