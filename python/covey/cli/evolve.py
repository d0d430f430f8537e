"""`covey evolve`: how learners move between cohorts, what comes next, and how often to assign them anew."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_QUESTION = "Question"
_ANSWER = "Answer"


class ModelChoice(StrEnum):
    """Which cohorts a snapshot is told by."""

    fixed = "fixed"
    refit = "refit"


def _periods(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no list of whole numbers, such as 1,4,13") from None


@app.command()
@bundled("mapping", columns.mapping_of)
def evolve(
    path: columns.EventsPath,
    mapping: EventMapping,
    every: Annotated[int, typer.Option(min=1, help="Days between snapshots.", rich_help_panel=_QUESTION)] = 28,
    first: Annotated[str | None, typer.Option(help="ISO 8601 time; none before it.", rich_help_panel=_QUESTION)] = None,
    last: Annotated[
        str | None, typer.Option(help="ISO 8601 time; the newest event if absent.", rich_help_panel=_QUESTION)
    ] = None,
    k: Annotated[str, typer.Option(help="Number of cohorts, or auto (2 to 12).", rich_help_panel=_QUESTION)] = "auto",
    model: Annotated[
        ModelChoice,
        typer.Option(help="One set of cohorts for all, or new and aligned ones.", rich_help_panel=_QUESTION),
    ] = ModelChoice.fixed,
    seed: Annotated[int, typer.Option(min=0, help="Seed of k-means.", rich_help_panel=_QUESTION)] = 0,
    away_after: Annotated[
        int, typer.Option(min=1, help="Days without an event: away.", rich_help_panel=_QUESTION)
    ] = 28,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Of the intervals.", rich_help_panel=_QUESTION)
    ] = 0.95,
    forecast: Annotated[bool, typer.Option(help="Learn which cohort comes next.", rich_help_panel=_QUESTION)] = False,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="1,4,13", help="Compare assigning every so many snapshots.", rich_help_panel=_QUESTION),
    ] = None,
    staleness_cost: Annotated[
        float, typer.Option(help="Of a learner-snapshot with a stale label.", rich_help_panel=_QUESTION)
    ] = 1.0,
    change_cost: Annotated[float, typer.Option(help="Of one change of a label.", rich_help_panel=_QUESTION)] = 1.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="One per processor if absent.", rich_help_panel=_QUESTION)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a folder: report.md and its pictures.", rich_help_panel=_ANSWER)
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write learner, snapshot and cohort to Parquet.", rich_help_panel=_ANSWER)
    ] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Traits and cohorts at many instants: moves, stays, stability; what comes next; when to assign anew."""
    from covey.cli.evolve_report import as_data, print_report
    from covey.cli.output import ProgressLine, print_data
    from covey.evolve import dwell_times, instants_between, snapshots, stability, transitions
    from covey.evolve.answer import Answer
    from covey.evolve.snapshots import Model
    from covey.instants import instant_to_us

    chosen_k, begin, end = columns.cohort_count(k), columns.instant(first), columns.instant(last)
    periods = None if schedule is None else _periods(schedule)
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
        last_us = events.newest_us if end is None else instant_to_us(end)
        first_us = int(events.time_us.min()) if begin is None else instant_to_us(begin)
        found = snapshots(
            events,
            instants_between(first_us, last_us, every),
            k=chosen_k,
            model=Model(model.value),
            seed=seed,
            away_after_days=away_after,
            threads=threads,
            progress=progress.update,
        )
    answer = Answer(
        found,
        transitions(found, confidence),
        dwell_times(found, confidence),
        stability(found),
        _forecast(found, confidence) if forecast else None,
        None if periods is None else _schedule(found, periods, staleness_cost, change_cost, confidence),
    )
    if save is not None:
        _save(found, save)
    if report is not None:
        from covey.evolve.report import write_report

        write_report(answer, report)
    if output is OutputFormat.table:
        print_report(answer)
    else:
        print_data(as_data(answer), output)


def _forecast(found: Any, confidence: float) -> Any:
    from covey.evolve.forecast import forecast

    return forecast(found, confidence)


def _schedule(found: Any, periods: tuple[int, ...], staleness: float, change: float, confidence: float) -> Any:
    from covey.evolve.schedule import choose_schedule

    return choose_schedule(found, periods, staleness, change, confidence)


def _save(found: Any, path: Path) -> None:
    """One row per learner and snapshot at which the learner was there."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = found.learner_ids.to_arrow()
    names = pa.array(found.state_names)
    tables = []
    for item in found.items:
        there = np.flatnonzero(item.states >= -1)
        states = np.where(item.states[there] < 0, len(found.lane_names), item.states[there]).astype(np.int32)
        time = pa.array(np.full(len(there), item.as_of_us), pa.timestamp("us", "UTC"))
        cohort = pa.DictionaryArray.from_arrays(pa.array(states), names)
        tables.append(pa.table({"learner_id": ids.take(pa.array(there)), "as_of": time, "cohort": cohort}))
    pq.write_table(pa.concat_tables(tables), path)
