"""The options that name the columns of a file of events, for every command that reads one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from covey.cli.output import ProgressLine
    from covey.events import Events
    from covey.events_mapping import EventMapping

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
    """An ISO 8601 time.

    Raises:
        typer.BadParameter: it is none.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no ISO 8601 time, such as 2025-03-01T00:00:00Z") from None


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
