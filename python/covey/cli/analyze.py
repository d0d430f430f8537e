"""`covey analyze`: from a file of events to its cohorts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli import columns
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_ANALYSIS = "Analysis"
_ANSWER = "Answer"


class EngineChoice(StrEnum):
    """Which engine computes."""

    native = "native"
    reference = "reference"


@app.command()
@bundled("mapping", columns.mapping_of)
def analyze(
    path: columns.EventsPath,
    mapping: EventMapping,
    as_of: Annotated[
        str | None,
        typer.Option(help="ISO 8601 time that ages refer to; the newest event if absent.", rich_help_panel=_ANALYSIS),
    ] = None,
    k: Annotated[str, typer.Option(help="Number of cohorts, or auto (2 to 12).", rich_help_panel=_ANALYSIS)] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of k-means.", rich_help_panel=_ANALYSIS)] = 0,
    engine: Annotated[
        EngineChoice, typer.Option(help="Compiled or NumPy.", rich_help_panel=_ANALYSIS)
    ] = EngineChoice.native,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; one per processor if absent.", rich_help_panel=_ANALYSIS)
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Peak memory, such as 6GiB; half of what is free if absent. What does not fit is worked on in pieces.",
            rich_help_panel=_ANALYSIS,
        ),
    ] = None,
    output: Annotated[OutputFormat, typer.Option(help="Form.", rich_help_panel=_ANSWER)] = OutputFormat.table,
    save: Annotated[
        Path | None, typer.Option(help="Write learner, cohort and traits to Parquet.", rich_help_panel=_ANSWER)
    ] = None,
    join_share: Annotated[
        str | None,
        typer.Option(
            "--join-share",
            "--outcome",
            metavar="FILE:KEY:COLUMN=VALUE[,VALUE]",
            help="Per cohort, the share of learners with one of these values in another Parquet table.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    join_where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE[,VALUE]", help="Rows of that table to use.", rich_help_panel=_ANSWER),
    ] = None,
) -> None:
    """Find the cohorts of a Parquet file or folder of events."""
    from covey.cli import analyze_report
    from covey.cli.output import ProgressLine
    from covey.out_of_core_budget import memory_bytes

    chosen_k, instant = columns.cohort_count(k), columns.instant(as_of)
    join = analyze_report.parse_join(join_share, join_where)
    with ProgressLine() as progress:
        traits, row_count = columns.read_traits(
            path, mapping, instant, engine.value, threads, None if memory is None else memory_bytes(memory), progress
        )
        cohorts = traits.discover(k=chosen_k, seed=seed, threads=threads, progress=progress.update)
    share = None if join is None else analyze_report.outcome_shares(cohorts, join)
    if save is not None:
        analyze_report.save(cohorts, save)
    analyze_report.print_report(cohorts, row_count, share, output)
