"""`covey analyze`: from a file of events to its cohorts."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from covey.cli import columns
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat
from covey.errors import InputError

if TYPE_CHECKING:
    from covey.cli.output import ProgressLine
    from covey.cohorts import Cohorts
    from covey.engine import EngineName
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_ANALYSIS = "Analysis"
_ANSWER = "Answer"


class EngineChoice(StrEnum):
    """Which engine computes."""

    native = "native"
    reference = "reference"
    ray = "ray"


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
        EngineChoice, typer.Option(help="Compiled, NumPy, or compiled in Ray's workers.", rich_help_panel=_ANALYSIS)
    ] = EngineChoice.native,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; one per processor if absent.", rich_help_panel=_ANALYSIS)
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster, such as ray://head:10001; Ray is started on this machine if absent. With --engine ray, "
            "--threads is the number of workers, and PATH may be a URI such as s3://bucket/events.",
            rich_help_panel=_ANALYSIS,
        ),
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
        Path | None,
        typer.Option(
            help="Write learner, cohort and traits to Parquet; with --engine ray and a name without .parquet, a folder "
            "that the workers write, with model.json.",
            rich_help_panel=_ANSWER,
        ),
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
    allowed = None if memory is None else memory_bytes(memory)
    if ray_address is not None and engine is not EngineChoice.ray:
        raise InputError("--ray-address needs --engine ray")
    with ProgressLine() as progress:
        if engine is EngineChoice.ray:
            cohorts, row_count, save = _on_ray(
                path, mapping, instant, chosen_k, seed, threads, allowed, ray_address, save, progress
            )
        else:
            name: EngineName = "native" if engine is EngineChoice.native else "reference"
            traits, row_count = columns.read_traits(path, mapping, instant, name, threads, allowed, progress)
            cohorts = traits.discover(k=chosen_k, seed=seed, threads=threads, progress=progress.update)
    share = None if join is None else analyze_report.outcome_shares(cohorts, join)
    if save is not None:
        analyze_report.save(cohorts, save)
    analyze_report.print_report(cohorts, row_count, share, output)


def _on_ray(
    path: Path,
    mapping: EventMapping,
    as_of: datetime | None,
    k: int | Literal["auto"],
    seed: int,
    workers: int | None,
    memory_bytes: int | None,
    address: str | None,
    save: Path | None,
    progress: ProgressLine,
) -> tuple[Cohorts, int, Path | None]:
    """Cohorts and number of rows; what is left to save is None where the workers wrote a folder."""
    from covey.distributed.ray_engine import discovered

    # What Ray has to say of workers that were lost is no part of the answer, which may be read by a program.
    with (
        redirect_stdout(sys.stderr),
        discovered(
            _place(path),
            mapping,
            as_of=as_of,
            k=k,
            seed=seed,
            address=address,
            workers=workers,
            memory_bytes=memory_bytes,
            progress=progress.update,
        ) as found,
    ):
        if save is not None and save.suffix != ".parquet":
            found.write(_place(save))
            save = None
        if found.lost_workers:
            progress.clear()
            typer.echo(f"{found.lost_workers} workers were lost and made anew", err=True)
        return found.collected(), found.row_count, save


def _place(path: Path) -> str:
    """A path, or the URI that it was: paths keep one slash after the colon."""
    found = re.match(r"(\w{2,}):/(?!/)(.*)", str(path))
    if found is None:
        return str(path)
    return f"{found[1]}://{'/' if found[1] == 'file' else ''}{found[2]}"
