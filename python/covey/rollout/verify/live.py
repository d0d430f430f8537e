"""Do rollouts through the live decide() stay within the ledger? Endings of simulated rollouts without any harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from covey.rollout.simulation import Ending
from covey.rollout.verify.judge import clopper_pearson

# Causes that are evidence; time that ran out, an abort or a candidate that crashes are none.
BY_EVIDENCE = frozenset({"trigger", "criterion"})


@dataclass(frozen=True)
class WithinLedger:
    """How many harmless rollouts were rolled back by evidence.

    Attributes:
        rollouts: how many were simulated.
        rolled_back: by a trigger, or because a criterion was refuted.
        upper: one-sided Clopper-Pearson bound of their share at 99 %.
        allowed: what the plan's ledger may spend.
    """

    rollouts: int
    rolled_back: int
    upper: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether even the bound is within the ledger."""
        return self.upper <= self.allowed

    def __str__(self) -> str:
        said = "within" if self.holds else "not shown to be within"
        return (
            f"rolled back by evidence though harmless: {self.rolled_back} of {self.rollouts:,}, at most "
            f"{100 * self.upper:.2g} % with 99 % confidence: {said} the ledger's {100 * self.allowed:.3g} %"
        )


def within_ledger(endings: Sequence[Ending], allowed: float) -> WithinLedger:
    """Compares rollouts without harm with the ledger of their plan.

    Args:
        endings: of rollouts whose candidate answers as the baseline does; one or more.
        allowed: `Ledger.total` of the plan.

    Raises:
        ValueError: no endings.
    """
    found = sum(ending.cause in BY_EVIDENCE for ending in endings)
    return WithinLedger(len(endings), found, clopper_pearson(found, len(endings))[1], allowed)
