"""`covey rollout plan`: what each phase can and cannot see with the traffic there is, and when."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode
from covey.cli.output import CommandError, OutputFormat, OutputOption, print_data, print_text
from covey.cli.rollout_arguments import rollout_app, share_of

if TYPE_CHECKING:
    from covey.rollout.outlook import CriterionOutlook, Traffic, TriggerOutlook
    from covey.v1.rollout_spec_pb2 import RolloutSpec

DEFAULT_ERROR = "0.08 %"
DEFAULT_UNAVAILABLE = "0.01 %"
DEFAULT_SLOW = "0.2 %"

RateOption = Annotated[str, typer.Option(help="Learner requests of both variants, such as 42/s.", show_default=False)]
ErrorOption = Annotated[str, typer.Option(help="The baseline's share of failed requests, such as 0.0008.")]
UnavailableOption = Annotated[str, typer.Option(help="The baseline's share of unanswered requests.")]
SlowOption = Annotated[str, typer.Option(help="The baseline's share of requests beyond each latency limit.")]


@dataclass(frozen=True)
class Outlook:
    """What can be expected of a plan.

    Attributes:
        criteria, triggers: by phase.
        errors: gates that no traffic opens.
        warnings: gates that this traffic seldom opens, with what would do.
    """

    criteria: list[CriterionOutlook]
    triggers: list[TriggerOutlook]
    errors: list[str]
    warnings: list[str]


def traffic_of(rate: str, error: str, unavailable: str, slow: str) -> Traffic:
    """The traffic that the options describe.

    Raises:
        CommandError: an option is no number of its kind.
    """
    from covey.cli.rollout_plan import parse_rate
    from covey.rollout.outlook import Traffic

    try:
        return Traffic(
            parse_rate(rate),
            share_of("--baseline-error", error),
            share_of("--baseline-unavailable", unavailable),
            share_of("--baseline-slow", slow),
        )
    except ValueError as problem:
        raise CommandError(str(problem), ExitCode.USAGE) from problem


def outlook_of(spec: RolloutSpec, traffic: Traffic) -> Outlook:
    """What can be expected of a plan that has no errors."""
    from covey.rollout.outlook import criteria_outlook, triggers_outlook

    criteria = list(criteria_outlook(spec, traffic))
    errors = [f"{row.phase}: {row.statement}: impossible: {row.impossible}" for row in criteria if row.impossible]
    warnings = [_warning(row) for row in criteria if _is_hopeless(row)]
    return Outlook(
        criteria, list(triggers_outlook(spec, traffic)), errors, [*warnings, *_literal_warnings(spec, traffic)]
    )


def _is_hopeless(row: CriterionOutlook) -> bool:
    from covey.rollout.outlook import GOOD_POWER

    return not row.impossible and row.power is not None and row.power < GOOD_POWER


def _warning(row: CriterionOutlook) -> str:
    from covey.report import words

    ways = [f"traffic_share: {row.share * 100:g} %"] if row.share else []
    if math.isfinite(row.seconds):
        ways.append(f"hold: {words.about(row.seconds)}")
    would = f"{' or '.join(ways)} would do" if ways else "no usual share and no time would do; weaken the limit"
    chance = "never" if not row.power else f"in {row.power * 100:.2g} % of rollouts"
    return f"{row.phase}: {row.statement}: {row.trials:,} requests in its time show it {chance}; {would}"


def _literal_warnings(spec: RolloutSpec, traffic: Traffic) -> list[str]:
    from covey.rollout.outlook import literal_alarm
    from covey.v1.rollout_spec_pb2 import Trigger

    found = []
    for number, trigger in enumerate(spec.triggers):
        if trigger.literal != Trigger.LITERAL_ROLLBACK:
            continue
        for index, phase in enumerate(spec.phases):
            chance = literal_alarm(spec, number, index, traffic)
            text = f"{phase.name}: {trigger.statement}: its literal rule rolls a candidate as good as the baseline back"
            found.append(f"{text} in {chance * 100:.2g} % of rollouts")
    return found


@rollout_app.command("plan")
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan, YAML.", show_default=False)],
    rate: RateOption,
    baseline_error: ErrorOption = DEFAULT_ERROR,
    baseline_unavailable: UnavailableOption = DEFAULT_UNAVAILABLE,
    baseline_slow: SlowOption = DEFAULT_SLOW,
    learners: Annotated[
        int, typer.Option(min=0, metavar="N", help="Distinct learners of both variants, for outcomes.")
    ] = 0,
    outcome_cv: Annotated[
        float, typer.Option(min=0.0, metavar="X", help="Standard deviation over mean of an outcome.")
    ] = 0.0,
    paying_share: Annotated[
        str, typer.Option(help="Share of learners with an outcome; --outcome-cv is then that of those.")
    ] = "100 %",
    output: OutputOption = OutputFormat.table,
) -> None:
    """What a plan can and cannot show: power, time, what would do; and who may spend how much of the alpha."""
    from covey.cli.rollout_check import Checked

    traffic = traffic_of(rate, baseline_error, baseline_unavailable, baseline_slow)
    checked = Checked(file)
    if checked.spec is None:
        raise CommandError("\n".join(checked.lines()))
    found = outlook_of(checked.spec, traffic)
    outcomes = _outcome_lines(checked.spec, learners, outcome_cv, paying_share)
    if output is OutputFormat.table:
        _print(checked.spec, found, traffic, outcomes)
    else:
        print_data(_document(checked.spec, found, outcomes), output)
    raise typer.Exit(ExitCode.FAILED if found.errors else ExitCode.OK)


def _outcome_lines(spec: RolloutSpec, learners: int, cv: float, paying: str) -> list[str]:
    """The smallest change of an outcome that a phase finds, by phase and statement."""
    from covey.rollout.model import Plan
    from covey.rollout.statement import Kind, parse_statement
    from covey.stats import minimum_detectable_effect

    try:
        share_of_payers = share_of("--paying-share", paying) if paying.strip() not in {"100 %", "100%", "1"} else 1.0
    except ValueError as problem:
        raise CommandError(str(problem), ExitCode.USAGE) from problem
    if share_of_payers <= 0:
        raise CommandError(f"--paying-share {paying!r} leaves no learner with an outcome", ExitCode.USAGE)
    plan = Plan.of(spec)
    rolls_back = [
        (statement, alpha / sharers)
        for statement, alpha, sharers in zip(
            plan.triggers, plan.ledger.trigger_alphas, plan.ledger.trigger_counts, strict=True
        )
        if statement.kind is Kind.OUTCOME
    ]
    lines = []
    for phase in plan.spec.phases:
        judged = [(parse_statement(criterion.statement), criterion.alpha) for criterion in phase.criteria]
        asked = [(statement, alpha, False) for statement, alpha in judged if statement.kind is Kind.OUTCOME]
        for statement, alpha, is_trigger in [*asked, *((statement, alpha, True) for statement, alpha in rolls_back)]:
            what = f"{phase.name}: {'to roll back, ' if is_trigger else ''}{statement.text}"
            known = learners > 0 and (cv > 0 or share_of_payers < 1)
            if not known or not 0 < phase.traffic_share < 1:
                if not is_trigger:
                    lines.append(f"{what}: give --learners and --outcome-cv for what it can see")
                continue
            whole = math.sqrt((1 + cv**2) / share_of_payers - 1)
            candidates = learners * phase.traffic_share
            effect = float(
                minimum_detectable_effect(
                    whole, candidates, alpha=alpha, allocation=phase.traffic_share, sides=1, always_valid=True
                )
            )
            # A trigger is shown where even the favourable end of the interval lies beyond its limit.
            least = effect - statement.limit if is_trigger else effect
            if is_trigger and least >= 1:
                lines.append(f"{what}: {candidates:,.0f} candidate learners would not see a fall to nothing")
                continue
            seen = f"{'falls' if is_trigger else 'changes'} of {least * 100:.3g} % and more (80 % power)"
            lines.append(f"{what}: {candidates:,.0f} candidate learners see {seen}")
    return lines


def _print(spec: RolloutSpec, found: Outlook, traffic: Traffic, outcomes: list[str]) -> None:
    from covey.cli.console import BAD, WAITING, console, text
    from covey.cli.output import print_table
    from covey.report import words
    from covey.rollout.model import Plan
    from covey.rollout.ratios import ledger_text

    print_text(
        f"At {traffic.per_second:g} requests/s; a baseline with {traffic.error * 100:g} % errors, "
        f"{traffic.unavailable * 100:g} % unanswered,\n{traffic.slow * 100:g} % slow. To advance, "
        "if the candidate is as good:"
    )
    rows = []
    for row in found.criteria:
        power = "-" if row.power is None else f"{row.power * 100:.3g} %"
        when = "-" if row.power is None else words.about(row.seconds) if math.isfinite(row.seconds) else "never"
        rows.append((row.phase, row.statement, words.count(row.trials), power, when))
    print_table(("phase", "criterion", "in its time", "PASS", "80 % after"), rows, left=frozenset({0, 1}))
    print_text("\nTo roll back, harm from the start of the phase, found in 80 % of rollouts:")
    rows = []
    for trigger in found.triggers:
        rate = "-" if trigger.rate is None else f"{trigger.rate * 100:.3g} %"
        ratio = (
            "-"
            if trigger.ratio is None
            else f"x {trigger.ratio:,.0f}"
            if trigger.ratio >= 100
            else f"x {trigger.ratio:.3g}"
        )
        triple = words.about(trigger.triple_seconds) if math.isfinite(trigger.triple_seconds) else "not in time"
        rows.append((trigger.phase, trigger.statement, rate, ratio, triple))
    print_table(("phase", "trigger", "failures from", "baseline", "x 3 after"), rows, left=frozenset({0, 1}))
    print_text("x 3: three times the baseline's rate; twice the limit where nothing is compared\n")
    ledger = Plan.of(spec).ledger
    budget = Plan.of(spec).spec.false_rollback_budget
    terminal = console()
    terminal.print(
        text(f"False rollback: {ledger_text(ledger)}: {ledger.total * 100:.3g} % of a budget of {budget * 100:.3g} %")
    )
    for line in outcomes:
        terminal.print(text(line))
    for line in found.warnings:
        terminal.print(text(f"warning: {line}", WAITING))
    for line in found.errors:
        terminal.print(text(f"error: {line}", BAD))


def _document(spec: RolloutSpec, found: Outlook, outcomes: list[str]) -> dict[str, Any]:
    from covey.rollout.model import Plan

    made = Plan.of(spec)
    return {
        "criteria": [_finite(asdict(row)) for row in found.criteria],
        "triggers": [_finite(asdict(row)) for row in found.triggers],
        "false_rollback": {
            "families": {family.value: alpha for family, alpha in made.ledger.family_alphas.items()},
            "total": made.ledger.total,
            "budget": made.spec.false_rollback_budget,
        },
        "outcomes": outcomes,
        "errors": found.errors,
        "warnings": found.warnings,
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isinf(value) else value for key, value in row.items()}
