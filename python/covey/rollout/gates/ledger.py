"""Who may spend how much of the chance of a false rollback.

Error, latency, availability, outcome and segments are one family each. A family spends its alpha once: its triggers
share nine tenths through the mean of their e-values, the refutations of its criteria one tenth, divided between them.
The union bound over families is the rollout's chance of a false rollback, and it has a budget. A false advance is
another matter: advance needs every criterion, so each is tested at its own alpha without correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from covey.rollout.statement import Kind, Statement
from covey.v1.rollout_spec_pb2 import RolloutSpec

DEFAULT_FAMILY_ALPHA = 0.01
REFUTATION_SHARE = 0.1


class Family(Enum):
    """Statements that spend one alpha together."""

    ERROR = "error"
    LATENCY = "latency"
    AVAILABILITY = "availability"
    OUTCOME = "outcome"
    SEGMENTS = "segments"


_FAMILY_OF = {
    Kind.ERROR_RATE: Family.ERROR,
    Kind.MISMATCH: Family.ERROR,
    Kind.LATENCY: Family.LATENCY,
    Kind.RELATIVE_LATENCY: Family.LATENCY,
    Kind.AVAILABILITY: Family.AVAILABILITY,
    Kind.OUTCOME: Family.OUTCOME,
    Kind.SEGMENTS: Family.SEGMENTS,
}


def family_of(statement: Statement) -> Family | None:
    """The family; None for open incidents, which nobody estimates."""
    return _FAMILY_OF.get(statement.kind)


@dataclass(frozen=True)
class Ledger:
    """What each statement may spend.

    Attributes:
        family_alphas: by family that the plan has statements of.
        trigger_alphas: of each trigger: what the mean of the e-values of its family's triggers is judged by; 0 for
            incidents.
        trigger_counts: how many triggers share it.
        refutation_alphas: of each criterion, by phase; 0 where it cannot roll back.
    """

    family_alphas: Mapping[Family, float]
    trigger_alphas: tuple[float, ...]
    trigger_counts: tuple[int, ...]
    refutation_alphas: tuple[tuple[float, ...], ...]

    @property
    def total(self) -> float:
        """Upper bound of the chance that a harmless candidate is rolled back by evidence."""
        return sum(self.family_alphas.values())


def ledger_of(
    spec: RolloutSpec, criteria: tuple[tuple[Statement, ...], ...], triggers: tuple[Statement, ...]
) -> Ledger:
    """The ledger of a plan whose defaults are filled in.

    Args:
        spec: the plan.
        criteria: the statements of its criteria, by phase.
        triggers: the statements of its triggers.
    """
    refutable = [
        [None if criterion.report_only else family_of(statement) for criterion, statement in zip(p, s, strict=True)]
        for p, s in ((phase.criteria, statements) for phase, statements in zip(spec.phases, criteria, strict=True))
    ]
    in_phases = [family for phase in refutable for family in phase if family is not None]
    of_triggers = [family_of(statement) for statement in triggers]
    alphas: dict[Family, float] = dict.fromkeys(in_phases, DEFAULT_FAMILY_ALPHA)
    for family in set(of_triggers) - {None}:
        assert family is not None
        alphas[family] = max(t.alpha for t, f in zip(spec.triggers, of_triggers, strict=True) if f is family)
    # Harm to a segment is a criterion's word for what a trigger says, so its family spends all of its alpha there.
    only_refuted = set(alphas) - set(of_triggers) - {Family.SEGMENTS}
    for family in only_refuted:
        alphas[family] *= REFUTATION_SHARE
    return Ledger(
        family_alphas=alphas,
        trigger_alphas=tuple(
            0.0 if family is None else alphas[family] * (1 - REFUTATION_SHARE if family in in_phases else 1.0)
            for family in of_triggers
        ),
        trigger_counts=tuple(of_triggers.count(family) for family in of_triggers),
        refutation_alphas=tuple(
            tuple(
                0.0
                if family is None
                else alphas[family]
                * (1.0 if family in only_refuted or family is Family.SEGMENTS else REFUTATION_SHARE)
                / in_phases.count(family)
                for family in phase
            )
            for phase in refutable
        ),
    )
