"""`covey intervene`: plan what a playbook asks for, deliver it, measure whether it helps, draw it."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli import columns
from covey.cli.bundles import bundled
from covey.cli.intervene_deliver import deliver
from covey.cli.intervene_plan import plan
from covey.cli.output import TABLE_WIDTH, CommandError, OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

PlaybookArgument = Annotated[Path, typer.Argument(help="YAML: who, what, limits, holdout.", show_default=False)]
OutboxOption = Annotated[Path, typer.Option(help="SQLite file of enrolments and actions.", show_default=False)]


app.command()(plan)
app.command()(deliver)


@app.command()
@bundled("mapping", columns.mapping_of)
def effect(
    playbook: PlaybookArgument,
    path: columns.EventsPath,
    outbox: OutboxOption,
    mapping: EventMapping,
    alpha: Annotated[float, typer.Option(help="Chance of a false call.")] = 0.05,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Compare those held out with those treated: who came back, and is it decided."""
    from covey.cli import experiment_tables
    from covey.cli.output import ProgressLine, print_data, print_text
    from covey.errors import InputError
    from covey.experiment import experiment_data
    from covey.interventions import Outbox, measure_effect, read_playbook
    from covey.interventions.effect import came_back

    book = read_playbook(playbook)
    if not outbox.is_file():
        raise CommandError(f"{outbox}: no such file; `covey intervene plan` makes it")
    box = Outbox(outbox)
    try:
        enrolments = box.enrolments(book)
    finally:
        box.close()
    if not enrolments:
        raise InputError(f"nobody was chosen under '{book.name}' yet", source=str(outbox), remedy="plan first")
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
    found = measure_effect(book, enrolments, came_back(enrolments, events, book.outcome_days), alpha)
    data = experiment_data(found.result)
    if output is OutputFormat.table:
        experiment_tables.print_experiment(data)
        print_text(f"\n{found.open_count:,} learners' {book.outcome_days} days are not over; they are left out.")
    else:
        print_data({**data, "open_count": found.open_count}, output)


@app.command()
@bundled("mapping", columns.mapping_of)
def report(
    playbook: PlaybookArgument,
    path: columns.EventsPath,
    outbox: OutboxOption,
    to: Annotated[Path, typer.Option(help="Folder for report.md and its pictures.", show_default=False)],
    mapping: EventMapping,
    also: Annotated[
        list[Path] | None, typer.Option(help="Another playbook of the outbox. May be repeated.", show_default=False)
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false call.")] = 0.05,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Draw the effect of playbooks: intervals, and how the arms went on day by day."""
    from covey.cli.output import ProgressLine, print_data, print_text
    from covey.errors import InputError
    from covey.experiment import experiment_data
    from covey.interventions import Outbox, read_playbook
    from covey.interventions.report import headline, measure, write_report

    books = [read_playbook(own) for own in (playbook, *(also or ()))]
    if not outbox.is_file():
        raise CommandError(f"{outbox}: no such file; `covey intervene plan` makes it")
    box = Outbox(outbox)
    try:
        asked = [(book, box.enrolments(book), box.counts(book.name)) for book in books]
    finally:
        box.close()
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
    found, problems = [], []
    for book, enrolments, counts in asked:
        try:
            found.append(measure(book, enrolments, counts, events, alpha))
        except InputError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    said = [str(problem) for problem in problems]
    write_report(found, to, said)
    if output is OutputFormat.table:
        lines = [f"{own.playbook.name}: {headline(own)}" for own in found] + [f"Not measured: {own}" for own in said]
        print_text("\n".join("\n".join(wrap(line, TABLE_WIDTH)) for line in [*lines, f"Written to {to}."]))
        return
    playbooks = {
        own.playbook.name: {
            **experiment_data(own.effect.result),
            "open_count": own.effect.open_count,
            "action_counts": dict(own.action_counts),
            "active_days": experiment_data(own.days_effect.result),
        }
        for own in found
    }
    print_data({"playbooks": playbooks, "not_measured": said, "written_to": str(to)}, output)
