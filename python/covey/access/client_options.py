"""Options of programs that call a server: certificates and a token, named as in grpcurl."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from covey.client.channel import Security


def add_client_options(parser: argparse.ArgumentParser, *, of_whom: str, role: str) -> None:
    """The options.

    Args:
        parser: that gets them.
        of_whom: calls, such as "this controller".
        role: that its token must have.
    """
    add = parser.add_argument
    add("--cacert", type=Path, metavar="FILE", help="authorities that servers are checked against")
    add("--cert", type=Path, metavar="FILE", help=f"certificate of {of_whom}, with --key")
    add("--key", type=Path, metavar="FILE", help="its private key")
    add("--servername", metavar="NAME", help="name in the servers' certificates, where it is not the address")
    add("--plaintext", action="store_true", help="no TLS; the default on loopback only")
    add("--token-file", type=Path, metavar="FILE", help=f"token of the role {role} (or environment COVEY_TOKEN)")


def security_of(options: argparse.Namespace) -> Security:
    """How calls to servers are secured.

    Raises:
        ValueError: options that do not go together.
    """
    return Security(
        cacert=options.cacert,
        cert=options.cert,
        key=options.key,
        servername=options.servername,
        plaintext=True if options.plaintext else None,
        token=None if options.token_file else os.environ.get("COVEY_TOKEN") or None,
        token_file=options.token_file,
    )
