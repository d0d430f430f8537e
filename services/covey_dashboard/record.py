"""The journal of one rollout as it comes in, folded into what the pages show. No I/O, no clock, bounded memory."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from covey.report import story
from covey.rollout.questions import criterion_questions
from covey.rollout.state import RolloutState, apply
from covey.rollout.verdicts import judge
from covey.v1 import journal_pb2
from covey_dashboard.history import History, Mark, PhaseHistory, ProbeLine, Step
from covey_dashboard.tracks import SAMPLES, TrackMaker

EVENTS_KEPT = 400
MARKS_KEPT = 80
PROBES_KEPT = 128


class Record:
    """Takes the entries of one journal in order, ticks included.

    Attributes:
        last_sequence: of the entries taken; 0 before the first.
    """

    def __init__(self) -> None:
        self.last_sequence = 0
        self._state: RolloutState | None = None
        self._over: list[PhaseHistory] = []
        self._phase: _PhaseMaker | None = None
        self._events: deque[story.Event] = deque(maxlen=EVENTS_KEPT)
        self._event_count = 0

    def add(self, entry: journal_pb2.Entry) -> None:
        """The next entry.

        Raises:
            IllegalEntry: it does not follow the one before.
        """
        self._state = apply(self._state, entry)
        self.last_sequence = entry.sequence
        time = entry.time.ToDatetime(UTC)
        kind = entry.WhichOneof("payload") or ""
        if kind == "phase_entered":
            if self._phase is not None:
                self._over.append(self._phase.history(time, is_over=True))
            self._phase = _PhaseMaker(entry.phase_entered, time)
        if kind != "tick":
            self._events.append(story.event(entry))
            self._event_count += 1
        if self._phase is not None:
            self._phase.add(entry, kind, time, self._state)

    def history(self) -> History:
        """Everything so far, as values that do not change.

        Raises:
            ValueError: no entry was taken yet.
        """
        if self._state is None:
            raise ValueError("the journal is empty")
        phase = self._phase
        now = () if phase is None else (phase.history(phase.last, is_over=self._state.is_terminal),)
        return History(
            state=self._state,
            phases=(*self._over, *now),
            events=tuple(self._events),
            older_event_count=self._event_count - len(self._events),
            probes=() if phase is None else tuple(phase.probes.values()),
            replicas=dict(self._state.last_tick_weights),
        )


class _PhaseMaker:
    def __init__(self, entered: journal_pb2.PhaseEntered, begin: datetime) -> None:
        self.last = begin
        self.probes: dict[tuple[str, str], ProbeLine] = {}
        self._name = entered.phase
        self._begin = begin
        self._steps = [Step(0.0, entered.candidate_weight_bp)]
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._tracks: dict[str, TrackMaker] = {}
        self._ticks = self._sampled = 0
        self._stride = 1

    def add(self, entry: journal_pb2.Entry, kind: str, time: datetime, state: RolloutState) -> None:
        self.last = max(self.last, time)
        seconds = (time - self._begin).total_seconds()
        if kind == "tick":
            self._look(entry.tick, seconds, state)
            return
        if kind == "rollback_started":
            self._steps.append(Step(seconds, 0))
        if kind not in {"phase_entered", "checkpoint"}:
            self._marks.append(Mark(seconds, kind, story.event(entry).text))

    def history(self, end: datetime, *, is_over: bool) -> PhaseHistory:
        return PhaseHistory(
            name=self._name,
            begin=self._begin,
            seconds=(end - self._begin).total_seconds(),
            is_over=is_over,
            steps=tuple(self._steps),
            marks=tuple(self._marks),
            tracks={statement: track.samples() for statement, track in self._tracks.items()},
        )

    def _look(self, tick: journal_pb2.Tick, seconds: float, state: RolloutState) -> None:
        for probe in tick.probes:
            key = (probe.replica, probe.variant)
            before = self.probes.get(key) or ProbeLine(*key, 0, 0, 0, 0)
            if key in self.probes or len(self.probes) < PROBES_KEPT:
                answered, unanswered = probe.answered_count, probe.unanswered_count
                self.probes[key] = ProbeLine(
                    *key, before.answered + answered, before.unanswered + unanswered, answered, unanswered
                )
        self._ticks += 1
        if state.in_phase and self._ticks % self._stride == 0:
            self._sample(seconds, state)

    def _sample(self, seconds: float, state: RolloutState) -> None:
        """Judging costs: a long phase is sampled ever more rarely, as its early looks are thinned out."""
        for verdict in judge(state, criterion_questions(state), full=False):
            self._tracks.setdefault(verdict.statement, TrackMaker(verdict.statement)).add(seconds, verdict)
        self._sampled += 1
        if self._sampled >= 2 * SAMPLES:
            for track in self._tracks.values():
                track.thin()
            self._sampled = (self._sampled + 1) // 2
            self._stride *= 2
