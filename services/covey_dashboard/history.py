"""What a rollout's journal has told so far, as plain values for the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from covey.report.story import Event
from covey.rollout.state import RolloutState
from covey_dashboard.tracks import Sample


class Step(NamedTuple):
    """The candidate's share changes: `seconds` after its phase began, to so many basis points."""

    seconds: float
    share_bp: int


class Mark(NamedTuple):
    """Something that happened, `seconds` after its phase began: kind of the journal's entry, and what, in words."""

    seconds: float
    kind: str
    text: str


@dataclass(frozen=True)
class PhaseHistory:
    """A phase that was entered.

    Attributes:
        name: of the phase.
        begin: when.
        seconds: from there to its end, or to the last entry so far.
        is_over: whether another phase has followed, or the rollout has ended.
        steps: changes of the candidate's share by the journal.
        marks: decisions and people, oldest first; the newest of them where there are very many.
        tracks: statement of a criterion -> how it stood.
    """

    name: str
    begin: datetime
    seconds: float
    is_over: bool
    steps: tuple[Step, ...]
    marks: tuple[Mark, ...]
    tracks: dict[str, tuple[Sample, ...]]


class ProbeLine(NamedTuple):
    """Probes of one replica and variant in the phase in force, and in the last look."""

    replica: str
    variant: str
    answered: int
    unanswered: int
    last_answered: int
    last_unanswered: int


@dataclass(frozen=True)
class History:
    """A journal, folded.

    Attributes:
        state: after the last entry.
        phases: those that were entered.
        events: the story without looks, oldest first; the newest of them where there are very many.
        older_event_count: told before those.
        probes: by replica and variant.
        replicas: weight in basis points that each replica or router showed in the last look.
    """

    state: RolloutState
    phases: tuple[PhaseHistory, ...]
    events: tuple[Event, ...]
    older_event_count: int
    probes: tuple[ProbeLine, ...]
    replicas: dict[str, int]
