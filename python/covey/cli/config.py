"""`covey config`: what the processes of an installation are told, before they are started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.output import CommandError, OutputFormat, OutputOption, counted, print_data, print_text

if TYPE_CHECKING:
    from covey.configuration.options import Section
    from covey.configuration.settings import Setting, Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_PACKAGES = {"server": "covey_server", "controller": "covey_controller", "dashboard": "covey_dashboard"}


def _has_options(package: str) -> bool:
    try:
        return find_spec(f"{package}.options") is not None
    except ModuleNotFoundError:
        return False


_PROCESSES = {name: package for name, package in _PACKAGES.items() if _has_options(package)}
_File = Annotated[Path | None, typer.Option("--config", metavar="FILE", envvar="COVEY_CONFIG", help="The file, TOML.")]
_Process = Annotated[str, typer.Argument(help="server, controller or dashboard; default all.", show_default=False)]


@app.callback()
def config() -> None:
    """Check and show the configuration of servers, controllers and dashboards."""


@app.command()
def check(file: _File = None, process: _Process = "", output: OutputOption = OutputFormat.table) -> None:
    """Say what is wrong with a configuration, or that nothing is. Nothing is started."""
    from covey.configuration.settings import unknown_variables

    sections = _sections(process)
    tables = _tables(file)
    counts = {}
    for section in sections:
        if tables and not process and section.name not in tables:
            continue
        settings = _read(section, file, ())
        _try(section, settings)
        counts[section.program] = sum(setting.source != "default" for setting in settings.all.values())
    if output is OutputFormat.table:
        for program, named in counts.items():
            print_text(f"{program}: {counted(named, 'setting', 'settings')} beside the defaults, all good")
    else:
        print_data([{"program": program, "setting_count": named} for program, named in counts.items()], output)
    for variable in unknown_variables(sections, os.environ):
        typer.echo(f"covey: {variable} is no variable of covey's and is not read", err=True)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def show(
    context: typer.Context,
    process: _Process = "",
    file: _File = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Every setting that holds, and where it comes from. Flags of one process may follow its name."""
    if process not in {"", *_PROCESSES}:
        process, flags = "", [process, *context.args]
    else:
        flags = context.args
    if flags and not process:
        raise CommandError(f"{flags[0]}: name the process first: covey config show server {flags[0]} ...", 2)
    found = [_read(section, file, flags, complete=False) for section in _sections(process)]
    if output is not OutputFormat.table:
        print_data([_plain(settings, setting) for settings in found for setting in settings.all.values()], output)
        return
    for number, settings in enumerate(found):
        if number:
            print_text("")
        _print(settings)


@app.command()
def reference() -> None:
    """Every key of every process, as Markdown: docs/configuration.md."""
    from covey.configuration.page import page

    print_text(page(_sections("")).rstrip())


def _sections(process: str) -> list[Section]:
    if process and process not in _PROCESSES:
        raise CommandError(f"there is no process {process!r}; there are {', '.join(_PROCESSES)}", 2)
    packages = [_PROCESSES[process]] if process else list(_PROCESSES.values())
    return [import_module(f"{package}.options").SECTION for package in packages]


def _tables(file: Path | None) -> set[str]:
    """What a file has to say, to whom."""
    from covey.configuration.file import read_file
    from covey.configuration.options import ConfigurationError

    try:
        return set() if file is None else set(read_file(file).tables)
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def _read(section: Section, file: Path | None, flags: Sequence[str], *, complete: bool = True) -> Settings:
    from covey.configuration.options import ConfigurationError
    from covey.configuration.settings import read_settings

    named = [] if file is None else ["--config", str(file)]
    try:
        return read_settings(section, [*named, *flags], os.environ, complete=complete)
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def _try(section: Section, settings: Settings) -> None:
    """Everything that a process checks of its settings before it opens anything."""
    from covey_server.access import posture
    from covey_server.failures import StartError

    try:
        made = import_module(f"{_PROCESSES[section.name]}.config").config_of(settings)
        if section.name == "server":
            posture.check(made)
    except (ValueError, StartError) as error:
        raise CommandError(f"{section.program}: {error}") from error


def _plain(settings: Settings, setting: Setting) -> dict[str, Any]:
    return {
        "section": settings.section.name,
        "key": setting.option.key,
        "value": setting.shown,
        "source": setting.source,
    }


def _print(settings: Settings) -> None:
    from rich import box
    from rich.table import Table

    from covey.cli.console import QUIET, console, text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for heading, share in ((f"[{settings.section.name}]", 0), ("value", 1), ("from", 1)):
        table.add_column(text(heading), ratio=share or None, overflow="fold")
    for setting in settings.all.values():
        style = QUIET if setting.source == "default" else ""
        table.add_row(text(setting.option.key, style), text(setting.shown, style), text(setting.source, style))
    console().print(table)
