"""A spec as rows and texts. Pure."""

from __future__ import annotations

from covey.report import words
from covey.report.model import PlanLine
from covey.v1 import rollout_spec_pb2


def plan_lines(spec: rollout_spec_pb2.RolloutSpec) -> list[PlanLine]:
    """One row per planned phase."""
    return [
        PlanLine(
            name=phase.name,
            share_bp=round(phase.traffic_share * 10_000),
            hold_seconds=phase.hold.ToTimedelta().total_seconds(),
            criteria=[criterion_text(criterion) for criterion in phase.criteria],
            approvals=list(phase.approvals.roles),
        )
        for phase in spec.phases
    ]


def criterion_text(criterion: rollout_spec_pb2.Criterion) -> str:
    """The statement, with its way out where it has one."""
    if criterion.report_only:
        return f"{criterion.statement} (report only)"
    if criterion.accept_by:
        return f"{criterion.statement} (or accepted by {criterion.accept_by})"
    if criterion.defer:
        return f"{criterion.statement} (or deferred to {criterion.defer})"
    return criterion.statement


def trigger_text(trigger: rollout_spec_pb2.Trigger) -> str:
    """The statement, with the time of its literal rule."""
    seconds = trigger.sustained.ToTimedelta().total_seconds()
    return f"{trigger.statement} (for {words.span(seconds)})" if seconds else trigger.statement
