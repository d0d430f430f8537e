"""`covey deploy`: what an operating system needs to run covey."""

from __future__ import annotations

import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from covey.cli.output import CommandError, print_text, renamed

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_NEXT = """\
Next, as root:
  install -m 644 {folder}/covey-sysusers.conf /usr/lib/sysusers.d/covey.conf && systemd-sysusers
  install -m 644 {folder}/*.service /etc/systemd/system/ && systemctl daemon-reload
  install -D -m 644 {folder}/covey.toml /etc/covey/covey.toml    # then change it
  covey config check --config /etc/covey/covey.toml
  systemctl enable --now {units}
  covey doctor --config /etc/covey/covey.toml"""


@app.callback()
def deploy() -> None:
    """Write what an operating system needs to run covey."""


@app.command()
def systemd(
    directory: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Written there; made if absent.")] = None,
    prefix: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where covey is, or will be, installed (default: where this command is)."),
    ] = None,
    formerly: Annotated[Path | None, typer.Option("--output", hidden=True)] = None,
) -> None:
    """Write hardened units, the user they run as, and a configuration to begin with."""
    from covey.deployment.systemd import UNITS, files, is_hidden

    if formerly is not None:
        renamed("--output", "--directory")
    directory = directory or formerly
    if directory is None:
        raise CommandError("--directory is missing: name the folder that the units are written to", 2)
    programs = Path(sysconfig.get_path("scripts")) if prefix is None else prefix / "bin"
    installed = [
        unit.program
        for unit in UNITS
        if prefix is not None or ((programs / unit.program).exists() and all(map(find_spec, unit.libraries)))
    ]
    if is_hidden(programs):
        typer.echo(f"covey: the units cannot see {programs}: install covey elsewhere, such as /opt/covey", err=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files(programs, installed).items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--directory {directory}: {error.strerror}; choose another folder") from error
    print_text(_NEXT.format(folder=directory, units=" ".join(installed)))
