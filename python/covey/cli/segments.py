"""`covey segments`: an experiment by segment, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from covey.cli.bundles import bundled
from covey.cli.experiment_arguments import OutputOption, TableArgument, design_of, read_table
from covey.cli.output import OutputFormat, print_data

if TYPE_CHECKING:
    from covey.experiment import Design

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@bundled("design", design_of, without=("planned_units", "earlier_look", "decide_by", "population"))
def segments(
    table: TableArgument,
    design: Design,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Effects by segment: do they differ, who is harmed, what to do."""
    from covey.cli import experiment_tables
    from covey.experiment import analyze_segments, segments_data

    data = segments_data(analyze_segments(read_table(table, design), design))
    if output is OutputFormat.table:
        experiment_tables.print_segments(data)
    else:
        print_data(data, output)
