"""What a dashboard is told at its start."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from covey.access.addresses import is_loopback
from covey.access.certificates import CertificateFiles
from covey.access.client_options import security_of
from covey.client.channel import DEFAULT_CONTROL, DEFAULT_DATA, Security
from covey.configuration.options import ConfigurationError
from covey.configuration.settings import Settings, read_settings
from covey_dashboard.options import SECTION

_HERE = ("localhost", "127.0.0.1", "::1")


class ConfigError(ValueError):
    """A setting that cannot work; the message names it and what it should be."""


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


def parse_arguments(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Reads the command line (of this process by default), its environment and its file.

    Raises:
        ConfigError: on a value that cannot work.
        SystemExit: on unknown options, as argparse does.
    """
    try:
        return config_of(read_settings(SECTION, arguments, os.environ if environment is None else environment))
    except ConfigurationError as error:
        raise ConfigError(str(error)) from error


def config_of(settings: Settings) -> Config:
    """What a dashboard's settings amount to.

    Raises:
        ConfigError: on a value that cannot work.
    """
    host, port = _address(settings["listen"])
    try:
        security = security_of(settings)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for name, address in (("--control", settings["control"]), ("--data", settings["data"])):
        if not address.startswith("unix:") and not address.rpartition(":")[2].isdigit():
            raise ConfigError(f"{name} {address!r} is not HOST:PORT")
        if security.has_token and security.plaintext and not is_loopback(address):
            raise ConfigError(f"{name}: a token does not go to {address} in plaintext; leave out --plaintext")
    return Config(
        host=host,
        port=port,
        control=settings["control"],
        data=settings["data"],
        security=security,
        tls=_tls(settings),
        hosts=frozenset({*_HERE, host.lower(), *(name.lower() for name in settings["host"])}),
        ports_file=settings["ports_file"],
    )


def _tls(settings: Settings) -> CertificateFiles | None:
    certificate, key, listen = settings["tls_cert"], settings["tls_key"], settings["listen"]
    if (certificate is None) != (key is None):
        raise ConfigError("--tls-cert goes with --tls-key: a certificate and its private key")
    if certificate is None and not is_loopback(listen) and not settings["insecure_listen"]:
        raise ConfigError(
            f"--listen {listen} is beyond this machine and needs --tls-cert and --tls-key; or listen on "
            "127.0.0.1, or say --insecure-listen where a proxy before it speaks TLS"
        )
    return None if certificate is None else CertificateFiles(certificate, key)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--listen {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
