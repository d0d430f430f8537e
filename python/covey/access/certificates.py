"""A server's certificate, changed without a restart: every new connection gets what the files hold by then."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from covey.access.watched import Watched
from covey.errors import InputError

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a server's certificate is; PEM files.

    Attributes:
        certificate: the server's certificate, with the intermediate ones after it.
        key: its private key.
        client_authority: authorities that clients' certificates are checked against; None asks for none.
    """

    certificate: Path
    key: Path
    client_authority: Path | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    certificate: bytes
    key: bytes
    client_authority: bytes | None
    context: ssl.SSLContext
    not_after: datetime


class Certificates:
    """The certificate in force.

    Args:
        files: read now, and again when they change. A pair that does not match leaves the one before in force.
        monotonic: seconds of a clock that never goes back.

    Raises:
        InputError: a file cannot be read, or the key is not the certificate's.
    """

    def __init__(self, files: CertificateFiles, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        named = (files.certificate, files.key, files.client_authority)
        self._watched = Watched([path for path in named if path is not None], self._load, monotonic)

    @property
    def asks_clients(self) -> bool:
        """Whether every client must show a certificate."""
        return self._files.client_authority is not None

    def ssl_context(self) -> ssl.SSLContext:
        """For a new connection of an HTTP port."""
        return self._watched.current().context

    def not_after(self) -> datetime:
        """When the certificate in force, or one of its chain, ends."""
        return self._watched.current().not_after

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC port; they follow the files."""
        import grpc

        def configuration() -> grpc.ServerCertificateConfiguration:
            loaded = self._watched.current()
            return grpc.ssl_server_certificate_configuration(
                [(loaded.key, loaded.certificate)], root_certificates=loaded.client_authority
            )

        # Told anew for every connection: the library then uses what it is told for this handshake.
        return grpc.dynamic_ssl_server_credentials(configuration(), configuration, self.asks_clients)

    def _load(self) -> _Loaded:
        files = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Only this refuses a key that is another certificate's.
            context.load_cert_chain(files.certificate, files.key)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"is no certificate with the key {files.key} ({_words(error)})",
                source=str(files.certificate),
                expected="PEM files of a certificate and its own private key",
            ) from error
        if files.client_authority is not None:
            try:
                context.load_verify_locations(files.client_authority)
            except (OSError, ssl.SSLError) as error:
                raise InputError(
                    f"holds no authority ({_words(error)})", source=str(files.client_authority), expected="a PEM file"
                ) from error
            context.verify_mode = ssl.CERT_REQUIRED
        authority = None if files.client_authority is None else files.client_authority.read_bytes()
        chain = files.certificate.read_bytes()
        return _Loaded(chain, files.key.read_bytes(), authority, context, end_of(chain, str(files.certificate)))


def end_of(chain: bytes, source: str) -> datetime:
    """When the first of these PEM certificates ends, aware.

    Raises:
        InputError: there is none that can be read.
    """
    from cryptography import x509

    try:
        return min(certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(chain))
    except ValueError as error:
        raise InputError(f"holds no certificate ({error})", source=source, expected="a PEM file") from error


def _words(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
