"""The options that name the columns of a file of events, for every command that reads one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from covey.cli.output import ProgressLine
    from covey.engine import EngineName
    from covey.events import Events
    from covey.events_mapping import EventMapping
    from covey.traits import Traits

PANEL = "Columns"

EventsPath = Annotated[
    Path, typer.Argument(help="A Parquet file, a folder of them, or a CSV file.", show_default=False)
]

LearnerColumn = Annotated[str | None, typer.Option("--learner", help="Learner ids.", rich_help_panel=PANEL)]
TimeColumn = Annotated[str | None, typer.Option("--time", help="Times.", rich_help_panel=PANEL)]
TimeUnit = Annotated[
    str | None,
    typer.Option("--time-unit", help="Unit of numeric times: day, s, ms, us, ns.", rich_help_panel=PANEL),
]
DomainColumn = Annotated[str | None, typer.Option("--domain", help="Domains.", rich_help_panel=PANEL)]
DomainFrom = Annotated[
    str | None,
    typer.Option(
        "--domain-from",
        metavar="PATH:KEY:VALUE",
        help="Parquet table that gives each KEY its domain.",
        rich_help_panel=PANEL,
    ),
]
CapabilityColumn = Annotated[str | None, typer.Option("--capability", help="Capabilities.", rich_help_panel=PANEL)]
KindColumn = Annotated[str | None, typer.Option("--kind", help="Kinds of event.", rich_help_panel=PANEL)]
ActionColumn = Annotated[str | None, typer.Option("--action-taken", help="Feedback acted on.", rich_help_panel=PANEL)]
WeightColumn = Annotated[str | None, typer.Option("--weight", help="Weights.", rich_help_panel=PANEL)]


def cohort_count(text: str) -> int | Literal["auto"]:
    """A number of cohorts, or auto.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a number nor 'auto'") from None


def instant(text: str | None) -> datetime | None:
    """An ISO 8601 time; None of None.

    Raises:
        typer.BadParameter: it is none.
    """
    return None if text is None else given_instant(text)


def given_instant(text: str) -> datetime:
    """An ISO 8601 time.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no ISO 8601 time, such as 2025-03-01T00:00:00Z") from None


def mapping_of(
    learner: LearnerColumn = None,
    time: TimeColumn = None,
    time_unit: TimeUnit = None,
    domain: DomainColumn = None,
    domain_from: DomainFrom = None,
    capability: CapabilityColumn = None,
    kind: KindColumn = None,
    action_taken: ActionColumn = None,
    weight: WeightColumn = None,
) -> EventMapping:
    """The columns that these options name; the options of every command that reads events.

    Raises:
        InputError: a unit that there is none, or a domain that is said twice.
    """
    from covey.events_mapping import EventMapping

    return EventMapping(
        learner=learner,
        time=time,
        time_unit=time_unit,
        domain=domain,
        capability=capability,
        kind=kind,
        action_taken=action_taken,
        weight=weight,
        domain_from=domain_from,
    )


def read_events(path: Path, mapping: EventMapping, progress: ProgressLine) -> Events:
    """The events of a file or folder, with progress where there is some.

    Raises:
        InputError: names the file, column and row at fault.
    """
    from covey.events import Events
    from covey.events_csv import is_csv

    if is_csv(path):
        return Events.from_csv(path, mapping)
    return Events.from_parquet(path, mapping, lambda done, total: progress.update("reading", done, total, "rows"))


def read_traits(
    path: Path,
    mapping: EventMapping,
    as_of: datetime | None,
    engine: EngineName,
    threads: int | None,
    memory_bytes: int | None,
    progress: ProgressLine,
) -> tuple[Traits, int]:
    """The traits of the learners of a file or folder, and its number of rows; Parquet in pieces where memory is short.

    Raises:
        InputError: names the file, column and row at fault, or the memory that is enough.
    """
    from covey.events_csv import is_csv
    from covey.out_of_core import traits_of_parquet

    if is_csv(path):
        events = read_events(path, mapping, progress)
        return events.traits(as_of, engine=engine, threads=threads), len(events)
    return traits_of_parquet(
        path,
        mapping,
        as_of=as_of,
        engine=engine,
        threads=threads,
        memory_bytes=memory_bytes,
        progress=progress.update,
    )
