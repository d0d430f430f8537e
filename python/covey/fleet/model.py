"""What a fleet's decision is made from, and what it is made of: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from covey.fleet.journal import RegionJournal
from covey.rollout.model import TERMINAL, State
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollouts_pb2 import Rollout

ABORT_ALL, ABORT_REGION, START, CREATE, PAUSE, OUTAGE = (
    "abort-all",
    "abort-region",
    "start",
    "create",
    "pause",
    "outage",
)


@dataclass(frozen=True)
class RegionView:
    """What is known of one region now, from its journal and from trying to reach it.

    Attributes:
        name: of the region.
        reachable: whether it answered just now; what follows is else what was last known.
        problem: why it did not answer, or why its rollout is not this fleet's; empty where all is well.
        exists: whether it has a rollout of the fleet's name.
        fleet: whose part this rollout says it is; empty where it is none's.
        fleet_digest: of that fleet's spec.
        state: of the rollout.
        phase: in force or awaited.
        explanation: why it is in this state.
        paused: whether its clock stands.
        missing_roles: whose signatures its next phase waits for.
        cause: of its rollback; unspecified where there is none.
        entered: when each phase began.
        ended_at: when it ended; None before.
        verbs: what the fleet has done here.
        lost_at: since when it is, or until just now was, out of reach; None where at most one look went unanswered.
    """

    name: str
    reachable: bool = True
    problem: str = ""
    exists: bool = False
    fleet: str = ""
    fleet_digest: str = ""
    state: Rollout.State.ValueType = State.STATE_UNSPECIFIED
    phase: str = ""
    explanation: str = ""
    paused: bool = False
    missing_roles: tuple[str, ...] = ()
    cause: RollbackStarted.Cause.ValueType = RollbackStarted.CAUSE_UNSPECIFIED
    entered: Mapping[str, datetime] = field(default_factory=dict)
    ended_at: datetime | None = None
    verbs: frozenset[str] = frozenset()
    lost_at: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether its rollout has ended."""
        return self.state in TERMINAL

    @property
    def has_started(self) -> bool:
        """Whether a controller drives its rollout, or did."""
        return self.exists and self.state != State.STATE_DRAFT and (not self.is_terminal or bool(self.entered))

    @property
    def is_back(self) -> bool:
        """Whether the candidate was taken back there, or is being taken back."""
        return self.exists and self.state in {
            State.STATE_ROLLING_BACK, State.STATE_ROLLED_BACK, State.STATE_ABORTED,
        }  # fmt: skip

    @property
    def is_harmed(self) -> bool:
        """Whether it was taken back by evidence or people's denial, not by somebody's abort."""
        return self.is_back and self.cause not in {RollbackStarted.CAUSE_ABORT, RollbackStarted.CAUSE_UNSPECIFIED}

    @property
    def takes_abort(self) -> bool:
        """Whether an abort would change anything."""
        return self.exists and not self.is_terminal and not self.is_back


def view_of(
    journal: RegionJournal, *, reachable: bool = True, problem: str = "", lost_at: datetime | None = None
) -> RegionView:
    """The view of a region whose journal was read."""
    state = journal.state
    if state is None:
        return RegionView(journal.region, reachable, problem, lost_at=lost_at)
    return RegionView(
        journal.region,
        reachable,
        problem,
        exists=True,
        fleet=state.spec.fleet.fleet,
        fleet_digest=journal.fleet_digest,
        state=state.state,
        phase=state.phase,
        explanation=state.explanation,
        paused=state.paused,
        missing_roles=state.missing_roles,
        cause=state.rollback_cause,
        entered=dict(journal.entered),
        ended_at=journal.ended_at,
        verbs=frozenset(journal.verbs),
        lost_at=lost_at,
    )


@dataclass(frozen=True)
class GlobalReading:
    """What the global gate says now.

    Attributes:
        criteria: verdicts on the criteria.
        triggers: verdicts on the triggers.
    """

    criteria: Sequence[Verdict] = ()
    triggers: Sequence[Verdict] = ()

    @property
    def harm(self) -> str:
        """The sentence of the first trigger that is shown; empty where none is."""
        return next((verdict.sentence for verdict in self.triggers if verdict.result == Verdict.RESULT_FAIL), "")

    @property
    def refuted(self) -> str:
        """The sentence of the first criterion that is refuted; empty where none is."""
        return next((it.sentence for it in self._deciding if it.result == Verdict.RESULT_FAIL), "")

    @property
    def unproven(self) -> str:
        """The sentences of the criteria that do not pass yet; empty where all do."""
        return "; ".join(it.sentence for it in self._deciding if it.result != Verdict.RESULT_PASS)

    @property
    def _deciding(self) -> list[Verdict]:
        return [verdict for verdict in self.criteria if not verdict.report_only]


NO_GATE = GlobalReading()


class FleetState(Enum):
    """Where the whole stands."""

    PLANNED = "PLANNED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    HELD = "HELD"
    ROLLING_BACK = "ROLLING BACK"
    SUCCEEDED = "SUCCEEDED"
    STOPPED = "STOPPED"
    ROLLED_BACK = "ROLLED BACK"


@dataclass(frozen=True)
class Action:
    """One call to one region.

    Attributes:
        verb: CREATE, START, PAUSE, ABORT_REGION, ABORT_ALL or OUTAGE.
        region: whom to call.
        reason: why, in one sentence; it goes into the region's journal.
    """

    verb: str
    region: str
    reason: str


@dataclass(frozen=True)
class FleetDecision:
    """What to do now, and where the whole stands.

    Attributes:
        actions: calls to make now; doing one twice does it once.
        state: of the whole.
        sentence: why, in one sentence.
        waits: what each region waits for, or how it ended, by region.
    """

    actions: tuple[Action, ...]
    state: FleetState
    sentence: str
    waits: Mapping[str, str]

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen any more, by itself or by anybody's abort."""
        return self.state in {FleetState.SUCCEEDED, FleetState.STOPPED, FleetState.ROLLED_BACK}
