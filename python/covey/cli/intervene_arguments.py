"""The outbox that the verbs of `covey intervene` name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.output import CommandError

if TYPE_CHECKING:
    from covey.interventions import Outbox

OutboxOption = Annotated[Path, typer.Option(help="SQLite file of enrolments and actions.", show_default=False)]
OptionalOutbox = Annotated[Path | None, typer.Option(help="SQLite file of enrolments and actions.", show_default=False)]


@contextmanager
def opened(outbox: Path) -> Iterator[Outbox]:
    """An outbox that is there.

    Raises:
        CommandError: there is no such file.
    """
    from covey.interventions import Outbox

    if not outbox.is_file():
        raise CommandError(f"{outbox}: no such file; `covey intervene plan` makes it")
    box = Outbox(outbox)
    try:
        yield box
    finally:
        box.close()
