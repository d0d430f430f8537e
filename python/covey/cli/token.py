"""`covey token`: who may do what at a server, in the file that its `--tokens` names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from covey.cli.output import OutputFormat, OutputOption, print_data, print_table, print_text

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

TokensOption = Annotated[
    Path, typer.Option("--tokens", envvar="COVEY_TOKENS", help="The file; a server reads it again when it changes.")
]


@app.callback()
def _token() -> None:
    """Give callers of a server their roles, and take them back."""


@app.command()
def create(
    principal: Annotated[str, typer.Argument(help="Who: the name in logs and journals.", show_default=False)],
    tokens: TokensOption,
    role: Annotated[
        list[str], typer.Option(help="viewer, ingest, operator, approver, admin or controller; may be repeated.")
    ],
    signs_for: Annotated[
        list[str], typer.Option(help="Approval role of an approver, such as engineering; * for all; may be repeated.")
    ] = [],  # noqa: B006 - read only, as typer wants it
    certificate: Annotated[
        str, typer.Option(help="Common or alternative name of a client certificate that proves it: no token then.")
    ] = "",
    calls_per_second: Annotated[
        float, typer.Option(min=0, help="On the data port, where it is not to have the server's own limit.")
    ] = 0.0,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is good for.")] = 365,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Add a credential; the token is printed once and kept nowhere."""
    from covey.access.credentials import (
        Credential,
        Credentials,
        checked_name,
        digest,
        new_id,
        new_token,
        plain,
        roles_of,
    )
    from covey.access.credentials_file import change
    from covey.access.principals import Principal, Role
    from covey.errors import InputError

    roles = roles_of(role, "--role")
    if bool(signs_for) != (Role.APPROVER in roles):
        raise InputError("--signs-for goes with --role approver: an approver signs for approval roles")
    token = "" if certificate else new_token()
    now = datetime.now(UTC)
    credential = Credential(
        id=new_id(),
        principal=Principal(
            checked_name(principal, "PRINCIPAL", "covey token create"),
            roles,
            frozenset(signs_for),
            calls_per_second=calls_per_second or None,
        ),
        token_sha256=digest(token) if token else "",
        certificate=certificate,
        create_time=now,
        expire_time=now + timedelta(days=days),
    )

    def added(known: Credentials) -> list[Credential]:
        if certificate and any(other.certificate == certificate for other in known.all):
            raise InputError(f"{certificate!r} has a credential already", source=str(tokens))
        return [*known.all, credential]

    change(tokens, added)
    if output is not OutputFormat.table:
        print_data(plain(credential) | ({"token": token} if token else {}), output)
        return
    typer.echo(f"{credential.id}: {principal}, {', '.join(sorted(roles))}, {days} days", err=True)
    if token:
        print_text(token)


@app.command("list")
def list_(
    tokens: TokensOption,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Show the credentials; no token can be read from them."""
    from covey.access.credentials import plain, read

    entries = [plain(known) for known in read(tokens).all]
    if output is not OutputFormat.table:
        print_data({"credentials": entries}, output)
        return
    print_table(
        ("id", "principal", "roles", "proof", "expires"),
        [(entry["id"], entry["principal"], _roles(entry), _proof(entry), _expiry(entry)) for entry in entries],
        left=frozenset(range(5)),
    )


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="Of the credential, as `list` shows it.", show_default=False)],  # noqa: A002
    tokens: TokensOption,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Remove a credential; servers refuse it within a second."""
    from covey.access.credentials_file import change, without

    change(tokens, lambda known: without(known, id, tokens))
    if output is OutputFormat.table:
        typer.echo(f"{id}: revoked", err=True)
    else:
        print_data({"id": id, "revoked": True}, output)


def _roles(entry: dict[str, Any]) -> str:
    signs = f" ({', '.join(entry['signs_for'])})" if "signs_for" in entry else ""
    return ", ".join(entry["roles"]) + signs


def _proof(entry: dict[str, Any]) -> str:
    return f"certificate {entry['certificate']}" if "certificate" in entry else "token"


def _expiry(entry: dict[str, Any]) -> str:
    expiry: str = entry.get("expire_time", "never")
    return expiry.partition("T")[0]
