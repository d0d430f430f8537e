"""Channels to a server: plaintext on loopback, TLS everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from covey.access.addresses import is_loopback

if TYPE_CHECKING:
    import ssl

DEFAULT_CONTROL = "127.0.0.1:50052"
DEFAULT_DATA = "127.0.0.1:50051"

DEFAULT_OPTIONS: tuple[tuple[str, int], ...] = (
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
        token: proves who calls, beside or instead of a certificate.
        token_file: holds the token; read for every call, so that it can be changed.
    """

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    servername: str | None = None
    plaintext: bool | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            given, missing = ("cert", "key") if self.key is None else ("key", "cert")
            raise ValueError(f"--{given} goes with --{missing}: give the caller's certificate and its private key")
        if self.plaintext and (self.cacert or self.cert or self.servername):
            raise ValueError("plaintext goes with no certificate: leave out --plaintext, or --cacert, --cert and --key")
        if self.token and self.token_file:
            raise ValueError("two tokens: give --token or --token-file")

    def uses_tls(self, address: str) -> bool:
        """Whether a channel to this address is encrypted."""
        if self.plaintext is not None:
            return not self.plaintext
        return bool(self.cacert or self.cert or self.servername) or not is_loopback(address)

    @property
    def has_token(self) -> bool:
        """Whether calls carry a token."""
        return bool(self.token or self.token_file)

    def call_metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries to prove who calls.

        Raises:
            ValueError: the token's file cannot be read or holds none.
        """
        token = self.token
        if self.token_file is not None:
            token = _read("--token-file", self.token_file).decode("ascii", "replace").strip()  # type: ignore[union-attr]
            if not (token and token.isascii() and token.isprintable()):
                raise ValueError(f"--token-file {self.token_file}: holds no token; expected one line of text")
        return (("authorization", f"Bearer {token}"),) if token else ()

    def ssl_context(self) -> ssl.SSLContext:
        """For HTTPS to a metrics page.

        Raises:
            ValueError: a certificate file cannot be read.
        """
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.cacert)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            raise ValueError(f"--cacert {self.cacert}, --cert {self.cert}, --key {self.key}: {error}") from error
        return context


def open_channel(
    address: str, security: Security, options: Sequence[tuple[str, int]] = DEFAULT_OPTIONS
) -> grpc.Channel:
    """A channel that connects with its first call.

    Raises:
        ValueError: a certificate file cannot be read, the address has no port, or a token would cross a network in
            plaintext.
    """
    if not address.startswith("unix:") and not address.rpartition(":")[2].isdigit():
        raise ValueError(f"address {address!r} has no port; expected host:port, such as {DEFAULT_CONTROL}")
    every_option: list[tuple[str, int | str]] = list(options)
    if is_loopback(address):
        every_option.append(("grpc.enable_http_proxy", 0))
    if not security.uses_tls(address):
        if security.has_token and not is_loopback(address):
            raise ValueError(f"a token does not go to {address} in plaintext: leave out --plaintext")
        return grpc.insecure_channel(address, options=every_option)
    if security.servername:
        every_option.append(("grpc.ssl_target_name_override", security.servername))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read("--cacert", security.cacert),
        private_key=_read("--key", security.key),
        certificate_chain=_read("--cert", security.cert),
    )
    return grpc.secure_channel(address, credentials, options=every_option)


def _read(flag: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{flag} {path}: {error.strerror}; expected a readable PEM file") from error
