"""What is wrong with the numbers that gates compare by, the rules of outcomes, and the ledger of alpha."""

from __future__ import annotations

import math
from collections.abc import Iterator

from covey.rollout.gates.formulas import SMALLEST_MARGIN
from covey.rollout.gates.ledger import Family, Ledger, family_of, ledger_of
from covey.rollout.statement import Kind, StatementError, parse_statement
from covey.rollout.units import format_share
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey.v1.traits_pb2 import Traits

# Numbers of a learner's traits that may explain an outcome's variance.
COVARIATES = tuple(
    field.name
    for field in Traits.DESCRIPTOR.fields
    if field.type != field.TYPE_MESSAGE and field.name != "ignored_event_count"
)
LARGEST_RATIO = 1000.0
# Sums of shares such as 5 x 1 % are compared with a budget of 5 %.
ROUNDING = 1e-9


def comparison_findings(spec: RolloutSpec) -> Iterator[tuple[str, str]]:
    """Path and complaint of margins, tolerances, floor, budget and outcome rules that mean nothing."""
    for index, phase in enumerate(spec.phases):
        for number, criterion in enumerate(phase.criteria):
            margin = criterion.margin
            if criterion.HasField("margin") and margin != 0 and not SMALLEST_MARGIN <= margin <= LARGEST_RATIO:
                yield (
                    f"phases[{index}].criteria[{number}].margin",
                    f"{margin:g} is no margin; expected 0 (not compared) or {SMALLEST_MARGIN:g} and more: a smaller "
                    "one cannot be told from a candidate that is as good as the baseline",
                )
            elif criterion.HasField("margin") and margin == 0 and _is_relative(criterion.statement):
                yield (
                    f"phases[{index}].criteria[{number}].margin",
                    f"'{criterion.statement}' is a comparison, and a margin of 0 compares nothing; "
                    f"expected {SMALLEST_MARGIN:g} or more",
                )
    for number, trigger in enumerate(spec.triggers):
        tolerance = trigger.tolerance
        if trigger.HasField("tolerance") and tolerance != 0 and not 1 <= tolerance <= LARGEST_RATIO:
            yield (
                f"triggers[{number}].tolerance",
                f"{tolerance:g} is no tolerance; expected 0 (not compared) or 1 and more times the baseline's rate",
            )
        elif trigger.HasField("tolerance") and tolerance == 0 and _is_relative(trigger.statement):
            yield (
                f"triggers[{number}].tolerance",
                f"'{trigger.statement}' is a comparison, and a tolerance of 0 compares nothing; expected 1 or more",
            )
    if spec.HasField("error_floor") and not 0 < spec.error_floor < 1:
        yield "error_floor", f"{format_share(spec.error_floor)} lies outside 0 to 100 %; the default is 0.05 %"
    budget = spec.false_rollback_budget
    if spec.HasField("false_rollback_budget") and not 0 < budget <= 0.5:
        yield "false_rollback_budget", f"{format_share(budget)} is no error rate; expected above 0 and at most 50 %"
    yield from _outcome_findings(spec)


def _is_relative(text: str) -> bool:
    try:
        return parse_statement(text).kind is Kind.RELATIVE_LATENCY
    except StatementError:
        return False


def _outcome_findings(spec: RolloutSpec) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for number, rule in enumerate(spec.outcomes):
        path = f"outcomes[{number}]"
        if not rule.metric:
            yield f"{path}.metric", "it is missing; expected an outcome, such as 'revenue'"
        elif rule.metric in seen:
            yield f"{path}.metric", f"'{rule.metric}' has a rule already, outcomes[{seen[rule.metric]}]; keep one"
        seen.setdefault(rule.metric, number)
        for field in ("low", "high"):
            if rule.HasField(field) and not math.isfinite(getattr(rule, field)):
                yield f"{path}.{field}", "it is no number"
        if rule.HasField("low") and rule.HasField("high") and not rule.low < rule.high:
            yield (
                f"{path}.high",
                f"the ends {rule.low:g} and {rule.high:g} leave nothing between; low is below high",
            )
        if rule.covariate and rule.covariate not in COVARIATES:
            yield f"{path}.covariate", f"'{rule.covariate}' is no trait; expected one of {', '.join(COVARIATES)}"


def ledger_findings(full: RolloutSpec) -> Iterator[tuple[str, str]]:
    """The ledger beyond its budget, with the triggers that spend it.

    Args:
        full: a spec with defaults whose statements can be read.
    """
    criteria = tuple(tuple(parse_statement(c.statement) for c in phase.criteria) for phase in full.phases)
    triggers = tuple(parse_statement(trigger.statement) for trigger in full.triggers)
    ledger = ledger_of(full, criteria, triggers)
    if ledger.total <= full.false_rollback_budget + ROUNDING:
        return
    path = "triggers"
    if full.triggers:
        alphas = [t.alpha if family_of(s) else 0.0 for t, s in zip(full.triggers, triggers, strict=True)]
        path = f"triggers[{alphas.index(max(alphas))}].alpha"
    yield (
        path,
        f"the statements may roll a harmless candidate back in {format_share(ledger.total)} of rollouts "
        f"({ledger_text(ledger)}), and the budget is {format_share(full.false_rollback_budget)}; "
        f"lower the alpha of {_spenders(full, ledger)}, or raise false_rollback_budget",
    )


def ledger_text(ledger: Ledger) -> str:
    """The families and what each may spend."""
    return ", ".join(f"{family.value} {format_share(alpha)}" for family, alpha in ledger.family_alphas.items())


def _spenders(full: RolloutSpec, ledger: Ledger) -> str:
    """The triggers of the families that spend most."""
    most = max(ledger.family_alphas.values())
    largest = {family for family, alpha in ledger.family_alphas.items() if alpha >= most - ROUNDING}
    named = [
        f"triggers[{index}] ('{trigger.statement}', {format_share(trigger.alpha)})"
        for index, trigger in enumerate(full.triggers)
        if _family(trigger.statement) in largest
    ]
    return " and ".join(named) if named else "the triggers"


def _family(text: str) -> Family | None:
    return family_of(parse_statement(text))
