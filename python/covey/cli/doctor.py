"""`covey doctor`: is everything as it should be, and what to do where it is not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import PANEL, ExitCode, seconds
from covey.cli.output import CommandError, OutputFormat, OutputOption, counted, print_data, print_text

if TYPE_CHECKING:
    from covey.client import Security
    from covey.doctor.findings import Finding
    from covey.doctor.places import Places

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_File = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", envvar="COVEY_CONFIG", help="Looks where this file says.")
]
_Directory = Annotated[Path | None, typer.Option("--data-directory", help="Of a server on this machine.")]
_Only = Annotated[list[str] | None, typer.Option("--only", metavar="CHECK", help="Some checks alone; repeatable.")]


def _option(help_text: str, variable: str | None = None) -> object:
    return typer.Option(help=help_text, envvar=variable, rich_help_panel=PANEL, metavar="TEXT")


@app.command()
def doctor(
    config: _File = None,
    data_directory: _Directory = None,
    only: _Only = None,
    output: OutputOption = OutputFormat.table,
    timeout: Annotated[str, typer.Option(help="For each call.")] = "3s",
    control: Annotated[str, _option("Control port.", "COVEY_CONTROL")] = "",
    data: Annotated[str, _option("Data port.", "COVEY_DATA")] = "",
    metrics: Annotated[str, _option("The server's metrics page, a URL.")] = "",
    controller_metrics: Annotated[str, _option("A controller's metrics page, a URL.")] = "",
    cacert: Annotated[Path | None, _option("Authorities that servers are checked against.")] = None,
    cert: Annotated[Path | None, _option("Your certificate, with --key.")] = None,
    key: Annotated[Path | None, _option("Your private key.")] = None,
    servername: Annotated[str | None, _option("Name in the server's certificate.")] = None,
    token_file: Annotated[Path | None, _option("File that holds the token.", "COVEY_TOKEN_FILE")] = None,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="No TLS.", rich_help_panel=PANEL)] = False,
) -> None:
    """Look at machine, disk, certificates, ports, token, metrics, clock and controller; say what to do."""
    from covey.doctor.examination import CHECKS, Examination
    from covey.doctor.findings import Level, worst

    unknown = [name for name in only or () if name not in CHECKS]
    if unknown:
        raise CommandError(f"--only {unknown[0]}: there are {', '.join(CHECKS)}", ExitCode.USAGE)
    places = _configured(config)
    try:
        limit = seconds(timeout, "--timeout").total_seconds()
        secured = _security(cacert, cert, key, servername, token_file, plaintext)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    # What is said here wins over the file.
    if secured is not None:
        scheme = "https" if secured.uses_tls("127.0.0.1:1") else "http"
        places = replace(
            places,
            security=secured,
            metrics=f"{scheme}:{places.metrics.partition(':')[2]}",
            controller_metrics=f"{scheme}:{places.controller_metrics.partition(':')[2]}",
        )
    places = replace(
        places,
        control=control or places.control,
        data=data or places.data,
        metrics=metrics or places.metrics,
        controller_metrics=controller_metrics or places.controller_metrics,
        data_directory=data_directory or places.data_directory,
    )
    found: list[Finding] = []
    for finding in Examination(places, _version, limit).findings(only or ()):
        found.append(finding)
        if output is OutputFormat.table:
            _print(finding)
    if output is not OutputFormat.table:
        print_data(
            [{"check": one.check, "level": one.level.value, "said": one.said, "remedy": one.remedy} for one in found],
            output,
        )
    else:
        _conclude(found)
    raise typer.Exit(ExitCode.FAILED if worst(found) is Level.FAIL else ExitCode.OK)


def _configured(file: Path | None) -> Places:
    """Where to look by a file; by default the loopback ports."""
    from covey.configuration.file import read_file
    from covey.configuration.options import ConfigurationError
    from covey.configuration.settings import read_settings
    from covey.doctor.places import Places, configured

    places = Places()
    if file is None:
        return places
    from covey_controller.options import SECTION as CONTROLLER
    from covey_server.options import SECTION as SERVER

    try:
        tables = read_file(file).tables
        settings = {
            section.name: read_settings(section, ["--config", str(file)], os.environ)
            for section in (SERVER, CONTROLLER)
            if section.name in tables
        }
        return configured(places, settings.get("server"), settings.get("controller"))
    except (ConfigurationError, ValueError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from error


def _security(
    cacert: Path | None,
    cert: Path | None,
    key: Path | None,
    servername: str | None,
    token_file: Path | None,
    plaintext: bool,
) -> Security | None:
    """Who one is; None where nothing says it."""
    from covey.client import Security

    token = None if token_file else os.environ.get("COVEY_TOKEN") or None
    if not any((cacert, cert, key, servername, token_file, plaintext, token)):
        return None
    return Security(
        cacert=cacert,
        cert=cert,
        key=key,
        servername=servername,
        plaintext=True if plaintext else None,
        token=token,
        token_file=token_file,
    )


def _version(directory: Path) -> tuple[int | None, int]:
    from covey_server.store.failures import StoreError
    from covey_server.store.migrations import NEWEST_VERSION, version_of
    from covey_server.store.sqlite import DATABASE_NAME, reading_at_rest

    if not (directory / DATABASE_NAME).exists():
        return None, NEWEST_VERSION
    try:
        with reading_at_rest(directory) as connection:
            return version_of(connection), NEWEST_VERSION
    except StoreError as error:
        raise ValueError(str(error)) from error


def _print(finding: Finding) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from covey.cli.console import BAD, GOOD, QUIET, WAITING, console, text

    style = {"ok": GOOD, "warn": WAITING, "fail": BAD}[finding.level.value]
    line = Text.assemble((f"{finding.level.value:<5}", style), f"{finding.check:<12}")
    printer = console()
    width = printer.width - 17
    for number, part in enumerate(text(finding.said).wrap(printer, width)):
        printer.print(line + part if not number else Padding(part, (0, 0, 0, 17), expand=False))
    if finding.remedy:
        for number, part in enumerate(text(finding.remedy).wrap(printer, width - 2)):
            printer.print(Padding(Text("→ " if not number else "  ", QUIET) + part, (0, 0, 0, 17), expand=False))


def _conclude(found: list[Finding]) -> None:
    counts = {level: sum(one.level.value == level for one in found) for level in ("fail", "warn")}
    if not any(counts.values()):
        print_text("all is well")
        return
    failures = counted(counts["fail"], "thing does not work", "things do not work")
    warnings = counted(counts["warn"], "thing to look at", "things to look at")
    print_text(", ".join(words for level, words in (("fail", failures), ("warn", warnings)) if counts[level]))
