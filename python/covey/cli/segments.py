"""`covey segments`: an experiment by segment, and what to do about it."""

from __future__ import annotations

import typer

from covey.cli.experiment_arguments import (
    AlphaOption,
    ControlOption,
    ExposedAtOption,
    KnownAtOption,
    OutcomeAtOption,
    OutcomeOption,
    OutputOption,
    SegmentOption,
    SmallestOption,
    SplitOption,
    TableArgument,
    ThreadsOption,
    UnitOption,
    VariantOption,
    design_of,
    read_table,
)
from covey.cli.output import OutputFormat, print_data

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def segments(
    table: TableArgument,
    outcome: OutcomeOption,
    segment: SegmentOption = None,
    unit: UnitOption = "unit",
    variant: VariantOption = "variant",
    exposed_at: ExposedAtOption = "",
    outcome_at: OutcomeAtOption = "",
    known_at: KnownAtOption = "",
    control: ControlOption = "",
    split: SplitOption = "",
    alpha: AlphaOption = 0.05,
    smallest_segment: SmallestOption = 100,
    threads: ThreadsOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Effects by segment: do they differ, who is harmed, what to do."""
    from covey.cli import experiment_tables
    from covey.experiment import analyze_segments, segments_data

    design = design_of(
        outcome, segment, unit=unit, variant=variant, exposed_at=exposed_at, outcome_at=outcome_at, known_at=known_at,
        control=control, split=split, alpha=alpha, planned_units=None, earlier_look=None, decide_by="always_valid",
        population=100_000, smallest_segment=smallest_segment, threads=threads,
    )  # fmt: skip
    data = segments_data(analyze_segments(read_table(table, design), design))
    if output is OutputFormat.table:
        experiment_tables.print_segments(data)
    else:
        print_data(data, output)
