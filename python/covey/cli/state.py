"""`covey state`: the data directory of a server that does not run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli.connection import OutputOption
from covey.cli.output import CommandError, OutputFormat, print_data, print_table, print_text

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

DirectoryOption = Annotated[Path, typer.Option("--data-directory", help="Of the server, which must not run.")]


@app.callback()
def _state() -> None:
    """Bring a server's state to another version, copy it, put it back."""


@app.command()
def migrate(
    data_directory: DirectoryOption,
    to: Annotated[int | None, typer.Option(help="Version of the tables; default the newest.")] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Bring the tables forward, or one step back for an older covey, a copy of the database beside them first."""
    from covey_server.store import StoreError, store_at_rest

    try:
        with store_at_rest(data_directory) as store:
            migrated = store.bring_to(to)
    except StoreError as error:
        raise CommandError(str(error)) from error
    if output is not OutputFormat.table:
        copy = str(migrated.copy or "")
        found, version, steps = migrated.found, migrated.version, list(migrated.steps)
        print_data({"found": found, "version": version, "steps": steps, "copy": copy}, output)
    elif not migrated.steps:
        print_text(f"{data_directory}: the tables are of version {migrated.version} already")
    else:
        taken = "" if migrated.version > migrated.found else " taken back:"
        for summary in migrated.steps:
            print_text(f"{data_directory}:{taken} {summary}")
        print_text(f"{data_directory}: from version {migrated.found} to {migrated.version}; before: {migrated.copy}")


@app.command()
def failpoints(output: OutputOption = OutputFormat.table) -> None:
    """Where a process can be made to fail on purpose: COVEY_FAULT=point:action[:n]."""
    from covey.failpoints import ACTIONS, POINTS

    if output is not OutputFormat.table:
        print_data({"points": POINTS, "actions": list(ACTIONS)}, output)
        return
    print_table(("failpoint", "what has happened by then"), list(POINTS.items()), left=frozenset({0, 1}))
    print_text(f"actions: {', '.join(ACTIONS)}")
