"""Options of processes that call a server: certificates and a token, named as in grpcurl."""

from __future__ import annotations

from pathlib import Path

from covey.client.channel import Security
from covey.configuration.options import Group, Option
from covey.configuration.settings import Settings

TOKEN_VARIABLE = "COVEY_TOKEN"  # noqa: S105 - the name of the variable


def client_options(*, of_whom: str, role: str) -> Group:
    """The options.

    Args:
        of_whom: calls, such as "this controller".
        role: that its token must have.
    """
    return Group(
        "Towards servers, named as in grpcurl",
        (
            Option("cacert", "authorities that servers are checked against", "", "FILE", Path),
            Option("cert", f"certificate of {of_whom}, with --key", "", "FILE", Path),
            Option("key", "its private key", "", "FILE", Path),
            Option("servername", "name in the servers' certificates, where it is not the address", "", "NAME"),
            Option("plaintext", "no TLS; the default on loopback only", is_switch=True),
            Option("token-file", f"token of the role {role} (or the environment's {TOKEN_VARIABLE})", "", "FILE", Path),
            Option("token", "the same token itself", variable=TOKEN_VARIABLE, is_secret=True),
        ),
    )


def security_of(settings: Settings) -> Security:
    """How calls to servers are secured.

    Raises:
        ValueError: options that do not go together.
    """
    return Security(
        cacert=settings["cacert"],
        cert=settings["cert"],
        key=settings["key"],
        servername=settings["servername"],
        plaintext=True if settings["plaintext"] else None,
        token=None if settings["token_file"] else settings["token"],
        token_file=settings["token_file"],
    )
