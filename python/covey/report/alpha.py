"""Who could spend how much of the chance of a false rollback, and who did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from covey.report.model import AlphaLine
from covey.rollout.gates.ledger import Family, family_of
from covey.rollout.model import RolloutState
from covey.rollout.statement import StatementError, parse_statement
from covey.v1 import journal_pb2


def alpha_lines(journal: Sequence[journal_pb2.Entry], state: RolloutState) -> list[AlphaLine]:
    """One row per family of the ledger, in its order; the one that rolled back has spent all it had."""
    plan = state.plan
    spender = _spender(journal)
    triggers = [(family_of(statement), statement.text) for statement in plan.triggers]
    criteria = [
        (family_of(statement), statement.text)
        for phase, statements in zip(plan.spec.phases, plan.criteria, strict=True)
        for criterion, statement in zip(phase.criteria, statements, strict=True)
        if not criterion.report_only
    ]
    lines = []
    for family, alpha in plan.ledger.family_alphas.items():
        by_triggers = [text for of, text in triggers if of is family]
        by_criteria = [text for of, text in criteria if of is family]
        lines.append(
            AlphaLine(
                family=family.value,
                alpha=alpha,
                spent=alpha if family is spender else 0.0,
                triggers=list(dict.fromkeys(by_triggers)),
                refutations=list(dict.fromkeys(by_criteria)),
            )
        )
    return lines


def _spender(journal: Sequence[journal_pb2.Entry]) -> Family | None:
    """The family whose statement showed harm: by rolling back, or by sending a segment back."""
    shown = chain.from_iterable(
        (entry.rollback_started.statement, entry.segment_excluded.statement) for entry in journal
    )
    for text in filter(None, shown):
        try:
            return family_of(parse_statement(text))
        except StatementError:
            continue
    return None
