"""`covey experiment`: plan an experiment, analyse it, report it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.bundles import bundled
from covey.cli.experiment_arguments import AlphaOption, OutputOption, TableArgument, design_of, read_table
from covey.cli.output import OutputFormat, print_data

if TYPE_CHECKING:
    from covey.experiment import Design

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
@bundled("design", design_of, without=("segment", "smallest_segment"))
def analyze(
    table: TableArgument,
    design: Design,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Compare the variants of a table of units: the split first, then every outcome."""
    from covey.cli import experiment_tables
    from covey.experiment import analyze as analyze_table
    from covey.experiment import experiment_data

    result = analyze_table(read_table(table, design), design)
    if output is OutputFormat.table:
        experiment_tables.print_experiment(experiment_data(result))
    else:
        print_data(experiment_data(result), output)


@app.command()
@bundled("design", design_of)
def report(
    table: TableArgument,
    design: Design,
    to: Annotated[Path, typer.Option("--to", metavar="FILE.html", help="Written here.", show_default=False)],
    title: Annotated[str, typer.Option(help="Of the page; default the table's name.")] = "",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Write the analysis and, with --segment, the deep dive as one HTML file with its pictures."""
    from covey.cli.output import CommandError, print_text
    from covey.experiment import analyze as analyze_table
    from covey.experiment import analyze_segments, experiment_data, segments_data
    from covey.report.experiment import write_experiment_html

    rows = read_table(table, design)
    result = experiment_data(analyze_table(rows, design))
    dive = segments_data(analyze_segments(rows, design)) if design.segments else None
    try:
        to.write_text(write_experiment_html(title or table.name, result, dive), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{to}: cannot be written ({error.strerror})") from error
    if output is OutputFormat.table:
        print_text(f"{result['headline']}\nwritten to {to}")
    else:
        print_data({"headline": result["headline"], "written_to": str(to)}, output)


@app.command()
def plan(
    outcome: Annotated[
        list[str],
        typer.Option(
            metavar="NAME:mean=M,sd=S,minimum=E[,rho2=R]",
            help="What is known of an outcome; for a proportion NAME:share=P,minimum=E. May be repeated.",
            show_default=False,
        ),
    ],
    variants: Annotated[int, typer.Option(min=2, help="With the control.")] = 2,
    control_share: Annotated[float | None, typer.Option(help="Of the units; equal shares if absent.")] = None,
    alpha: AlphaOption = 0.05,
    power: Annotated[float, typer.Option(help="Chance of finding the minimum effect.")] = 0.8,
    looks: Annotated[int, typer.Option(min=1, help="Of the group-sequential plan.")] = 5,
    per_day: Annotated[float | None, typer.Option(help="Units that enter a day.")] = None,
    units: Annotated[int | None, typer.Option(min=2, help="Units there will be: what do they find?")] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """How many units an experiment takes, by each reading, and how many days."""
    from covey.cli import experiment_tables
    from covey.experiment import plan as plan_experiment
    from covey.experiment import plan_data
    from covey.experiment.outcome_words import parse_planned

    made = plan_data(
        plan_experiment(
            [parse_planned(text) for text in outcome], variants=variants, control_share=control_share, alpha=alpha,
            power=power, looks=looks, units_per_day=per_day, units=units,
        )
    )  # fmt: skip
    if output is OutputFormat.table:
        experiment_tables.print_plan(made)
    else:
        print_data(made, output)
