"""Channels to a server: plaintext on loopback, TLS everywhere else."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

DEFAULT_CONTROL = "127.0.0.1:50052"
DEFAULT_DATA = "127.0.0.1:50051"

_OPTIONS: tuple[tuple[str, int], ...] = (
    # A restarted server is found again within a second instead of gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Clients of one process do not share a broken connection, nor its backoff.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True)
class Security:
    """How a connection is secured; the names are those of grpcurl's flags.

    Attributes:
        cacert: PEM file of the authorities that the server's certificate is checked against; default: the system's.
        cert: PEM file of the caller's certificate, for mutual TLS; goes with `key`.
        key: PEM file of the caller's private key.
        servername: name expected in the server's certificate, where it is not the address.
        plaintext: no TLS; None means plaintext on loopback unless one of the above is given.
    """

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    servername: str | None = None
    plaintext: bool | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            given, missing = ("cert", "key") if self.key is None else ("key", "cert")
            raise ValueError(f"--{given} goes with --{missing}: give the caller's certificate and its private key")
        if self.plaintext and (self.cacert or self.cert or self.servername):
            raise ValueError("plaintext goes with no certificate: leave out --plaintext, or --cacert, --cert and --key")

    def uses_tls(self, address: str) -> bool:
        """Whether a channel to this address is encrypted."""
        if self.plaintext is not None:
            return not self.plaintext
        return bool(self.cacert or self.cert or self.servername) or not is_loopback(address)


def is_loopback(address: str) -> bool:
    """Whether an address of the form "host:port", "[::1]:port" or "unix:path" stays on this machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_channel(address: str, security: Security) -> grpc.Channel:
    """A channel that connects with its first call.

    Raises:
        ValueError: a certificate file cannot be read, or the address has no port.
    """
    if not address.startswith("unix:") and not address.rpartition(":")[2].isdigit():
        raise ValueError(f"address {address!r} has no port; expected host:port, such as {DEFAULT_CONTROL}")
    options: list[tuple[str, int | str]] = list(_OPTIONS)
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    if not security.uses_tls(address):
        return grpc.insecure_channel(address, options=options)
    if security.servername:
        options.append(("grpc.ssl_target_name_override", security.servername))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read("--cacert", security.cacert),
        private_key=_read("--key", security.key),
        certificate_chain=_read("--cert", security.cert),
    )
    return grpc.secure_channel(address, credentials, options=options)


def _read(flag: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{flag} {path}: {error.strerror}; expected a readable PEM file") from error
