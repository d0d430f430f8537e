"""A playbook planned on a server from scores that are here."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from covey.v1 import interventions_pb2 as pb

if TYPE_CHECKING:
    from covey.client.interventions import InterventionCalls
    from covey.interventions import Candidates, Playbook

MOST_SCORES = 10_000
"""Of one call, whose message is limited; what a playbook asks for a learner depends on no other learner."""


def playbook_message(playbook: Playbook) -> pb.Playbook:
    """The same on the wire.

    Raises:
        InputError: a parameter is nothing that JSON knows.
    """
    from covey.errors import InputError

    message = pb.Playbook(
        name=playbook.name,
        min_probability=playbook.min_probability,
        reasons=playbook.reasons,
        action=playbook.action,
        limit_per_learner=playbook.limit_per_learner,
        cool_down_days=playbook.cool_down_days,
        holdout_share=playbook.holdout_share,
        outcome_days=playbook.outcome_days,
        valid_days=playbook.valid_days or 0,
    )
    try:
        message.parameters.update(dict(playbook.parameters))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"parameters of the action: {error}", expected="texts, numbers, lists and mappings with texts as keys"
        ) from None
    return message


def plan_scores(
    client: InterventionCalls, playbook: Playbook, candidates: Candidates, quiet_days: int, *, dry_run: bool
) -> pb.PlanInterventionsResponse:
    """Plan, in as many calls as the scores need; the counts of all of them together.

    Only learners who are likely enough to leave are sent: nobody else can be chosen. A call that fails leaves those
    before it planned, and the same again plans what is left.

    Raises:
        CallFailed: with what the server says.
        InputError: see `playbook_message`.
    """
    message = playbook_message(playbook)
    rows = [row for row, own in enumerate(candidates.probabilities) if own >= playbook.min_probability]
    total = pb.PlanInterventionsResponse()
    total.as_of.FromMicroseconds(candidates.as_of_us)
    for start in range(0, max(len(rows), 1), MOST_SCORES):
        scores = pb.InterventionScores()
        scores.as_of.CopyFrom(total.as_of)
        for row in rows[start : start + MOST_SCORES]:
            scores.scores.add(
                learner_id=candidates.learner_ids[row],
                probability=float(candidates.probabilities[row]),
                variant=candidates.variants[row],
                reasons=[{"code": code} for code in candidates.reasons[row]],
            )
        answer = client.plan_interventions(
            pb.PlanInterventionsRequest(
                playbook=message,
                scores=scores,
                quiet_days=quiet_days,
                dry_run=dry_run,
                request_id=f"plan-{uuid.uuid4()}",
            )
        )
        for field in answer.DESCRIPTOR.fields:
            if field.name.endswith("_count"):
                setattr(total, field.name, getattr(total, field.name) + getattr(answer, field.name))
    return total
