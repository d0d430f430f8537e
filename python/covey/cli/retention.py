"""`covey retention`: who comes back, by when they started or by what they did in their first days."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat, OutputOption
from covey.retention.groups import Period
from covey.retention.measure import DEFAULT_LANDMARK_DAYS, GroupBy

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_QUESTION = "Question"
_ANSWER = "Answer"
_MOST_COLUMNS = 8


@app.command()
@bundled("mapping", columns.mapping_of)
def retention(
    path: columns.EventsPath,
    mapping: EventMapping,
    days: Annotated[
        str | None,
        typer.Option(
            metavar="7,7-13,28+",
            help="Days after the start: a day, a range, a day and later; completed weeks if absent.",
            rich_help_panel=_QUESTION,
        ),
    ] = None,
    by: Annotated[GroupBy, typer.Option(help="What learners are grouped by.", rich_help_panel=_QUESTION)] = (
        GroupBy.start
    ),
    period: Annotated[Period, typer.Option(help="Length of a start cohort.", rich_help_panel=_QUESTION)] = Period.week,
    landmark: Annotated[
        int, typer.Option(min=1, help="First days that archetypes are made of.", rich_help_panel=_QUESTION)
    ] = DEFAULT_LANDMARK_DAYS,
    k: Annotated[
        str, typer.Option(help="Cohorts that archetypes come from, or auto.", rich_help_panel=_QUESTION)
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of k-means.", rich_help_panel=_QUESTION)] = 0,
    away_after: Annotated[
        int | None,
        typer.Option(min=1, help="Days without an event that are leaving; 28 if absent.", rich_help_panel=_QUESTION),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="ISO 8601 time; the newest event if absent.", rich_help_panel=_QUESTION),
    ] = None,
    day_start: Annotated[
        int,
        typer.Option(
            min=-86_399, max=86_399, help="A day begins, seconds after UTC midnight.", rich_help_panel=_QUESTION
        ),
    ] = 0,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Of every interval.", rich_help_panel=_QUESTION)
    ] = 0.95,
    few: Annotated[int, typer.Option(min=1, help="Mark groups of fewer learners.", rich_help_panel=_QUESTION)] = 20,
    threads: Annotated[
        int | None, typer.Option(min=1, help="One per processor if absent.", rich_help_panel=_QUESTION)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the triangle to .svg, .png or .pdf.", rich_help_panel=_ANSWER)
    ] = None,
    curves_picture: Annotated[
        Path | None, typer.Option(help="Draw the survival curves.", rich_help_panel=_ANSWER)
    ] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Who comes back, by start cohort or archetype, over learners who have completed each interval."""
    from covey.cli.output import CommandError, ProgressLine, print_data
    from covey.cli.retention_report import as_data, print_report
    from covey.retention.intervals import parse_intervals
    from covey.retention.measure import measure

    chosen_k, instant = columns.cohort_count(k), columns.instant(as_of)
    wanted = None if days is None else parse_intervals(days)
    with ProgressLine() as progress:
        found = measure(
            columns.read_events(path, mapping, progress),
            wanted,
            by,
            period=period,
            landmark_days=landmark,
            away_after_days=away_after,
            k=chosen_k,
            seed=seed,
            as_of=instant,
            day_start_seconds=day_start,
            confidence=confidence,
            few_learners=few,
            threads=threads,
        )
    if output is OutputFormat.table:
        print_report(found)
    else:
        print_data(as_data(found), output)
    _draw(found, picture, curves_picture, CommandError)


def _draw(found: Any, picture: Path | None, curves_picture: Path | None, failure: type[Exception]) -> None:
    if picture is None and curves_picture is None:
        return
    from covey.retention import pictures

    if picture is not None:
        what = {"start": f"Retention by {found.period} of the first event", "none": "Retention of all learners"}
        title = what.get(found.by, f"Retention by archetype of the first {found.landmark_days} days")
        pictures.save(pictures.triangle(found.table, title), picture)
    if curves_picture is not None:
        if found.curves is None:
            raise failure(f"no curves to draw: {found.curves_problem}")
        pictures.save(pictures.survival(found.curves, "How long learners stay"), curves_picture)
