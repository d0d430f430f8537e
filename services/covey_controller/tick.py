"""One rollout as the controller follows it: journal, evidence, decision, commit."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from covey import __version__, failpoints
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.model import LONGEST_GAP_INTERVALS
from covey.rollout.spec import with_defaults
from covey.rollout.state import RolloutState, apply
from covey.rollout.verdicts import current_verdicts
from covey.v1 import evidence_pb2, journal_pb2, rollouts_pb2
from covey_controller.client import ControlClient
from covey_controller.clock import Clock
from covey_controller.exporter import Exporter
from covey_controller.notify import Notifier
from covey_controller.traffic.actuator import RouterReading
from covey_controller.workplace import Tools

_ROLLBACK_INTERVAL_SECONDS = 1.0
_OLDEST_SAMPLE_SECONDS = 60.0
# What rounding may take from a sum of observed times.
_CLOCK_STEP_SECONDS = 0.001
_LAST_LOOK_SHARE = 0.1


@dataclass(frozen=True)
class _Pending:
    """A commit whose fate only the journal knows."""

    request_id: str
    moment: float
    probes: Sequence[evidence_pb2.ProbeCounts]


class Follower:
    """Follows the journal of one rollout and adds a tick at every look.

    Nothing here matters to the rollout: all of it is read again from the journal by the next process.
    """

    def __init__(
        self,
        rollout: rollouts_pb2.Rollout,
        *,
        client: ControlClient,
        clock: Clock,
        tools: Tools,
        notifier: Notifier,
        exporter: Exporter,
    ) -> None:
        self.name = rollout.name
        self._spec = with_defaults(rollout.spec)
        self._client = client
        self._clock = clock
        self._tools = tools
        self._prober = tools.prober
        self._notifier = notifier
        self._exporter = exporter
        self._state: RolloutState | None = None
        self._page_token = ""
        self._pending: _Pending | None = None
        self._committed_at: float | None = None
        self._is_dwelling = False
        self._routers: Sequence[RouterReading] = ()
        self._rolls_back = False
        self.due_at = clock.monotonic()

    @property
    def interval_seconds(self) -> float:
        """Time between two looks in the state at hand."""
        if self._state is None:
            return self._spec.tick_interval.ToTimedelta().total_seconds()
        interval = self._state.tick_interval_seconds
        if self._state.state == rollouts_pb2.Rollout.STATE_ROLLING_BACK:
            # The share of 0 is read back soon, however rare the looks were.
            return min(interval, _ROLLBACK_INTERVAL_SECONDS)
        return interval

    @property
    def has_shared_routers(self) -> bool:
        """Whether other controllers may write to the same routers."""
        return self._tools.actuator.is_shared

    def steer(self, epoch: int, weight_bp: int) -> None:
        """Brings a weight onto the wire where routers do not show it, and reads it back.

        After a decision to roll back it is 0, whatever the journal says, until the journal has it or a later look
        decides otherwise: weight 0 is the one change that may run ahead of the journal.

        Raises:
            StaleEpochError: a router was told something under a later lease.
        """
        weight_bp = 0 if self._rolls_back else weight_bp
        failpoints.reach("controller.steering")
        self._routers = self._tools.actuator.keep(epoch, weight_bp)
        failpoints.reach("controller.steered")
        self._exporter.routed(self.name, weight_bp, self._routers)

    def look(self, epoch: int, last_sequence: int) -> None:
        """Reads what is new, decides, commits.

        Args:
            epoch: of the lease in force.
            last_sequence: of the journal, as the server named it a moment ago.

        Raises:
            ControlError: when the journal cannot be read or the commit was not taken; the next look starts afresh.
            StaleEpochError: a router was told something under a later lease.
        """
        state = self._catch_up(last_sequence)
        if state.is_terminal:
            return
        self.steer(epoch, state.candidate_weight_bp)
        now = self._clock.wall()
        oldest = now.timestamp() - _OLDEST_SAMPLE_SECONDS
        gathered = self._tools.source.look(state.last_readings, self._routers, oldest)
        moment = self._clock.monotonic()
        for absence in gathered.absences:
            self._exporter.absence(absence)
        pending = _Pending(str(uuid.uuid4()), moment, self._prober.drain())
        self._pending = pending
        evidence = Evidence(
            observed_seconds=self._observed_seconds(moment),
            observed_at=now,
            readings=gathered.readings,
            probes=tuple(pending.probes),
            outcomes=gathered.outcomes,
            learners=gathered.learners,
            absences=gathered.absences,
        )
        failpoints.reach("controller.looked")
        entries = decide(self._spec, state, evidence, now)
        for entry in entries:
            entry.version = __version__
        self._rolls_back = any(entry.HasField("rollback_started") for entry in entries)
        if self._rolls_back:
            self.steer(epoch, 0)
            failpoints.reach("router.zeroed")
        failpoints.reach("controller.decided")
        recorded = self._client.commit(self.name, epoch, state.last_sequence, entries, pending.request_id)
        failpoints.reach("controller.committed")
        self._take(recorded)
        self._settle()
        self._is_dwelling = self._state is not None and self._state.dwells_since(state)
        if self._state is not None and self._state.candidate_weight_bp != state.candidate_weight_bp:
            self.steer(epoch, self._state.candidate_weight_bp)
        self._exporter.committed(self.name, now.timestamp())
        if self._state is not None:
            self._exporter.judged(self.name, self._state.phase, current_verdicts(self._state))

    def _observed_seconds(self, moment: float) -> float:
        if self._committed_at is None:
            return 0.0
        passed = moment - self._committed_at
        return passed if passed <= LONGEST_GAP_INTERVALS * max(self.interval_seconds, 1.0) else 0.0

    def _catch_up(self, last_sequence: int) -> RolloutState:
        state = self._state
        first = state is None
        if state is None or state.last_sequence < last_sequence or self._pending is not None:
            for token, entries in self._client.entries(self.name, self._page_token):
                self._page_token = token
                self._take(entries, tell=not first)
            self._settle()
        state = self._state
        if state is None:
            raise LookupError(f"{self.name} has no journal")
        if first:
            self._notifier.past(self.name, state.last_sequence)
        return state

    def _take(self, entries: Sequence[journal_pb2.Entry], *, tell: bool = True) -> None:
        for entry in entries:
            if self._state is not None and entry.sequence <= self._state.last_sequence:
                continue
            self._state = apply(self._state, entry)
            if entry.WhichOneof("payload") == "tick":
                mine = self._pending is not None and entry.request_id == self._pending.request_id
                # After another process's tick nobody here knows how much time has passed since.
                self._committed_at = self._pending.moment if mine and self._pending else None
                if mine:
                    self._pending = None
        if tell:
            self._notifier.tell(self.name, entries, self._spec.on_call)

    def _settle(self) -> None:
        """Whatever is pending now was not recorded: its probes are counted again."""
        if self._pending is not None:
            self._prober.restore(self._pending.probes)
            self._pending = None

    def schedule(self, *, soon: bool = False) -> None:
        """Sets when the next look is due: after an interval or as the phase ends; at once to decide anew."""
        now = self._clock.monotonic()
        if soon:
            self.due_at = now
            return
        after_last = self.due_at + self.interval_seconds
        regular = after_last if after_last > now else now + self.interval_seconds
        over_at = self._phase_over_at()
        # One look calls for one: one that fails, or that another controller does, comes again after an interval.
        self._is_dwelling = False
        # A look just before the phase's last one would only delay it.
        is_last = over_at <= regular + _LAST_LOOK_SHARE * self.interval_seconds
        self.due_at = max(now, over_at) if is_last else regular

    def _phase_over_at(self) -> float:
        """When the phase has observed its time, so that it ends then and not up to an interval later.

        Only while the phase's time passes: a look that observes nothing is not repeated before its interval.
        """
        if self._state is None or self._committed_at is None or not self._is_dwelling:
            return math.inf
        left = self._state.dwell_left_seconds
        return self._committed_at + left + _CLOCK_STEP_SECONDS if left > 0 else math.inf

    def close(self) -> None:
        """Stops probing, and shows no verdicts any more."""
        self._tools.close()
        self._exporter.ended(self.name)
