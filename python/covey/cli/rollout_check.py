"""`covey rollout check` and `covey rollout create`: a plan before it starts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode, Session, verb
from covey.cli.output import CommandError, OutputFormat, OutputOption, print_data, print_text
from covey.cli.rollout_arguments import rollout_app, show_changed
from covey.cli.rollout_calendar import begin_lines, rule_text, zone_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from covey.cli.rollout_plan import Need
    from covey.rollout.findings import Finding
    from covey.v1.rollout_spec_pb2 import RolloutSpec

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The plan, YAML.", show_default=False)]


class Checked:
    """A plan that was read: the spec (None where it cannot be used), what was found, and where."""

    def __init__(self, path: Path) -> None:
        from covey.rollout.findings import SpecError, located
        from covey.rollout.spec import check_spec
        from covey.rollout.yaml_message import read_message
        from covey.v1.rollout_spec_pb2 import RolloutSpec

        self.spec: RolloutSpec | None = None
        self.located: list[str] = []
        self.findings: Sequence[Finding] = []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise CommandError(f"{path}: {reason}; expected a plan in YAML, see examples/") from error
        try:
            spec, lines = read_message(text, RolloutSpec(), str(path))
        except SpecError as error:
            self.findings, self.located = error.findings, str(error).splitlines()
            return
        self.findings = [*check_spec(spec), *zone_findings(spec, datetime.now(UTC))]
        self.located = [located(finding, str(path), lines) for finding in self.findings]
        if not self.errors:
            self.spec = spec

    @property
    def errors(self) -> int:
        """How many findings make the plan unusable."""
        return sum(finding.level == "error" for finding in self.findings)

    def lines(self) -> list[str]:
        """Every finding as "file:line: level: what, expected, remedy"."""
        texts = []
        for finding, place in zip(self.findings, self.located, strict=True):
            where, _, what = place.partition(": ")
            texts.append(f"{where}: {finding.level}: {what}")
        return texts


@rollout_app.command("check")
def check(
    file: FileArgument,
    rate: Annotated[
        str, typer.Option(help="Learner requests that come, such as 42/s: can the plan prove itself?")
    ] = "",
    baseline_error: Annotated[
        str, typer.Option(help="The baseline's share of failed requests; without it a usual one is taken.")
    ] = "",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Check a plan: what is wrong with it, and how many clean requests every criterion takes."""
    from covey.cli.rollout_plan import needs, parse_rate

    try:
        per_second = parse_rate(rate) if rate else None
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    checked = Checked(file)
    found = list(needs(checked.spec, per_second)) if checked.spec else []
    hopes, impossible = expectations(checked.spec, rate, baseline_error)
    if output is OutputFormat.table:
        for line in checked.lines():
            print_text(line)
        if checked.spec:
            _print_plan(checked.spec, found, per_second)
            _print_expectations(hopes, impossible)
        errors, warnings = checked.errors + len(impossible), len(checked.findings) - checked.errors + len(hopes)
        print_text(f"{file}: {_plural(errors, 'error')}, {_plural(warnings, 'warning')}")
    else:
        print_data(_document(file, checked, found) | {"warnings": hopes, "impossible": impossible}, output)
    raise typer.Exit(ExitCode.FAILED if checked.errors or impossible else ExitCode.OK)


def expectations(spec: RolloutSpec | None, rate: str, baseline_error: str) -> tuple[list[str], list[str]]:
    """Gates that the traffic seldom opens, and gates that none opens; both empty without a rate.

    What is impossible for a baseline that nobody described is a warning only.
    """
    if spec is None or not rate:
        return [], []
    from covey.cli import rollout_outlook

    error = baseline_error or rollout_outlook.DEFAULT_ERROR
    traffic = rollout_outlook.traffic_of(rate, error, rollout_outlook.DEFAULT_UNAVAILABLE, rollout_outlook.DEFAULT_SLOW)
    outlook = rollout_outlook.outlook_of(spec, traffic)
    if baseline_error:
        return outlook.warnings, outlook.errors
    return [*outlook.warnings, *outlook.errors], []


def _print_expectations(hopes: list[str], impossible: list[str]) -> None:
    from covey.cli.console import BAD, WAITING, console, text

    terminal = console()
    for line in hopes:
        terminal.print(text(f"warning: {line}", WAITING))
    for line in impossible:
        terminal.print(text(f"error: {line}", BAD))


