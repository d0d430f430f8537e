"""The phases of a plan, those that were and those to come."""

from __future__ import annotations

from dataclasses import dataclass

from covey.report import advice, plan, words
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.charts.share import Column
from covey_dashboard.history import History, PhaseHistory


@dataclass(frozen=True)
class PhaseItem:
    """A phase in the list.

    Attributes:
        name: of the phase.
        share_text: of learners.
        hold_text: how long it takes at least.
        standing: "over", "now" or "to come".
        told: where it stands, in words.
        criteria: what it asks for.
        approvals: who must sign before it.
    """

    name: str
    share_text: str
    hold_text: str
    standing: str
    told: str
    criteria: list[str]
    approvals: list[str]


def phase_items(rollout: Rollout, history: History | None) -> list[PhaseItem]:
    """One per planned phase."""
    entered = {phase.name: phase for phase in history.phases} if history else {}
    items = []
    for line in plan.plan_lines(rollout.spec):
        standing, told = _standing(line.name, rollout, entered)
        items.append(
            PhaseItem(
                name=line.name,
                share_text=words.share(line.share_bp),
                hold_text=words.span(line.hold_seconds),
                standing=standing,
                told=told,
                criteria=line.criteria,
                approvals=line.approvals,
            )
        )
    return items


def columns(rollout: Rollout, history: History | None) -> list[Column]:
    """One per planned phase, for the picture."""
    entered = {phase.name: phase for phase in history.phases} if history else {}
    made = []
    for line in plan.plan_lines(rollout.spec):
        phase = entered.get(line.name)
        lived = phase.seconds if phase else 0.0
        is_now = bool(phase) and not (phase and phase.is_over)
        made.append(
            Column(
                name=line.name,
                share_bp=line.share_bp,
                # A phase in force is drawn to its planned end, one that is over as long as it was.
                seconds=lived if phase and phase.is_over else max(line.hold_seconds, lived),
                lived_seconds=lived,
                steps=phase.steps if phase else (),
                marks=phase.marks if phase else (),
                is_now=is_now,
            )
        )
    return made


def _standing(name: str, rollout: Rollout, entered: dict[str, PhaseHistory]) -> tuple[str, str]:
    phase = entered.get(name)
    if phase is None:
        if rollout.state in advice.TERMINAL or rollout.state == Rollout.STATE_ROLLING_BACK:
            return "never", "never begun"
        return "to come", "to come"
    if not phase.is_over:
        if rollout.state == Rollout.STATE_ROLLING_BACK:
            return "back", f"taken back after {words.span(phase.steps[-1].seconds)}"
        return "now", f"for {words.span(phase.seconds)}"
    if phase.steps[-1].share_bp == 0 and len(phase.steps) > 1:
        return "back", f"taken back after {words.span(phase.steps[-1].seconds)}"
    return "over", f"took {words.span(phase.seconds)}"
