"""What the commands about experiments share: the table, the design, and how options say both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.output import OutputFormat

if TYPE_CHECKING:
    import pyarrow as pa

    from covey.experiment import Design

_DATA, _DESIGN, _ANSWER = "Columns", "Design", "Answer"

TableArgument = Annotated[
    Path, typer.Argument(metavar="TABLE", help="Parquet or CSV, one row per unit.", show_default=False)
]
OutcomeOption = Annotated[
    list[str],
    typer.Option(
        "--outcome",
        metavar="NAME=KIND:COLUMN[;OPTION]",
        help="mean, proportion, ratio, quantile, time or formula; may be repeated; see docs/experiments.md.",
        show_default=False,
        rich_help_panel=_DESIGN,
    ),
]
SegmentOption = Annotated[
    list[str] | None,
    typer.Option(
        "--segment",
        metavar="COLUMN[:CUTS]",
        help="Column that parts the units, as known before: region, tenure:6,12, tenure:q4. May be repeated.",
        rich_help_panel=_DESIGN,
    ),
]
UnitOption = Annotated[str, typer.Option(help="Ids of the units.", rich_help_panel=_DATA)]
VariantOption = Annotated[str, typer.Option(help="Variant of each unit.", rich_help_panel=_DATA)]
ExposedAtOption = Annotated[str, typer.Option(help="When a unit met it.", rich_help_panel=_DATA)]
OutcomeAtOption = Annotated[str, typer.Option(help="When outcomes were taken.", rich_help_panel=_DATA)]
KnownAtOption = Annotated[str, typer.Option(help="When segments and covariates were.", rich_help_panel=_DATA)]
ControlOption = Annotated[
    str, typer.Option(help="Variant to compare with; else 'control' or the first.", rich_help_panel=_DESIGN)
]
SplitOption = Annotated[
    str, typer.Option(metavar="A=50,B=50", help="Planned shares; equal if absent.", rich_help_panel=_DESIGN)
]
AlphaOption = Annotated[float, typer.Option(help="Chance of a false call.", rich_help_panel=_DESIGN)]
PlannedOption = Annotated[
    int | None, typer.Option("--planned-units", help="Units at the planned end.", rich_help_panel=_DESIGN)
]
LookOption = Annotated[
    list[int] | None,
    typer.Option("--earlier-look", help="Units at a look before this one; may be repeated.", rich_help_panel=_DESIGN),
]
DecideOption = Annotated[
    str,
    typer.Option(metavar="READING", help="fixed, group_sequential or always_valid.", rich_help_panel=_DESIGN),
]
PopulationOption = Annotated[
    int, typer.Option(help="Learners that effects are translated to.", rich_help_panel=_DESIGN)
]
SmallestOption = Annotated[
    int, typer.Option("--smallest-segment", help="Units an arm of a segment needs.", rich_help_panel=_DESIGN)
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="One per processor if absent.", rich_help_panel=_ANSWER)]
OutputOption = Annotated[OutputFormat, typer.Option("--output", "-o", help="Form.", rich_help_panel=_ANSWER)]


def design_of(
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
    planned_units: PlannedOption = None,
    earlier_look: LookOption = None,
    decide_by: DecideOption = "always_valid",
    population: PopulationOption = 100_000,
    smallest_segment: SmallestOption = 100,
    threads: ThreadsOption = None,
) -> Design:
    """The design that these options say; the options of every command that analyses an experiment.

    Raises:
        InputError: an option that says none.
    """
    import os

    from covey.experiment import Columns, Design, parse_outcome, parse_segment, parse_shares

    return Design(
        outcomes=tuple(parse_outcome(text) for text in outcome),
        control=control,
        planned_shares=parse_shares(split) if split else {},
        alpha=alpha,
        planned_units=planned_units,
        earlier_looks=tuple(earlier_look or ()),
        decide_by=decide_by,  # type: ignore[arg-type] # the design knows its own words
        population=population,
        segments=tuple(parse_segment(text) for text in segment or ()),
        smallest_segment=smallest_segment,
        columns=Columns(unit, variant, exposed_at, outcome_at, known_at),
        threads=threads or os.cpu_count() or 1,
    )


def read_table(path: Path, design: Design) -> pa.Table:
    """The columns of a file that a design names.

    Raises:
        InputError: a file that is not there, no table, or without one of the columns.
    """
    from covey.experiment.units import columns_of

    return read_columns(path, columns_of(design))


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Columns of a Parquet file, a folder of them, or a CSV file.

    Raises:
        InputError: a file that is not there, no table, or without one of the columns.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    from covey.errors import InputError, suggestion

    if not path.exists():
        raise InputError("there is no such file", source=str(path))
    name = path.name.lower()
    form = "csv" if name.endswith((".csv", ".csv.gz")) else "parquet"
    try:
        dataset = ds.dataset(path, format=form)
        missing = [column for column in columns if column not in dataset.schema.names]
        if missing:
            remedy = suggestion(missing[0], dataset.schema.names)
            raise InputError("there is no such column", source=str(path), column=missing[0], remedy=remedy)
        return dataset.to_table(columns=columns)
    except (pa.ArrowException, OSError) as error:
        detail = str(error).splitlines()[0][:200]
        raise InputError(f"cannot be read as {form}: {detail}", source=str(path)) from None
