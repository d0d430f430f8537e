"""How the controller proves who it is, and who may read its own page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from covey.access import credentials
from covey.access.addresses import is_loopback
from covey.access.certificates import CertificateFiles, Certificates, end_of
from covey.access.recognition import PageAccess
from covey.access.watched import Watched
from covey.configuration.settings import Settings
from covey.errors import InputError
from covey_controller.failures import ConfigError


@dataclass(frozen=True)
class PageOptions:
    """How the controller's own page is served.

    Attributes:
        tokens: file that says who may read it; None: everybody.
        tls: its certificate; None: plain HTTP.
    """

    tokens: Path | None = None
    tls: CertificateFiles | None = None

    def open(self) -> tuple[PageAccess, Certificates | None]:
        """Who may read, and the certificate in force.

        Raises:
            ConfigError: a file cannot be used.
        """
        try:
            known = None if self.tokens is None else credentials.watched(self.tokens)
            return PageAccess(known), None if self.tls is None else Certificates(self.tls)
        except InputError as error:
            raise ConfigError(f"--tokens, --tls-cert, --tls-key: {error}") from error


def ends_of(certificates: Certificates | None, client: Path | None) -> dict[str, Callable[[], datetime]]:
    """What tells when a certificate ends, by what it is for: the page's own, and what calls to servers bring.

    Raises:
        ConfigError: the second cannot be read.
    """
    ends: dict[str, Callable[[], datetime]] = {}
    if certificates is not None:
        ends["server"] = certificates.not_after
    if client is not None:
        try:
            ends["client"] = Watched([client], lambda: _end_of_file(client), time.monotonic).current
        except InputError as error:
            raise ConfigError(f"--cert: {error}") from error
    return ends


def _end_of_file(path: Path) -> datetime:
    try:
        return end_of(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", source=str(path), expected="a readable PEM file"
        ) from error


def page_access_of(settings: Settings) -> PageOptions:
    """How the controller's own page is served.

    Raises:
        ConfigError: options that do not go together, or a page in plaintext or for strangers beyond this machine.
    """
    certificate, key, tokens = settings["tls_cert"], settings["tls_key"], settings["tokens"]
    if (certificate is None) != (key is None):
        raise ConfigError("--tls-cert goes with --tls-key: a certificate and its private key")
    tls = None if certificate is None else CertificateFiles(certificate, key)
    listen = settings["metrics_listen"]
    if not is_loopback(listen) and not settings["insecure_listen"] and (not tls or not tokens):
        raise ConfigError(
            f"--metrics-listen {listen} is beyond this machine and needs --tls-cert, --tls-key and "
            "--tokens; or listen on 127.0.0.1, or say --insecure-listen where everybody may read it"
        )
    return PageOptions(tokens, tls)
