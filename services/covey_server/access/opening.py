"""The gate and the certificates of a server, from the files that its options name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from covey.access import credentials
from covey.access.certificates import Certificates
from covey.errors import InputError
from covey_server.access.gate import Gate
from covey_server.failures import StartError

if TYPE_CHECKING:
    from covey_server.config import ServerConfig


def opened_gate(config: ServerConfig, clock: Callable[[], datetime]) -> tuple[Gate, Certificates | None]:
    """Who is let in, and what the ports speak; None: plaintext.

    Raises:
        StartError: a file cannot be used.
    """
    try:
        known = None if config.tokens is None else credentials.watched(config.tokens)
    except InputError as error:
        raise StartError(f"--tokens: {error}") from error
    try:
        certificates = None if config.tls is None else Certificates(config.tls)
    except InputError as error:
        raise StartError(f"--tls-cert: {error}") from error
    asks_certificates = certificates is not None and certificates.asks_clients
    return Gate(known, clock, asks_certificates=asks_certificates), certificates
