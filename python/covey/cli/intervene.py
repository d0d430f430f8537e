"""`covey intervene`: plan what a playbook asks for, deliver it, measure whether it helps, draw it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli.addressed import clients
from covey.cli.bundles import bundled
from covey.cli.connection import PANEL, answered
from covey.cli.intervene_arguments import OptionalOutbox, OutboxOption, opened
from covey.cli.intervene_deliver import deliver
from covey.cli.intervene_plan import plan
from covey.cli.output import TABLE_WIDTH, CommandError, OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.client import Client
    from covey.events_mapping import EventMapping
    from covey.interventions import Playbook

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

PlaybookArgument = Annotated[Path, typer.Argument(help="YAML: who, what, limits, holdout.", show_default=False)]


app.command()(plan)
app.command()(deliver)


@app.command()
@bundled("mapping", columns.mapping_of)
@bundled("client_of", clients)
def effect(
    playbook: PlaybookArgument,
    mapping: Any,  # an EventMapping: a name for type checkers, which the inner bundle would have to read
    client_of: Callable[[str, str], Client],
    path: Annotated[
        Path | None,
        typer.Argument(help="Events since, with --outbox: Parquet, a folder of it, or CSV.", show_default=False),
    ] = None,
    outbox: OptionalOutbox = None,
    server: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Data port of a server, in place of --outbox.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Events since, on the server: datasets/x, or x.")] = "",
    alpha: Annotated[float, typer.Option(help="Chance of a false call.")] = 0.05,
    timeout: Annotated[str, typer.Option(help="How long a call may take.", rich_help_panel=PANEL)] = "60s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Compare those held out with those treated: who came back, and is it decided."""
    from covey.cli import experiment_tables
    from covey.cli.output import print_data, print_text
    from covey.interventions import read_playbook

    in_file, on_server = path is not None and outbox is not None, server is not None and bool(dataset)
    if in_file == on_server or (server is None) == (outbox is None):
        raise CommandError("expected EVENTS and --outbox FILE, or --server HOST:PORT and --dataset NAME")
    book = read_playbook(playbook)
    if server is not None:
        data, open_count = _effect_on_server(client_of(server, timeout), book, dataset, alpha)
    else:
        assert path is not None
        assert outbox is not None
        data, open_count = _effect_in_file(book, path, outbox, mapping, alpha)
    if output is OutputFormat.table:
        experiment_tables.print_experiment(data)
        print_text(f"\n{open_count:,} learners' {book.outcome_days} days are not over; they are left out.")
    else:
        print_data({**data, "open_count": open_count}, output)


def _effect_in_file(
    book: Playbook, path: Path, outbox: Path, mapping: EventMapping, alpha: float
) -> tuple[dict[str, Any], int]:
    from covey.cli.output import ProgressLine
    from covey.errors import InputError
    from covey.experiment import experiment_data
    from covey.interventions import measure_effect
    from covey.interventions.effect import came_back

    with opened(outbox) as box:
        enrolments = box.enrolments(book)
    if not enrolments:
        raise InputError(f"nobody was chosen under '{book.name}' yet", source=str(outbox), remedy="plan first")
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
    found = measure_effect(book, enrolments, came_back(enrolments, events, book.outcome_days), alpha)
    return experiment_data(found.result), found.open_count


def _effect_on_server(client: Client, book: Playbook, dataset: str, alpha: float) -> tuple[dict[str, Any], int]:
    from covey.client.analysis import analysis_data
    from covey.client.planned import playbook_message
    from covey.v1 import interventions_pb2

    request = interventions_pb2.ReportInterventionEffectRequest(
        playbook=playbook_message(book), dataset=f"datasets/{dataset.removeprefix('datasets/')}", alpha=alpha
    )
    with client, answered():
        answer = client.report_intervention_effect(request)
    return analysis_data(answer.analysis), answer.open_count


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
    from covey.interventions import read_playbook
    from covey.interventions.report import headline, measure, write_report

    books = [read_playbook(own) for own in (playbook, *(also or ()))]
    with opened(outbox) as box:
        asked = [(book, box.enrolments(book), box.counts(book.name)) for book in books]
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
