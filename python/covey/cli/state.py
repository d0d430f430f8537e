"""`covey state`: the data directory of a server that does not run on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode
from covey.cli.output import CommandError, OutputFormat, OutputOption, counted, print_data, print_table, print_text

if TYPE_CHECKING:
    from covey_server.backup import Manifest

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

DirectoryOption = Annotated[Path, typer.Option("--data-directory", help="Of the server, which must not run.")]


@app.callback()
def _state() -> None:
    """Bring a server's state to another version, copy it, put it back."""


@app.command()
def migrate(
    data_directory: Annotated[
        Path | None, typer.Option("--data-directory", help="Of the server, which must not run.")
    ] = None,
    store_url: Annotated[
        str | None,
        typer.Option("--store-url", metavar="URL", help="Of servers that share a PostgreSQL; they may run."),
    ] = None,
    to: Annotated[int | None, typer.Option(help="Version of the tables; default the newest.")] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Bring the tables forward, or one step back for an older covey.

    Of a data directory, a copy of the database is made beside it first. Of a shared store, it ends an upgrade, or takes
    it back, while servers run; it refuses while servers are there that would not understand the tables.
    """
    from covey_server.store import StoreError, shared_store, store_at_rest
    from covey_server.store.address import database_url, place_of

    if (data_directory is None) == (store_url is None):
        raise CommandError("name a store: --data-directory of one server, or --store-url of several", ExitCode.USAGE)
    try:
        if store_url is not None:
            place = place_of(database_url(Path(), store_url))
            opened = shared_store(store_url)
        else:
            place = str(data_directory)
            opened = store_at_rest(data_directory or Path())
        with opened as store:
            migrated = store.bring_to(to)
    except StoreError as error:
        raise CommandError(str(error)) from error
    if output is not OutputFormat.table:
        copy = str(migrated.copy or "")
        found, version, steps = migrated.found, migrated.version, list(migrated.steps)
        print_data({"found": found, "version": version, "steps": steps, "copy": copy}, output)
    elif not migrated.steps:
        print_text(f"{place}: the tables are of version {migrated.version} already")
    else:
        taken = "" if migrated.version > migrated.found else " taken back:"
        for summary in migrated.steps:
            print_text(f"{place}:{taken} {summary}")
        copy = f"; before: {migrated.copy}" if migrated.copy else ""
        print_text(f"{place}: from version {migrated.found} to {migrated.version}{copy}")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    data_directory: Annotated[Path, typer.Option("--data-directory", help="Of the server, which may run.")],
    output: OutputOption = OutputFormat.table,
) -> None:
    """Copy the state of a server, live or not, into a folder: consistent, synced, and read back."""
    from datetime import UTC, datetime

    from covey_server.backup import make_backup
    from covey_server.store import StoreError

    try:
        manifest = make_backup(data_directory, folder, datetime.now(UTC))
    except StoreError as error:
        raise CommandError(str(error)) from error
    _print_copy(f"{folder}: backed up", manifest, output)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="Of a backup.", show_default=False)],
    data_directory: DirectoryOption,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Put it in the place of state that is there, which is kept beside it.")
    ] = False,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Put a backup in place, every byte of it checked first; refuses where there is state."""
    from covey_server.backup import restore_backup
    from covey_server.store import StoreError

    try:
        manifest, kept = restore_backup(folder, data_directory, overwrite=overwrite)
    except StoreError as error:
        raise CommandError(str(error)) from error
    _print_copy(f"{data_directory}: restored", manifest, output)
    if kept is not None and output is OutputFormat.table:
        print_text(f"{data_directory}: what was there is in {kept}")


def _print_copy(what: str, manifest: Manifest, output: OutputFormat) -> None:
    if output is OutputFormat.table:
        megabytes = manifest.byte_count / 1e6
        files = counted(len(manifest.files), "file", "files")
        print_text(f"{what}, {files}, {megabytes:,.1f} MB, as it was at {manifest.time}")
    else:
        print_data(json.loads(manifest.to_json()), output)


@app.command()
def failpoints(output: OutputOption = OutputFormat.table) -> None:
    """Where a process can be made to fail on purpose: COVEY_FAULT=point:action[:n]."""
    from covey.failpoints import ACTIONS, POINTS

    if output is not OutputFormat.table:
        print_data({"points": POINTS, "actions": list(ACTIONS)}, output)
        return
    print_table(("failpoint", "what has happened by then"), list(POINTS.items()), left=frozenset({0, 1}))
    print_text(f"actions: {', '.join(ACTIONS)}")
