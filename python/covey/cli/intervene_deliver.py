"""`covey intervene deliver`: waiting actions of a file, or of a server, told to a webhook."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.addressed import clients
from covey.cli.bundles import bundled
from covey.cli.connection import PANEL, ExitCode
from covey.cli.intervene_arguments import OptionalOutbox, opened
from covey.cli.output import CommandError, OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.client import Client
    from covey.interventions.telling import Delivered

_OF_SERVER = "Actions of a server"


@bundled("client_of", clients)
def deliver(
    webhook: Annotated[str, typer.Option(help="http or https URL that takes actions.", show_default=False)],
    client_of: Callable[[str, str], Client],
    outbox: OptionalOutbox = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="Signs actions; or COVEY_WEBHOOK_SECRET.", show_default=False)
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Data port, in place of --outbox.", rich_help_panel=_OF_SERVER),
    ] = None,
    playbook: Annotated[str, typer.Option(help="Name; every one if absent.", rich_help_panel=_OF_SERVER)] = "",
    every: Annotated[
        str | None,
        typer.Option(help="Look again so often, such as 30s, until told to stop.", rich_help_panel=_OF_SERVER),
    ] = None,
    give_up_after: Annotated[
        int,
        typer.Option(min=0, help="Refusals of an action in this run; 0: never given up.", rich_help_panel=_OF_SERVER),
    ] = 0,
    timeout: Annotated[str, typer.Option(help="How long a call may take.", rich_help_panel=PANEL)] = "10s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Tell the waiting actions to a webhook, each at least once, under a key of its own."""
    if not _is_postable(webhook):
        raise CommandError("--webhook: expected http://HOST:PORT/path or https, without a user, in plain ASCII")
    if (outbox is None) == (server is None):
        raise CommandError("expected one of --outbox FILE and --server HOST:PORT: whose actions are told")
    if outbox is not None and (playbook or every or give_up_after):
        raise CommandError("--playbook, --every and --give-up-after go with --server")
    secret = _secret(secret_file)
    if outbox is not None:
        _say(_of_file(outbox, webhook, secret), output)
        return
    assert server is not None
    from covey.client.outbox import RemoteOutbox

    with client_of(server, timeout) as client:
        box = RemoteOutbox(client, playbook, give_up_after)
        if every is None:
            found = box.deliver(webhook, time.time, secret)
            _say(found, output, ExitCode.UNREACHABLE if box.is_unreachable else ExitCode.FAILED)
        else:
            _deliver_on(box, webhook, secret, _pause_seconds(every), output)


def _is_postable(url: str) -> bool:
    """Whether it can be asked at all: what never can be would be tried again for ever."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        # Reading the port looks at it.
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_whole and "@" not in parts.netloc and url.isascii() and url.isprintable() and " " not in url


def _of_file(outbox: Path, webhook: str, secret: bytes | None) -> Delivered:
    with opened(outbox) as box:
        return box.deliver(webhook, time.time, secret)


def _deliver_on(box: Any, webhook: str, secret: bytes | None, pause_seconds: float, output: OutputFormat) -> None:
    """Pass after pass until a signal; what goes wrong is said and tried again."""
    from covey.stop_signals import StopSignals

    with StopSignals() as stop:
        while True:
            found = box.deliver(webhook, time.time, secret, lambda: not stop.wait(0))
            if found.told or found.given_up or found.expired or found.problem:
                _print(found, output)
                if found.problem:
                    typer.echo(f"covey: {found.problem}; again in {pause_seconds:g} s", err=True)
            if stop.wait(pause_seconds):
                return


def _secret(secret_file: Path | None) -> bytes | None:
    if secret_file is None:
        return os.environ.get("COVEY_WEBHOOK_SECRET", "").encode() or None
    secret = secret_file.read_bytes().strip()
    if not secret:
        raise CommandError(f"{secret_file} is empty")
    return secret


def _pause_seconds(every: str) -> float:
    from covey.cli.connection import seconds

    try:
        return seconds(every, "--every").total_seconds()
    except ValueError as error:
        raise CommandError(str(error), 2) from error


def _say(found: Delivered, output: OutputFormat, failed: ExitCode = ExitCode.FAILED) -> None:
    _print(found, output)
    if found.problem:
        lost = f"{found.given_up:,} given up after too many refusals" if found.given_up else "nothing is lost"
        raise CommandError(f"{found.problem}; {'' if found.waiting == 0 else 'deliver again later, '}{lost}", failed)


def _print(found: Delivered, output: OutputFormat) -> None:
    from covey.cli.output import print_data, print_text

    if output is OutputFormat.table:
        left = "how many wait is not known" if found.waiting is None else f"{found.waiting:,} wait"
        print_text(f"{found.told:,} actions told, {found.given_up:,} given up, {found.expired:,} expired, {left}.")
        return
    print_data(
        {
            "told_count": found.told,
            "given_up_count": found.given_up,
            "expired_count": found.expired,
            "waiting_count": found.waiting,
            "problem": found.problem,
        },
        output,
    )
