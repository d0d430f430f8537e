"""Clients of servers whose addresses are typed: the options that they share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import PANEL
from covey.cli.output import CommandError

if TYPE_CHECKING:
    from covey.client import Client


def clients(
    actor: Annotated[str, typer.Option("--as", envvar="COVEY_ACTOR", help="Who you are.", rich_help_panel=PANEL)] = "",
    cacert: Annotated[Path | None, typer.Option(help="Authorities of the servers.", rich_help_panel=PANEL)] = None,
    cert: Annotated[Path | None, typer.Option(help="Your certificate, with --key.", rich_help_panel=PANEL)] = None,
    key: Annotated[Path | None, typer.Option(help="Your private key.", rich_help_panel=PANEL)] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="COVEY_TOKEN_FILE", help="File that holds the token.", rich_help_panel=PANEL),
    ] = None,
) -> Callable[[str, str], Client]:
    """What makes a client of an address that waits so long."""
    from covey.cli.connection import login_name, seconds
    from covey.client import Client, Security

    def made(address: str, timeout: str) -> Client:
        try:
            security = Security(cacert=cacert, cert=cert, key=key, token_file=token_file)
            allowed = seconds(timeout, "--timeout").total_seconds()
            client = Client(data=address, actor=actor or login_name(), timeout_seconds=allowed, security=security)
            client.stub(lambda channel: channel, address)  # opened now, so that an address that is none is said here
            return client
        except ValueError as error:
            raise CommandError(str(error), 2) from error

    return made