@verb(rollout_app)
def create(
    session: Session,
    file: FileArgument,
    name: Annotated[str, typer.Option(help="Its id; default the file's name.")] = "",
    rate: Annotated[str, typer.Option(help="Learner requests that come, such as 42/s: warns of hopeless gates.")] = "",
    baseline_error: Annotated[str, typer.Option(help="The baseline's share of failed requests.")] = "",
) -> None:
    """Check a plan and record it on the server as a DRAFT."""
    checked = Checked(file)
    for line in checked.lines():
        typer.echo(line, err=True)
    if checked.spec is None:
        raise CommandError(f"{file} was not created; correct the errors above")
    hopes, impossible = expectations(checked.spec, rate, baseline_error)
    for kind, lines in (("warning", hopes), ("error", impossible)):
        for line in lines:
            typer.echo(f"{kind}: {line}", err=True)
    if impossible:
        raise CommandError(f"{file} was not created: no traffic opens the gates above; see `covey rollout plan`")
    rollout_id = name or file.stem.lower().replace("_", "-").replace(" ", "-")
    show_changed(session, session.client.create_rollout(rollout_id, checked.spec))


def _print_plan(spec: RolloutSpec, found: Sequence[Need], per_second: float | None) -> None:
    from rich.table import Table

    from covey.cli.console import BAD, QUIET, console, text
    from covey.report import plan, words
    from covey.rollout.traffic import randomised_unit, splitter
    from covey.v1.rollout_spec_pb2 import SEGMENT_SOURCE_STABLE_COHORT

    terminal = console()
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style=QUIET)
    headings = ["phase", "traffic", "time", "to advance, prove", "clean"]
    if per_second is not None:
        headings.append("in its time")
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading == "clean" else "left")
    for line in plan.plan_lines(spec):
        cells = [line.name, words.share(line.share_bp), words.span(line.hold_seconds)]
        mine = [need for need in found if need.phase == line.name]
        for statement, need in zip(line.criteria, mine, strict=True):
            style = BAD if need.is_reachable is False else ""
            row = [*cells, statement, words.count(need.clean_count) if need.clean_count is not None else "-"]
            if per_second is not None:
                row.append(_reach(need))
            table.add_row(*(text(cell, style if index > 2 else "") for index, cell in enumerate(row)))
            cells = ["", "", ""]
        if not mine:
            table.add_row(*(text(cell) for cell in cells), text("nothing: time alone"))
    terminal.print(table)
    terminal.print(text(f"Randomised: {randomised_unit(spec)}s; {splitter(spec)}"))
    if spec.segment_source == SEGMENT_SOURCE_STABLE_COHORT:
        terminal.print(text(f"Segments: cohorts by the model of {spec.baseline}, fixed when a learner is first met"))
    for phase in spec.phases:
        if phase.approvals.roles:
            terminal.print(text(f"Approvals before {phase.name}: {rule_text(phase.approvals)}"))
    for begin in begin_lines(spec, datetime.now(UTC)):
        terminal.print(text(begin))
    if spec.triggers:
        triggers = ", ".join(plan.trigger_text(trigger) for trigger in spec.triggers)
        terminal.print(text(f"Rolls back once shown: {triggers}"))
    terminal.print(text("clean: candidate requests (mismatch: comparisons) without one bad event until PASS", QUIET))
    short = [need for need in found if need.is_reachable is False]
    if short:
        terminal.print(
            text(
                f"{_plural(len(short), 'criterion', 'criteria')} out of reach at this rate: the phase would end "
                "HOLDING. Take a larger traffic_share, a longer hold, or a weaker limit.",
                BAD,
            )
        )


def _reach(need: Need) -> str:
    from covey.report import words

    if need.hold_count is None or need.seconds is None:
        return "-"
    if need.is_reachable:
        return f"{words.count(need.hold_count)}: after {words.about(need.seconds)}"
    wait = f"needs {words.about(need.seconds)}" if need.seconds < 1e9 else "never"
    return f"{words.count(need.hold_count)}: NO, {wait}"


def _document(file: Path, checked: Checked, found: Sequence[Need]) -> dict[str, Any]:
    import math
    from dataclasses import asdict

    from covey.rollout.traffic import randomised_unit

    criteria = []
    for need in found:
        row = asdict(need) | {"reachable": need.is_reachable}
        if need.seconds is not None and math.isinf(need.seconds):
            row["seconds"] = None
        criteria.append(row)
    return {
        "file": str(file),
        "usable": checked.spec is not None,
        "randomised_unit": randomised_unit(checked.spec) if checked.spec else None,
        "findings": [
            {
                "level": finding.level,
                "path": finding.path,
                "place": place.partition(": ")[0],
                "message": finding.message,
            }
            for finding, place in zip(checked.findings, checked.located, strict=True)
        ],
        "criteria": criteria,
    }


def _plural(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
