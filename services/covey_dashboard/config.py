"""What a dashboard is told at its start."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from covey.access.addresses import is_loopback
from covey.access.certificates import CertificateFiles
from covey.access.client_options import add_client_options, security_of
from covey.client.channel import DEFAULT_CONTROL, DEFAULT_DATA, Security

DEFAULT_LISTEN = "127.0.0.1:8080"
_HERE = ("localhost", "127.0.0.1", "::1")


class ConfigError(Exception):
    """A command line that cannot work."""


@dataclass(frozen=True)
class Config:
    """Everything that `covey-dashboard` can be told.

    Attributes:
        host: to listen on.
        port: to listen on; 0 takes a free one.
        control: address of the server's control port.
        data: address of its data port.
        security: towards the server.
        tls: certificate of the pages; None: plain HTTP.
        hosts: names by which browsers may call it.
        ports_file: written once ready: JSON with port and pid.
        call_seconds: the whole time of a call to the server.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    control: str = DEFAULT_CONTROL
    data: str = DEFAULT_DATA
    security: Security = field(default_factory=Security)
    tls: CertificateFiles | None = None
    hosts: frozenset[str] = frozenset(_HERE)
    ports_file: Path | None = None
    call_seconds: float = 4.0


def parse_arguments(arguments: Sequence[str] | None = None) -> Config:
    """Reads the command line.

    Raises:
        ConfigError: on a value that cannot work.
        SystemExit: on unknown options, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="covey-dashboard", description="Pages on which people watch and steer rollouts."
    )
    add = parser.add_argument
    add("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="where browsers find it")
    add(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which browsers may call it; repeatable",
    )
    add("--control", default=os.environ.get("COVEY_CONTROL", DEFAULT_CONTROL), metavar="HOST:PORT",
        help="control port of the server")  # fmt: skip
    add("--data", default=os.environ.get("COVEY_DATA", DEFAULT_DATA), metavar="HOST:PORT",
        help="its data port, which has the cohort models")  # fmt: skip
    add_client_options(parser, of_whom="this dashboard", role="viewer")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate of the pages, with --tls-key")
    add("--tls-key", type=Path, metavar="FILE", help="its private key")
    add("--insecure-listen", action="store_true", help="allow pages beyond this machine without TLS")
    add("--ports-file", type=Path, metavar="FILE", help="written once ready: JSON with port and pid")
    options = parser.parse_args(arguments)
    host, port = _address(options.listen)
    try:
        security = security_of(options)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("--tls-cert goes with --tls-key: a certificate and its private key")
    tls = None if options.tls_cert is None else CertificateFiles(options.tls_cert, options.tls_key)
    if tls is None and not is_loopback(options.listen) and not options.insecure_listen:
        raise ConfigError(
            f"--listen {options.listen} is beyond this machine and needs --tls-cert and --tls-key; or listen on "
            "127.0.0.1, or say --insecure-listen where a proxy before it speaks TLS"
        )
    for name, address in (("--control", options.control), ("--data", options.data)):
        if not address.startswith("unix:") and not address.rpartition(":")[2].isdigit():
            raise ConfigError(f"{name} {address!r} is not HOST:PORT")
        if security.has_token and security.plaintext and not is_loopback(address):
            raise ConfigError(f"{name}: a token does not go to {address} in plaintext; leave out --plaintext")
    return Config(
        host=host,
        port=port,
        control=options.control,
        data=options.data,
        security=security,
        tls=tls,
        hosts=frozenset({*_HERE, host.lower(), *(name.lower() for name in options.host)}),
        ports_file=options.ports_file,
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--listen {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
