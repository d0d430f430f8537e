"""The pages about rollouts as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from covey.report import advice, words
from covey.report.story import Event
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.charts.share import Column
from covey_dashboard.history import History
from covey_dashboard.verbs import variant
from covey_dashboard.view.answer import Answer, answer
from covey_dashboard.view.criteria import CriterionCard, TriggerRow, criterion_cards, trigger_rows
from covey_dashboard.view.people import People, people
from covey_dashboard.view.phases import PhaseItem, columns, phase_items
from covey_dashboard.view.system import System, system


@dataclass(frozen=True)
class ServerView:
    """Whether the server answers.

    Attributes:
        is_reached: it answered when it was asked last.
        heard_at: when it answered last; None: never.
        problem: why it does not, for people.
    """

    is_reached: bool
    heard_at: datetime | None
    problem: str


@dataclass(frozen=True)
class RolloutView:
    """Everything on a rollout's page that is the same for whoever looks at it.

    Attributes:
        name: as one types it.
        description: of the spec.
        target: of the spec.
        candidate: as people say it.
        baseline: as people say it.
        answer: what is happening, why, what to press.
        phases: of the plan.
        columns: of the picture of the share.
        criteria: of the phase in force.
        triggers: of the rollout.
        people: approvals and who is called.
        incidents: that are open: (id, is critical, description, time).
        system: what the controller reads.
        events: the story, newest first.
        older_event_count: told before those.
        is_history_known: whether the journal has been read.
        is_over: whether it has ended.
        facts: (what, value) of lesser weight.
    """

    name: str
    description: str
    target: str
    candidate: str
    baseline: str
    answer: Answer
    phases: list[PhaseItem]
    columns: list[Column]
    criteria: list[CriterionCard]
    triggers: list[TriggerRow]
    people: People
    incidents: list[tuple[str, bool, str, str]]
    system: System
    events: list[Event]
    older_event_count: int
    is_history_known: bool
    is_over: bool
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class RolloutItem:
    """A rollout in the list."""

    name: str
    description: str
    target: str
    candidate: str
    baseline: str
    answer: Answer
    phases: list[PhaseItem]
    phase: str
    created: str
    is_over: bool


def rollout_view(rollout: Rollout, history: History | None, now: datetime) -> RolloutView:
    """The page of a rollout.

    Args:
        rollout: with its verdicts.
        history: of its journal; None while it is being read.
        now: aware.
    """
    spec = rollout.spec
    return RolloutView(
        name=advice.short_name(rollout),
        description=spec.description,
        target=spec.target,
        candidate=variant(spec.candidate),
        baseline=variant(spec.baseline),
        answer=answer(rollout, now),
        phases=phase_items(rollout, history),
        columns=columns(rollout, history),
        criteria=criterion_cards(rollout, history),
        triggers=trigger_rows(rollout),
        people=people(rollout, history.state if history else None),
        incidents=[
            (incident.incident_id, incident.critical, incident.description, words.instant(incident.time))
            for incident in rollout.open_incidents
        ],
        system=system(rollout, history),
        events=list(reversed(history.events)) if history else [],
        older_event_count=history.older_event_count if history else 0,
        is_history_known=history is not None,
        is_over=rollout.state in advice.TERMINAL,
        facts=[
            ("journal", f"{words.count(rollout.last_sequence)} entries, epoch {rollout.epoch}"),
            ("uid", rollout.uid),
            ("spec", rollout.spec_digest[:16]),
            ("created", words.instant(rollout.create_time)),
        ],
    )


def rollout_items(rollouts: Sequence[Rollout], now: datetime) -> list[RolloutItem]:
    """The list: those that need people first, then those under way, then those that have ended, newest first."""
    order = {"bad": 0, "wait": 1, "good": 2, "calm": 3}
    made = [
        RolloutItem(
            name=advice.short_name(rollout),
            description=rollout.spec.description,
            target=rollout.spec.target,
            candidate=variant(rollout.spec.candidate),
            baseline=variant(rollout.spec.baseline),
            answer=answer(rollout, now),
            phases=phase_items(rollout, None),
            phase=rollout.phase,
            created=words.moment(rollout.create_time.ToDatetime(UTC)),
            is_over=rollout.state in advice.TERMINAL,
        )
        for rollout in rollouts
    ]
    newest_first = sorted(made, key=lambda item: item.created, reverse=True)
    return sorted(newest_first, key=lambda item: (item.is_over, 0 if item.is_over else order[item.answer.tone]))
